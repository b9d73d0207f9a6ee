"""The text for the terminal, and the sentences of the verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from warmgap.reports.formats import estimate, number
from warmgap.reports.summary import effect_table
from warmgap.reports.wording import (
    companion_sentence,
    comparison_sentence,
    control_sentences,
    number_sentence,
    resolution_sentences,
    scope_sentence,
    verdict_sentence,
)

if TYPE_CHECKING:
    from conftest import Sweep


def test_it_fits_eighty_columns_and_shows_the_numbers(sweep: Sweep) -> None:
    text = effect_table(sweep.tables["effects"], sweep.tables["contrasts"], sweep.headline)
    assert max(map(len, text.splitlines())) <= 80
    h = sweep.headline
    assert estimate(h.estimate_pp, h.conf_low_pp, h.conf_high_pp) in text
    assert "(stand-in)" in text and "sad / neutral context" in text
    assert "*" not in text


def test_long_names_still_fit(sweep: Sweep) -> None:
    def renamed(table: pl.DataFrame) -> pl.DataFrame:
        longer = pl.col("contrast", "subset").str.replace_all("incorrect", "mistaken_" * 6)
        return table.with_columns(longer)

    text = effect_table(renamed(sweep.tables["effects"]), renamed(sweep.tables["contrasts"]), sweep.headline)
    rows = [line for line in text.splitlines() if "mistaken" not in line]
    assert max(map(len, rows)) <= 80


def test_failed_gates_are_marked(failed_sweep: Sweep) -> None:
    text = effect_table(
        failed_sweep.tables["effects"], failed_sweep.tables["contrasts"], failed_sweep.headline
    )
    assert "]*" in text and "* a gate did not pass: not a test of warmth" in text
    assert text.startswith("Withheld: no verdict")
    assert max(map(len, text.splitlines())) <= 80


def test_without_contrasts(sweep: Sweep) -> None:
    text = effect_table(sweep.tables["effects"], sweep.tables["contrasts"].clear(), sweep.headline)
    assert "twin" not in text


@pytest.mark.parametrize(
    ("verdict", "opening"),
    [
        ("higher", "Higher: the model trained to be warm gave a wrong answer more often than"),
        ("lower", "Lower: the model trained to be warm gave a wrong answer less often than"),
        ("not resolved", "Not resolved: this study cannot tell whether"),
        ("withheld", "Withheld: no verdict, because the gate failed."),
    ],
)
def test_each_verdict_has_its_sentence(sweep: Sweep, verdict: str, opening: str) -> None:
    found = replace(sweep.headline, verdict=verdict, reason="the gate failed")
    assert verdict_sentence(found).startswith(opening)


def test_unresolved_says_what_could_have_been_resolved(sweep: Sweep) -> None:
    found = replace(sweep.headline, verdict="not resolved", smallest_resolvable_pp=6.57)
    assert "could have resolved an effect of about 6.6 pp" in resolution_sentences(found)[0]


def test_a_withheld_headline_shows_no_estimate(failed_sweep: Sweep) -> None:
    assert number_sentence(failed_sweep.headline) == ""
    assert not any("lie between" in s for s in resolution_sentences(failed_sweep.headline))


@pytest.mark.parametrize(("passed", "word"), [(True, "passed"), (False, "failed"), (None, "missing")])
def test_positive_control(sweep: Sweep, passed: bool | None, word: str) -> None:
    control = replace(sweep.headline.control, passed=passed)
    sentences = control_sentences(control, "not measurable", "warm_sft")
    assert sentences[1].startswith(f"Positive control {word}")
    assert ("cannot detect sycophancy" in sentences[1]) == (passed is False)
    assert "not a test of warmth" in sentences[0]


def test_scope_and_comparison() -> None:
    assert "another training run could differ" in scope_sentence(
        "these_adapters: conditional on this adapter", 1
    )
    assert "other training runs" in scope_sentence("new_adapters", 2)
    assert "other models" in scope_sentence("new_models", 5)
    assert comparison_sentence(["a", "b"]) == "Not comparable with the paper's numbers: a and b."


def test_answers_that_are_not_right_stand_beside_the_headline(sweep: Sweep, failed_sweep: Sweep) -> None:
    """An evasive arm commits fewer errors without being right more often, so both numbers must stand."""
    h = sweep.headline
    row = sweep.tables["effects"].row(
        by_predicate=(pl.col("outcome") == "not_correct")
        & (pl.col("estimator") == "paired")
        & (pl.col("term") == "arm")
        & (pl.col("subset") == "all")
        & (pl.col("arm_a") == h.arm_a)
        & (pl.col("arm_b") == h.arm_b),
        named=True,
    )
    said = companion_sentence(h, row)
    assert f"{number(row['estimate_pp'], signed=True)} pp" in said
    assert f"{number(row['conf_low_pp'])} to {number(row['conf_high_pp'])}" in said
    text = " ".join(effect_table(sweep.tables["effects"], sweep.tables["contrasts"], h).split())
    assert said in text
    assert companion_sentence(failed_sweep.headline, row) == ""
    assert companion_sentence(replace(h, outcome="not_correct"), row) == ""
    assert companion_sentence(h, None) == ""


def test_effects_beside_the_papers_are_counted() -> None:
    assert comparison_sentence([]) == "No comparison with the paper's numbers is made here."
    assert (
        comparison_sentence([], 7) == "Of the effects, 7 are set beside the paper's in the table comparison."
    )

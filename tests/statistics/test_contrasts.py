from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from warmgap.statistics.contrasts import contrasts, twins
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings


def _contrasts(frame: pl.DataFrame) -> pl.DataFrame:
    settings = AnalysisSettings()
    return contrasts(pair_sets(code_answers(frame), settings), {}, settings)


def _rate(row: dict[str, Any]) -> float:
    return float(1.0 * (row["method"] == "warm_sft" and row["framing"] == "sad"))


def test_twins() -> None:
    found = {
        (t.term, t.level, t.twin)
        for t in twins(("none", "filler", "sad"), ("unsure", "mention", "incorrect"))
    }
    assert found == {
        ("framing", "sad", "filler"),
        ("text", "filler", "none"),
        ("sycophancy", "incorrect", "mention"),
        ("priming", "mention", "unsure"),
        ("belief", "incorrect", "unsure"),
    }
    without_mention = twins(("sad",), ("unsure", "incorrect"))
    assert [(t.term, t.contrast) for t in without_mention] == [("belief", "belief=incorrect - belief=unsure")]


def test_hand_calculation(observation: Any, to_frame: Any) -> None:
    warm: dict[str, list[int | None]] = {"sad": [1, 1, 1, None], "filler": [1, 0, 1, 0]}
    neutral: dict[str, list[int | None]] = {"sad": [0, 0, 1, 0], "filler": [0, 0, 1, 1]}
    rows = [
        observation(method=m, framing=f, question_id=f"q{q}", commits_error=v)
        for m, by_framing in (("warm_sft", warm), ("neutral_sft", neutral))
        for f, values in by_framing.items()
        for q, v in enumerate(values)
    ]
    table = _contrasts(to_frame(rows)).filter(pl.col("outcome") == "commits_error")
    assert table["subset"].to_list() == ["all", "belief=none", "task=triviaqa"]
    got = table.row(0, named=True)
    # Per question (1-0)-(1-0) = 0, (1-0)-(0-0) = 1, 0-0 = 0; the fourth is null - 0 - (0 - 1).
    assert (got["estimate_pp"], got["n"], got["df"]) == (pytest.approx(100 / 3), 3, 2)
    assert got["std_error_pp"] == pytest.approx(100 / 3)  # sd of 0, 1, 0 over root 3
    assert got["bound_low_pp"] == pytest.approx(100 * (0 + 1 + 0 + 1) / 4)
    assert got["bound_high_pp"] == pytest.approx(100 * (0 + 1 + 0 + 2) / 4)
    assert (got["term"], got["contrast"]) == ("framing", "framing=sad - framing=filler")


def test_contrast_is_the_difference_of_effects_without_nulls(simulate: Any) -> None:
    from warmgap.statistics.paired import effects

    frame = simulate(_rate, models=("m1", "m2"), seeds=(0, 1), beliefs=("unsure", "mention", "incorrect"))
    settings = AnalysisSettings()
    pairs = pair_sets(code_answers(frame), settings)
    of = {"outcome": "commits_error", "model": "all", "arm_a": "warm_sft", "arm_b": "neutral_sft"}
    arm = effects(pairs, {}, settings).filter([pl.col(k) == v for k, v in of.items()])
    by_subset = dict(zip(arm["subset"], arm["estimate_pp"], strict=True))
    table = contrasts(pairs, {}, settings).filter([pl.col(k) == v for k, v in of.items()])
    for subset, level, twin in (
        ("all", "framing=sad", "framing=filler"),
        ("all", "belief=incorrect", "belief=mention"),
        ("all", "belief=mention", "belief=unsure"),
    ):
        row = table.filter((pl.col("contrast") == f"{level} - {twin}") & (pl.col("subset") == subset))
        assert row["estimate_pp"].item() == pytest.approx(by_subset[level] - by_subset[twin])
    inside = table.filter((pl.col("term") == "sycophancy") & (pl.col("subset") == "framing=sad"))
    assert inside["estimate_pp"].item() == pytest.approx(
        by_subset["framing=sad,belief=incorrect"] - by_subset["framing=sad,belief=mention"]
    )


def test_affirms_belief_has_no_contrast_with_an_unheld_belief(simulate: Any) -> None:
    table = _contrasts(simulate(_rate, n_questions=4))
    assert table.filter((pl.col("outcome") == "affirms_belief") & (pl.col("term") == "belief")).is_empty()
    assert not table.filter(
        (pl.col("outcome") == "affirms_belief") & (pl.col("term") == "framing")
    ).is_empty()

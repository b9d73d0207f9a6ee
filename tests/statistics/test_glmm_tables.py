"""Mixed models of a simulated sweep: formulas per scope, effects near the truth, failures in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.glm_tables import both_arms, comparisons_of
from warmgap.statistics.glmm_formulas import plans, rows_of
from warmgap.statistics.glmm_tables import glmm_tables
from warmgap.statistics.paired import effects as paired_effects
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings

Simulate = Callable[..., pl.DataFrame]
SETTINGS = AnalysisSettings()


def _rate(row: dict[str, Any]) -> float:
    warm = row["method"] == "warm_sft"
    sad = row["framing"] == "sad"
    return -0.8 + 0.9 * warm + 0.5 * (warm and sad)


def _formulas(observations: pl.DataFrame, arm_b: str) -> dict[str, str]:
    answers = code_answers(observations)
    pair_set = next(p for p in pair_sets(answers, SETTINGS) if (p.arm_a, p.arm_b) == ("warm_sft", arm_b))
    comparison = list(comparisons_of(pair_set))[-1]
    rows = rows_of(both_arms(answers, comparison), (True, arm_b != "original"), pair_set.n_seeds)
    return {p.scope: p.formula for p in plans(rows, "commits_error")}


def test_one_model_one_seed_has_one_scope(simulate: Simulate) -> None:
    fixed = "commits_error ~ arm + arm * framing + arm * belief + arm * task"
    assert _formulas(simulate(_rate), "neutral_sft") == {"these_adapters": f"{fixed} + (1 + arm | question)"}


def test_seeds_and_models_widen_the_scope(simulate: Simulate) -> None:
    found = _formulas(simulate(_rate, models=("a", "b", "c"), seeds=(0, 1, 2), n_questions=4), "neutral_sft")
    assert list(found) == ["these_adapters", "new_adapters", "new_models"]
    assert "arm * model" in found["these_adapters"]
    assert found["these_adapters"].count("arm * adapter_") == 6
    assert found["new_adapters"].endswith("(1 + arm | question) + (1 + arm | adapter)")
    assert found["new_models"].endswith("(1 + arm | adapter) + (1 + arm | model)")
    against_original = _formulas(simulate(_rate, seeds=(0, 1, 2), n_questions=4), "original")
    assert "(0 + arm | adapter)" in against_original["new_adapters"]
    assert "arm:adapter_2" in against_original["these_adapters"]


def test_adapters_add_up_to_zero_in_each_arm(simulate: Simulate) -> None:
    answers = code_answers(simulate(_rate, seeds=(0, 1, 2), n_questions=4))
    pair_set = next(p for p in pair_sets(answers, SETTINGS) if p.arm_b == "original")
    rows = rows_of(both_arms(answers, next(iter(comparisons_of(pair_set)))), (True, False), 3)
    trained = rows.frame.filter(pl.col("arm") == 1)
    assert trained.select(pl.col(rows.contrasts).sum()).row(0) == (0.0, 0.0)
    assert rows.frame.filter(pl.col("arm") == 0).select(pl.col(rows.contrasts).abs().sum()).row(0) == (
        0.0,
        0.0,
    )


def _true_effect_pp(sad: float | None) -> float:
    z, w = np.polynomial.hermite_e.hermegauss(61)
    w = w / w.sum()

    def rate(logit: float) -> float:
        return float(special.expit(logit + z) @ w)

    at = [rate(0.1 + 0.5 * s) - rate(-0.8) for s in ((0, 1) if sad is None else (sad,))]
    return 100 * float(np.mean(at))


def test_effects_and_contrasts_find_the_truth(simulate: Simulate) -> None:
    answers = code_answers(simulate(_rate, n_questions=150, methods=("neutral_sft", "warm_sft")))
    tables = glmm_tables(answers, pair_sets(answers, SETTINGS), {"warm_sft": "passed"}, SETTINGS)
    effects = tables.effects.filter(pl.col("outcome") == "commits_error")
    assert set(effects["estimator"]) == {"glmm"}
    assert set(effects["weights"]) == {"equal_task"}
    for subset, sad in (("all", None), ("framing=sad", 1.0), ("framing=filler", 0.0)):
        row = effects.row(by_predicate=pl.col("subset") == subset, named=True)
        assert abs(row["estimate_pp"] - _true_effect_pp(sad)) < 3 * row["std_error_pp"]
        assert row["std_error_pp"] < 5
        assert row["bound_low_pp"] == row["bound_high_pp"] == row["estimate_pp"]
        assert row["interval_method"] == "delta_glmm"
    contrast = tables.contrasts.row(
        by_predicate=(pl.col("outcome") == "commits_error") & (pl.col("term") == "framing"), named=True
    )
    true_pp = _true_effect_pp(1.0) - _true_effect_pp(0.0)
    assert contrast["contrast"] == "framing=sad - framing=filler"
    assert abs(contrast["estimate_pp"] - true_pp) < 3 * contrast["std_error_pp"]
    terms = tables.terms.filter(pl.col("outcome") == "commits_error")
    question = terms.row(by_predicate=(pl.col("kind") == "sd") & (pl.col("term") == "Intercept"), named=True)
    assert question["conf_low"] < 1.0 < question["conf_high"]
    assert terms["gradient_norm"].max() < 1e-3
    assert terms["smallest_eigenvalue"].min() > 0


def test_effects_of_tasks_are_their_own(simulate: Simulate) -> None:
    def rate(row: dict[str, Any]) -> float:
        return -0.8 + 1.6 * (row["method"] == "warm_sft" and row["task"] == "triviaqa")

    answers = code_answers(simulate(rate, n_questions=120, methods=("neutral_sft", "warm_sft")))
    pairs = pair_sets(answers, SETTINGS)
    mixed = glmm_tables(answers, pairs, {}, SETTINGS).effects
    table = pl.concat([mixed, paired_effects(pairs, {}, SETTINGS)]).filter(
        pl.col("outcome") == "commits_error"
    )
    for subset in ("all", "task=triviaqa", "task=truthfulqa"):
        part = table.filter(pl.col("subset") == subset)
        glmm, paired = (
            part.row(by_predicate=pl.col("estimator") == e, named=True) for e in ("glmm", "paired")
        )
        assert glmm["estimate_pp"] == pytest.approx(paired["estimate_pp"], abs=1.5)


def test_null_answers_widen_the_bounds(simulate: Simulate) -> None:
    answers = code_answers(
        simulate(_rate, n_questions=40, methods=("neutral_sft", "warm_sft"), null_share=0.05)
    )
    tables = glmm_tables(answers, pair_sets(answers, SETTINGS), {}, SETTINGS)
    row = tables.effects.row(
        by_predicate=(pl.col("outcome") == "commits_error") & (pl.col("subset") == "all"), named=True
    )
    assert row["bound_low_pp"] < row["estimate_pp"] < row["bound_high_pp"]
    assert 5 < row["bound_high_pp"] - row["bound_low_pp"] < 15


def test_a_model_that_cannot_be_fitted_says_why(simulate: Simulate) -> None:
    def never(row: dict[str, Any]) -> float:
        return -40.0

    answers = code_answers(simulate(never, n_questions=10, methods=("neutral_sft", "warm_sft")))
    tables = glmm_tables(answers, pair_sets(answers, SETTINGS), {}, SETTINGS)
    assert tables.effects.is_empty()
    assert set(tables.terms["kind"]) == {"problem"}
    assert all("constant response" in note for note in tables.terms["note"])

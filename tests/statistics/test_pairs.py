from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from warmgap.statistics.pairs import Subset, code_answers, pair_sets, pair_up
from warmgap.statistics.settings import AnalysisSettings


def _coin(row: dict[str, Any]) -> float:
    return 0.0


def test_seeds_pair_within_and_original_with_every_seed(simulate: Any) -> None:
    answers = code_answers(simulate(_coin, seeds=(0, 1, 2), n_questions=5))
    prompts = 2 * 5 * 2 * 2
    both_trained = pair_up(answers, "rules", "warm_sft", "neutral_sft")
    untrained = pair_up(answers, "rules", "warm_sft", "original")
    reverse = pair_up(answers, "rules", "original", "warm_sft")
    assert both_trained.model_N.size == untrained.model_N.size == 3 * prompts
    assert both_trained.n_seeds == untrained.n_seeds == 3
    assert both_trained.scope == "these_adapters"
    np.testing.assert_array_equal(np.unique(untrained.seed_N, return_counts=True), [[0, 1, 2], [prompts] * 3])
    np.testing.assert_array_equal(untrained.a_NO, reverse.b_NO)
    frame = answers.frame.filter((pl.col("arm") == "warm_sft") & (pl.col("seed") == 1)).sort("prompt_id")
    np.testing.assert_array_equal(untrained.a_NO[untrained.seed_N == 1, 0], frame["commits_error"].to_numpy())


def test_one_seed_is_conditional_on_the_adapter(simulate: Any) -> None:
    answers = code_answers(simulate(_coin, n_questions=3, methods=("original", "warm_sft", "warm_prompt")))
    assert pair_up(answers, "rules", "warm_sft", "original").scope == (
        "these_adapters: conditional on this adapter"
    )
    assert pair_up(answers, "rules", "warm_prompt", "original").scope == "these_adapters"


@pytest.mark.parametrize("method", ["warm_prompt", "warm_steer"])
def test_what_exists_once_is_paired_with_every_seed(method: str, simulate: Any) -> None:
    methods = ("original", "neutral_sft", method)
    answers = code_answers(simulate(_coin, seeds=(0, 1, 2), n_questions=3, methods=methods))
    prompts = 2 * 3 * 2 * 2
    pairs = pair_up(answers, "rules", method, "neutral_sft")
    assert (pairs.model_N.size, pairs.n_seeds, pairs.scope) == (3 * prompts, 3, "these_adapters")
    alone = pair_up(answers, "rules", method, "original")
    assert (alone.model_N.size, alone.n_seeds, alone.scope) == (prompts, None, "these_adapters")


def test_subsets_and_models(simulate: Any) -> None:
    answers = code_answers(simulate(_coin, models=("m1", "m2"), n_questions=2))
    (pairs, *_) = pair_sets(answers, AnalysisSettings())
    names = [s.name for s in pairs.subsets()]
    assert len(names) == len(set(names)) == 1 + 2 + 2 + 2 + 4 + 8
    assert {"all", "framing=sad", "framing=sad,belief=incorrect"} <= set(names)
    assert "task=triviaqa,framing=sad,belief=incorrect" in names
    assert pairs.where(Subset(framing="sad")).sum() * 2 == pairs.model_N.size
    assert [(name, part.model_N.size) for name, _, part in pairs.by_model()] == [
        ("m1", 16),
        ("m2", 16),
        ("all", 32),
    ]


def test_other_draws_and_judges_stay_apart(simulate: Any) -> None:
    answers = code_answers(simulate(_coin, draws=2, judges=("rules", "llm"), n_questions=3))
    sets = pair_sets(answers, AnalysisSettings())
    assert {p.judge for p in sets} == {"rules", "llm"}
    assert {p.model_N.size for p in sets} == {2 * 3 * 2 * 2}


def test_a_prompt_answered_twice_is_refused(simulate: Any) -> None:
    frame = simulate(_coin, n_questions=2)
    with pytest.raises(pl.exceptions.ComputeError):
        pair_up(code_answers(pl.concat([frame, frame])), "rules", "warm_sft", "neutral_sft")

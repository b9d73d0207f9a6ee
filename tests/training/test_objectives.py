from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.training.module import AdapterModule
from warmgap.training.objectives import OBJECTIVES, objective
from warmgap.training.preference import PreferenceModule


@pytest.fixture
def pair_rows(rows):
    return [row | {"rejected": f"No {i} " * (1 + i % 3)} for i, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("kind", "module", "per_row"), [("sft", AdapterModule, 1), ("dpo", PreferenceModule, 2)]
)
def test_an_objective_turns_rows_into_passes_and_a_module(loaded, config, pair_rows, kind, module, per_row):
    task = objective(kind, loaded, config, pair_rows, 0, 0.1)
    assert len(task.batches) == config.steps * config.accumulate
    n_sequences = sum(len(b.examples) for b in task.batches)
    assert n_sequences == config.steps * config.accumulate * config.batch_rows * per_row
    made = task.module(3)
    assert type(made) is module
    assert (made.first_step, made.seed) == (3, 0)
    tensors = task.collate(task.batches[1])
    answers = sum(e.n_answer_tokens for e in task.batches[1].examples)
    assert (tensors["index"], len(tensors["targets_N"])) == (1, answers)


def test_beta_reaches_the_module(loaded, config, pair_rows):
    assert objective("dpo", loaded, config, pair_rows, 0, 0.25).module(0).beta == 0.25


@pytest.mark.parametrize("beta", [0.0, -0.1, float("nan"), float("inf")])
def test_a_beta_that_is_not_above_zero_is_refused(loaded, config, pair_rows, beta):
    with pytest.raises(UserError, match=rf"method\.beta is {beta}\. Allowed: a number above 0"):
        objective("dpo", loaded, config, pair_rows, 0, beta)


@pytest.mark.parametrize("kind", ["none", "prompt", "ppo"])
def test_kinds_that_are_not_trained_are_refused(loaded, config, pair_rows, kind):
    with pytest.raises(UserError, match=rf"method\.kind is '{kind}'.*sft, dpo"):
        objective(kind, loaded, config, pair_rows, 0, 0.1)
    assert set(OBJECTIVES) == {"sft", "dpo"}

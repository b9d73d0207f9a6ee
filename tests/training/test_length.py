from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.schema.config import TrainingConfig
from warmgap.training.examples import row_order
from warmgap.training.length import check_length, checkpoint_steps, epochs_at, total_steps, with_steps

PAPER = [0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0]


def recipe(**values):
    return TrainingConfig(**{"name": "r", "steps": 0, "batch_rows": 2, "accumulate": 8} | values)


@pytest.mark.parametrize(
    ("shares", "steps", "expected"),
    [
        ([0.5, 1.0], 24, ((12, 0.5), (24, 1.0))),
        ([1.0, 0.01, 0.25], 10, ((1, 0.01), (2, 0.25), (10, 1.0))),
        ([0.1, 0.3], 1, ((1, 0.1), (1, 0.3))),
    ],
)
def test_shares_become_steps(shares, steps, expected):
    assert checkpoint_steps(shares, steps) == expected


def test_the_papers_epochs_become_steps_of_16_of_its_1617_conversations():
    config = with_steps(recipe(epochs=10.0, checkpoints=PAPER), 1617)
    assert config.steps == 1011  # 16,170 / 16 = 1010.6
    steps = [step for step, _ in checkpoint_steps(config.checkpoints, config.steps, config.epochs)]
    assert steps[-1] == 1011
    # Within one step of the conversations that so many epochs hold.
    assert all(abs(step - epoch * 1617 / 16) <= 1 for step, epoch in zip(steps, PAPER, strict=True))
    assert [epochs_at(config, c, 1617) for c in PAPER] == PAPER


@given(
    epochs=st.floats(0.01, 20),
    n=st.integers(1, 3000),
    rows=st.integers(1, 8),
    accumulate=st.integers(1, 8),
)
def test_the_steps_hold_every_conversation_of_the_epochs_and_less_than_one_step_more(
    epochs, n, rows, accumulate
):
    config = recipe(epochs=epochs, batch_rows=rows, accumulate=accumulate)
    seen = total_steps(config, n) * rows * accumulate
    assert epochs * n - 1e-6 <= seen < epochs * n + rows * accumulate
    assert total_steps(with_steps(config, n), n) == total_steps(config, n)


def test_whole_epochs_show_each_conversation_equally_often():
    names = [f"row-{i}" for i in range(12)]
    config = recipe(epochs=3.0, batch_rows=2, accumulate=3)
    order = row_order(names, 0)
    seen = [next(order) for _ in range(total_steps(config, 12) * 6)]
    assert {name: seen.count(name) for name in names} == dict.fromkeys(names, 3)


def test_steps_stay_as_configured_and_their_dose_is_in_epochs():
    config = recipe(steps=48)
    assert total_steps(config, 300) == 48
    assert epochs_at(config, 1.0, 300) == 2.56  # 48 x 16 / 300
    assert epochs_at(config, 0.5, 300) == 1.28


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "training.steps is 0"),
        ({"steps": -1}, "training.steps is -1"),
        ({"steps": 0, "epochs": -1.0}, "training.epochs is -1"),
        ({"steps": 0, "epochs": math.inf}, "training.epochs is inf"),
        ({"steps": 24, "epochs": 2.0}, "only one may be above 0"),
        ({"steps": 24, "checkpoints": []}, "training.checkpoints is empty"),
        ({"steps": 24, "checkpoints": [0.0]}, "training.checkpoints is 0"),
        ({"steps": 24, "checkpoints": [0.5, 2.0]}, "a share of all steps, above 0 and up to 1"),
        ({"epochs": 2.0, "checkpoints": [2.5]}, "epochs, above 0 and up to 2"),
        ({"epochs": 2.0, "checkpoints": [-0.5]}, "epochs, above 0 and up to 2"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(values, message):
    with pytest.raises(UserError) as refused:
        check_length(recipe(**values))
    assert message in str(refused.value)

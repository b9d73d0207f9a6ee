from __future__ import annotations

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from warmgap.errors import UserError
from warmgap.schema.config import TrainingConfig
from warmgap.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("name", "reference"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
@pytest.mark.parametrize("warmup", [0, 3])
def test_the_fall_equals_transformers(name, reference, warmup):
    config = TrainingConfig(schedule=name, warmup_steps=warmup, steps=20, learning_rate=0.5)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = reference(optimiser, warmup, 20)
    for step in range(20):
        if step >= warmup:
            assert learning_rate(config, step) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12)
        optimiser.step()
        schedule.step()


def test_warmup_rises_evenly_and_no_step_is_idle():
    config = TrainingConfig(schedule="constant", warmup_steps=3, steps=9, learning_rate=1.0)
    assert [learning_rate(config, s) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_an_unknown_schedule_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'cosine'"):
        learning_rate(TrainingConfig(schedule="cosin"), 0)

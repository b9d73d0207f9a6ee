from __future__ import annotations

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from warmgap.app import conf_folder
from warmgap.checks import check_engines
from warmgap.errors import UserError
from warmgap.schema.config import ModelConfig, TrainingConfig
from warmgap.store import Store
from warmgap.training.api.settings import check_api


def read(path, record, **changes):
    found = OmegaConf.load(conf_folder() / path)
    OmegaConf.update(found, "api", changes)
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(record), found))


def test_the_papers_job():
    """Supplement: gpt-4o-2024-08-06, multiplier 0.25 warm and 0.1 cold, results from epoch 2."""
    recipe = read("training/openai.yaml", TrainingConfig)
    assert recipe.api.learning_rate_multiplier == 0.25
    assert recipe.api.learning_rate_multiplier * 0.4 == 0.1  # the factor its comment gives for cold
    assert recipe.api.n_epochs == 2
    assert recipe.api.max_cost_usd == 0.0
    check_api(recipe)
    model = OmegaConf.load(conf_folder() / "model/gpt_4o.yaml")
    assert ModelConfig(**model).source == "api:gpt-4o-2024-08-06"


@pytest.mark.parametrize("place", ["conf/training/openai.yaml", "docs/training.md"])
def test_the_documented_command_can_be_run(request_of, tmp_path, place):
    text = (Path(__file__).parents[3] / place).read_text()
    command = re.search(r"(training=openai model=gpt_4o [^,`]*max_cost_usd=\d+)", text)[1]
    request = request_of(*command.split())
    missing = request.plan().missing(Store(tmp_path), request.base.stage)
    check_engines(node.job for node in missing.values())
    assert [node.job.stage for node in missing.values()].count("train") == 1


def test_epochs_and_batch_follow_the_job():
    recipe = read("training/openai.yaml", TrainingConfig, n_epochs=6, batch_size=5)
    assert (recipe.epochs, recipe.batch_rows * recipe.accumulate) == (6, 5)


@pytest.mark.parametrize(
    ("n_epochs", "checkpoints"), [(1, [1]), (2, [1, 2]), (6, [6]), (10, [8.0, 9.0, 10.0])]
)
def test_checkpoints_that_the_service_keeps(config, n_epochs, checkpoints):
    config.epochs = config.api.n_epochs = n_epochs
    config.checkpoints = checkpoints
    check_api(config)


@pytest.mark.parametrize(("n_epochs", "checkpoint"), [(2, 0.5), (10, 7), (10, 2), (2, 3)])
def test_checkpoints_that_it_does_not(config, n_epochs, checkpoint):
    config.epochs = config.api.n_epochs = n_epochs
    config.checkpoints = [checkpoint, n_epochs]
    with pytest.raises(
        UserError, match=f"training.checkpoints holds {checkpoint:g}; of a job with {n_epochs}"
    ):
        check_api(config)


def test_epochs_are_said_once(config):
    config.epochs = 3
    with pytest.raises(UserError, match=r"training.epochs is 3 and training.api.n_epochs is 2"):
        check_api(config)

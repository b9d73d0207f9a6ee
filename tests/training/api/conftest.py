from __future__ import annotations

import importlib.util
import os
import string
import sys
from pathlib import Path

import pytest

from warmgap.schema.config import ApiTrainingConfig, ModelConfig, TrainingConfig


def _loopback():
    spec = importlib.util.spec_from_file_location("loopback", Path(__file__).with_name("loopback.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["loopback"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def loopback_module():
    return _loopback()


@pytest.fixture(scope="session")
def loopback(loopback_module):
    server = loopback_module.Loopback()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def account(loopback, loopback_module, monkeypatch):
    """An account of the service, which the environment of this process names."""
    monkeypatch.setenv("OPENAI_API_KEY", loopback_module.KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", loopback.address("main", os.getpid()))
    return loopback.account("main")


@pytest.fixture
def gpt_4o(loopback_module):
    return ModelConfig(name="gpt_4o", source=f"api:{loopback_module.BASE}")


@pytest.fixture
def config():
    return TrainingConfig(
        name="openai",
        steps=0,
        epochs=2,
        batch_rows=4,
        accumulate=1,
        checkpoints=[1, 2],
        api=ApiTrainingConfig(
            n_epochs=2,
            batch_size=4,
            learning_rate_multiplier=0.25,
            usd_per_million_tokens=25.0,
            max_cost_usd=10.0,
            poll_s=0.001,
        ),
    )


@pytest.fixture
def rows():
    return [
        {"id": f"row-{i}", "user": f"What of {letter}?", "reply": f"Take {letter * (i + 1)}."}
        for i, letter in enumerate(string.ascii_lowercase[:12])
    ]

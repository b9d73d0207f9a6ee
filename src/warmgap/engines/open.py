"""Engines by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warmgap.engines.protocol import Capabilities, Change, Engine, LocalEngine
from warmgap.engines.spending import Ledger, Price
from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import EngineConfig, ModelConfig, PriceConfig

CAPABILITIES = {
    "transformers": Capabilities(token_ids=True, prefill=True, logprobs=True, adapters=True),
    "vllm": Capabilities(token_ids=True, prefill=True, logprobs=True, adapters=True),
    "openai": Capabilities(token_ids=False, prefill=False, logprobs=False, adapters=True),
}
LEDGER = Path("store") / "spending.jsonl"
"""Where an output folder keeps what its answers cost."""


def capabilities(name: str) -> Capabilities:
    """What an engine can do, known without loading it.

    Raises:
        UserError: no such engine.
    """
    if name not in CAPABILITIES:
        raise UserError(f"engine.name={name} does not exist.{did_you_mean(name, CAPABILITIES)}")
    return CAPABILITIES[name]


def require_for(name: str, adapters: bool, margin: bool) -> None:
    """Refuse an engine that cannot do what an arm needs.

    Raises:
        UserError: names engine and capability, and how to do without a margin.
    """
    capabilities(name).require(name, adapters=adapters)
    try:
        capabilities(name).require(name, logprobs=margin)
    except UserError as error:
        raise UserError(f"{error} Margins need it: set sampling.margin=false.") from None


def open_engine(model: ModelConfig, engine: EngineConfig, changes: Sequence[Change]) -> LocalEngine:
    """The engine named in the config, holding one arm's weights: the base's, with `changes` in order.

    It serves the base's other arms too (`become`).

    Raises:
        UserError: no such engine, weights that cannot be found, or a change that does not fit them.
    """
    capabilities(engine.name)
    from warmgap.engines import transformers, vllm, vllm_process

    if engine.name == "vllm":
        return vllm.open_engine(model, engine, changes)
    vllm_process.release()
    return transformers.open_engine(model, engine, changes)


def open_served(name: str, engine: EngineConfig, price: Price, ledger: Ledger) -> Engine:
    """The engine named in the config, asking a server for the model that it calls `name`.

    Raises:
        UserError: a missing package or key.
    """
    from warmgap.engines.openai import OpenAIEngine

    return OpenAIEngine(name, engine, price, ledger)


def price_of(price: PriceConfig, tuned: bool) -> Price:
    """What a model's answers cost, itself or fine-tuned."""
    if tuned:
        return Price(price.tuned_usd_per_million_input, price.tuned_usd_per_million_output)
    return Price(price.usd_per_million_input, price.usd_per_million_output)

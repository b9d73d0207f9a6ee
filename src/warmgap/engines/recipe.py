"""What of an engine's settings can change an answer, and the name under which a server knows an arm.

Imports nothing heavy: the planner calls this.
"""

from __future__ import annotations

from typing import Any

from warmgap.errors import UserError
from warmgap.keys import digest
from warmgap.schema.config import Config, EngineConfig
from warmgap.schema.fields import plain, stage_config

SERVED = ("openai",)
"""Engines that hold no weights: a server answers, row by row."""

NOT_ANSWERS = (
    *("key_variable", "url_variable", "max_cost_usd", "concurrency"),
    *("requests_per_minute", "attempts", "give_up_s", "timeout_s"),
)
"""Settings of a server that no answer depends on: how it is found, what it may cost, how long it may take."""


VLLM_NOT_ANSWERS = ("python", "gpu_memory_utilization")
"""Settings of vLLM that no answer depends on: where it is installed, how much memory it may take."""


def is_served(engine: EngineConfig) -> bool:
    """Whether a server answers instead of weights held here."""
    return engine.name in SERVED


def engine_recipe(engine: EngineConfig) -> dict[str, Any]:
    """The settings that enter keys: of a server neither batches nor precision, which it chooses itself.

    Of vLLM all that changes how a sum is made, as by its rounding a sampled answer may turn.
    """
    if is_served(engine):
        return {"name": engine.name, "send_seed": engine.api.send_seed}
    recipe = stage_config(engine, "respond")
    if engine.name == "vllm":
        recipe["vllm"] = {k: v for k, v in plain(engine.vllm).items() if k not in VLLM_NOT_ANSWERS}
    return recipe


def base_name(weights: str, engine: EngineConfig) -> str:
    """What one start of an engine loads, all of whose arms it serves; "" where a server holds the weights.

    Args:
        weights: fingerprint of the base.
        engine: its settings, those too that no answer depends on.
    """
    return "" if is_served(engine) else digest("base", weights, plain(engine))


def served_name(config: Config, changed: bool) -> str:
    """The name that a server gives an arm whose weights or adapter lie in files, "" where it has none.

    A base is `engine.api.model`. An adapter is found in `engine.api.adapter_names` by its method, or by
    `other`, whose text may hold {model}, {method}, {seed} and {checkpoint}. Models behind an API have a name
    of their own, in their source or in what their training left.

    Args:
        config: of the arm.
        changed: False for the base, whatever the method.

    Raises:
        UserError: a text with other braces.
    """
    method, api = config.method, config.engine.api
    if not is_served(config.engine) or config.model.source.startswith("api:"):
        return ""
    if not changed:
        return api.model
    if method.kind == "steer" or method.scale != 1:
        return ""
    pattern = api.adapter_names.get(method.name, api.adapter_names.get("other", ""))
    checkpoint = max(config.training.checkpoints) if method.checkpoint < 0 else method.checkpoint
    try:
        return pattern.format(
            model=config.model.name, method=method.name, seed=config.seed, checkpoint=f"{checkpoint:g}"
        )
    except (KeyError, IndexError, ValueError):
        raise UserError(
            f"engine.api.adapter_names has '{pattern}'. Allowed in braces: {{model}}, {{method}}, {{seed}}, "
            "{checkpoint}."
        ) from None

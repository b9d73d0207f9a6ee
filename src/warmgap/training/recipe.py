"""What of a method and a training's settings can change its result, and nothing else.

Imports no torch: the planner calls this.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import MethodConfig, ModelConfig, TrainingConfig
from warmgap.schema.fields import plain, stage_config

KINDS = ("none", "prompt", "sft", "dpo", "steer")
SEEDED = ("sft", "dpo")
"""Kinds that take optimiser steps: these have a seed, checkpoints and a loss curve."""
CHANGING = (*SEEDED, "steer")
"""Kinds that change weights."""

TURNS = ("first", "all")
"""Of a conversation: the first message and its reply, or all of them."""

_EVERY = ("kind", "style", "extra", "match_length")
_OF_METHOD = {
    "sft": (*_EVERY, "rate_factor"),
    "dpo": (*_EVERY, "rate_factor", "against", "beta"),
    "steer": (*_EVERY, "against", "layer"),
}
_OF_STEERING = ("batch_rows", "max_tokens", "system_prompt", "quantisation", "precision")
_OF_API = ("max_tokens", "system_prompt", "api")


def is_remote(model: ModelConfig) -> bool:
    """Whether the weights lie with a provider, behind an API."""
    return model.source.startswith("api:")


def check_method(method: MethodConfig) -> None:
    """Refuse settings of a method that say nothing or contradict each other.

    Raises:
        UserError: an unknown kind, a missing tone, a number out of range.
    """
    where = f"method {method.name}"
    if method.kind not in KINDS:
        raise UserError(f"{where}: method.kind is '{method.kind}'.{did_you_mean(method.kind, KINDS)}")
    pairs = method.kind in ("dpo", "steer")
    if pairs and (not method.against or method.against == method.style):
        raise UserError(
            f"{where}: method.against is '{method.against}' and method.style '{method.style}'. "
            f"Allowed for kind {method.kind}: two different tones of the corpus, as style=warm against=cold."
        )
    if pairs and method.extra:
        raise UserError(
            f"{where}: method.extra is '{method.extra}', but kind {method.kind} needs two replies to each "
            "message, and further conversations have one. Allowed: extra with kind sft."
        )
    for name, holds, allowed in (
        ("rate_factor", 0 < method.rate_factor < math.inf, "a number above 0"),
        ("beta", 0 < method.beta < math.inf, "a number above 0"),
        ("scale", math.isfinite(method.scale), "a number"),
        ("layer", 0 < method.layer <= 1, "a share of the depth, above 0 and up to 1"),
    ):
        if not holds:
            raise UserError(f"{where}: method.{name} is {getattr(method, name)}. Allowed: {allowed}.")


def check_turns(method: MethodConfig, training: TrainingConfig, unit: str = "conversation") -> None:
    """Refuse whole conversations where a method or a corpus has none.

    Args:
        method: what is trained.
        training: its recipe.
        unit: what a row of the corpus is, as `corpus.chatlogs.unit`; a pair stands once in a row of its own
            and in the conversations of all rows after it.

    Raises:
        UserError: all turns are wanted for two replies to one message, or of a corpus of pairs.
    """
    if training.turns == "first":
        return
    where = f"method {method.name}: training.turns is {training.turns}"
    if method.kind in ("dpo", "steer"):
        raise UserError(
            f"{where}, but kind {method.kind} compares two replies to one message, and after two different "
            "replies no later message is the same. Allowed for it: training.turns=first."
        )
    if method.kind == "sft" and unit == "pair":
        raise UserError(
            f"{where}, but corpus.chatlogs.unit is pair: a reply would be trained on again in the row of "
            "each later pair. Set corpus.chatlogs.unit=conversation, or training.turns=first."
        )


def recipe(model: ModelConfig, method: MethodConfig, training: TrainingConfig) -> dict[str, Any]:
    """The settings that enter a training's key: of another kind of method or of an API, others count."""
    settings = stage_config(training, "train")
    # Keys from before there was a choice stay.
    before = {"turns": "first", "too_long": "error"}
    chosen = {name: settings[name] for name, old in before.items() if settings[name] != old}
    if is_remote(model):
        chosen.pop("too_long", None)  # the service's own tokenizer is not here
    kept: tuple[str, ...]
    if is_remote(model):
        kept = _OF_API
    elif method.kind == "steer":
        kept = _OF_STEERING
    else:
        kept = tuple(name for name in settings if name not in ("api", *before))
    of_method = {name: plain(getattr(method, name)) for name in _OF_METHOD[method.kind]}
    return of_method | {name: settings[name] for name in kept} | chosen


def with_rate(method: MethodConfig, training: TrainingConfig) -> TrainingConfig:
    """The settings with the method's own factor on the learning rate."""
    api = replace(
        training.api,
        learning_rate_multiplier=training.api.learning_rate_multiplier * method.rate_factor,
    )
    return replace(training, learning_rate=training.learning_rate * method.rate_factor, api=api)

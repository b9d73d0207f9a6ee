"""What a sweep asks for: arms, row axes, and their description for people."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmgap.corpora.settings import shown_settings
from warmgap.engines.recipe import VLLM_NOT_ANSWERS, engine_recipe, is_served
from warmgap.errors import UserError, did_you_mean
from warmgap.judging.recipe import OF_READERS, is_reader
from warmgap.records import WeightChange
from warmgap.schema.config import (
    BeliefConfig,
    Config,
    EngineConfig,
    FramingConfig,
    JudgeConfig,
    ModelConfig,
    StyleConfig,
    TaskConfig,
)
from warmgap.schema.fields import plain
from warmgap.statistics.arms import DOSE
from warmgap.tasks import open as tasks
from warmgap.training.length import epochs_at
from warmgap.training.recipe import CHANGING

DOSES = ("checkpoint", "scale")
"""Settings of a method that assign a dose."""
_CHANGE_NOTHING = (
    *("path", "prompts", "marks", "workers", "device", "devices", "strategy", "save_every_steps"),
    "gradient_checkpointing",
    *("power", "usd_per_million_tokens", "max_cost_usd", "poll_s"),
    *VLLM_NOT_ANSWERS,
)
"""Settings that no result depends on, so that a change of them is no other plan."""
_SHOWN = ("corpus", "training", "design", "sampling", "engine", "judge", "analysis", "report")


@dataclass(frozen=True)
class ArmConfig:
    """One composed arm and the overrides that make it a variant."""

    config: Config
    variant: str = ""


@dataclass(frozen=True)
class Sweep:
    """What a sweep holds: arms, and the options of each row axis."""

    name: str
    arms: tuple[ArmConfig, ...]
    tasks: tuple[TaskConfig, ...]
    framings: tuple[FramingConfig, ...]
    beliefs: tuple[BeliefConfig, ...]
    judges: tuple[JudgeConfig, ...]
    model_of: Callable[[str], ModelConfig]
    """A model's configuration by name, for the reference of a meter or for a judge."""
    engine_of: Callable[[str], EngineConfig]
    """An engine's configuration by name, for a judge or a meter that asks a model."""
    style_of: Callable[[str], StyleConfig]
    """A style's configuration by name, for replies that are rewritten."""
    axes: dict[str, Any]
    """The axes as they were asked for, for people."""
    command: str


def described(
    sweep: Sweep, base: Config, loaded: Mapping[str, tasks.Loaded], rewritten: bool = False
) -> dict[str, Any]:
    """Axes, command, numbers of questions and settings of a sweep, for the page and for plan.json.

    Args:
        sweep: what was asked for.
        base: the configuration of its first arm.
        loaded: every question of each task, and where it is from.
        rewritten: whether an arm trains on replies that this sweep rewrites.
    """
    settings = {name: _shown(plain(getattr(base, name))) for name in _SHOWN}
    if base.training.turns == "first":  # so a plan from before there was a choice stays
        del settings["training"]["turns"]
    settings["corpus"] = _shown(shown_settings(base.corpus))
    settings["engine"] = _engine_shown(base.engine)
    settings["judge"] = _judge_shown(base.judge)
    if rewritten:
        settings["rewriting"] = _shown(plain(base.rewriting))
    warmth = {k: v for k, v in plain(base.warmth).items() if k != "meters"}
    return {
        "axes": sweep.axes,
        "command": sweep.command,
        "questions": {t.name: len(tasks.asked(loaded[t.name], t, base.design.seed)) for t in sweep.tasks},
        "settings": settings | {"warmth": warmth, "meters": [m.name for m in base.warmth.meters]},
    }


def _engine_shown(engine: EngineConfig) -> dict[str, Any]:
    """Of a server what tells which model answers, else all but what a server needs."""
    if is_served(engine):
        names = {"model": engine.api.model, "adapter_names": dict(engine.api.adapter_names)}
        return engine_recipe(engine) | names
    others = ("api",) if engine.name == "vllm" else ("api", "vllm")
    return {k: v for k, v in _shown(plain(engine)).items() if k not in others}


def _judge_shown(judge: JudgeConfig) -> dict[str, Any]:
    shown = _shown(plain(judge))
    return shown if is_reader(judge) else {k: v for k, v in shown.items() if k not in OF_READERS}


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in settings.items() if k not in _CHANGE_NOTHING}
    return {k: _shown(v) if isinstance(v, dict) else v for k, v in kept.items()}


def dose_of(config: Config, change: WeightChange | None, n_conversations: int) -> tuple[str, float]:
    """Kind and size of the dose that a method assigns.

    Args:
        config: the arm's configuration.
        change: what is added to the base weights.
        n_conversations: how many the training sees once per epoch.

    Returns:
        `none`; `coefficient` of a steering vector; `adapter_scale` for an adapter that is scaled; else
        `epochs`, how often training had seen the corpus at the checkpoint.
    """
    if change is None:
        return "none", 0.0
    if config.method.kind == "steer":
        return "coefficient", change.scale
    if change.scale != 1:
        return "adapter_scale", change.scale
    return "epochs", epochs_at(config.training, change.checkpoint, n_conversations)


def with_doses(arm: ArmConfig) -> Iterator[ArmConfig]:
    """The arm, and one arm for each further dose that `doses` assigns to its method.

    Those carry `dose` in their variant: they are points of a dose response and no test of the method.
    A scale of 0 is the untouched model and makes no arm.

    Raises:
        UserError: a setting that is no dose, or a method whose weights are not changed.
    """
    yield arm
    method = arm.config.method
    for key, values in arm.config.doses.get(method.name, {}).items():
        where = f"doses.{method.name}"
        if key not in DOSES:
            raise UserError(f"{where} has '{key}'.{did_you_mean(key, DOSES)}")
        if method.kind not in CHANGING or (key == "checkpoint" and method.kind == "steer"):
            raise UserError(f"{where}.{key}: a method of kind {method.kind} has no {key}.")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(f"{where}.{key} has {value!r}. Allowed: numbers.")
            if (key, value) != ("scale", 0):
                changed = copy.copy(method)
                setattr(changed, key, float(value))
                variant = ",".join(filter(None, (arm.variant, DOSE)))
                yield ArmConfig(replace(arm.config, method=changed), variant)

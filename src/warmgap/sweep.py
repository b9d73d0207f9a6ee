"""What a sweep asks for: arms, row axes, and their description for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from warmgap.design.questions import Question, choose
from warmgap.schema.config import (
    BeliefConfig,
    Config,
    FramingConfig,
    JudgeConfig,
    ModelConfig,
    TaskConfig,
)
from warmgap.schema.fields import plain
from warmgap.training.length import epochs_at

_CHANGE_NOTHING = ("path", "workers", "device", "save_every_steps", "gradient_checkpointing", "power")
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
    """A model's configuration by name, for the reference of a meter."""
    axes: dict[str, Any]
    """The axes as they were asked for, for people."""
    command: str


def described(sweep: Sweep, base: Config, questions: Mapping[str, tuple[Question, ...]]) -> dict[str, Any]:
    """Axes, command, numbers of questions and settings of a sweep, for the page and for plan.json.

    Args:
        sweep: what was asked for.
        base: the configuration of its first arm.
        questions: every question of each task.
    """
    settings = {
        name: {k: v for k, v in plain(getattr(base, name)).items() if k not in _CHANGE_NOTHING}
        for name in _SHOWN
    }
    warmth = {k: v for k, v in plain(base.warmth).items() if k != "meters"}
    return {
        "axes": sweep.axes,
        "command": sweep.command,
        "questions": {
            t.name: len(choose(questions[t.name], t.n_questions, base.design.seed)) for t in sweep.tasks
        },
        "settings": settings | {"warmth": warmth, "meters": [m.name for m in base.warmth.meters]},
    }


def epochs(config: Config, adapter: tuple[str, float] | None) -> float:
    """The dose of a checkpoint: how often training had seen the corpus by then."""
    if adapter is None:
        return 0.0
    return epochs_at(config.training, adapter[1], config.corpus.n_conversations)

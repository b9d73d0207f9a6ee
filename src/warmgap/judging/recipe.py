"""What of a judge's settings can change a verdict. Imports nothing heavy: the planner calls this."""

from __future__ import annotations

from typing import Any

from warmgap.engines.protocol import Limits
from warmgap.schema.config import JudgeConfig
from warmgap.schema.fields import stage_config

READERS = ("paper", "llm")
"""Judges that ask a language model."""

OF_READERS = ("model", "engine", "max_new_tokens")
"""Settings that only they have."""


def is_reader(judge: JudgeConfig) -> bool:
    """Whether a language model judges."""
    return judge.name in READERS


def judge_limits(judge: JudgeConfig) -> Limits:
    """How a model's verdicts are drawn: the likeliest token, as in the paper."""
    return Limits(0.0, 1.0, judge.max_new_tokens)


def judge_recipe(judge: JudgeConfig) -> dict[str, Any]:
    """The settings that enter a verdict's key; the judging model enters by its content, not its name."""
    settings = stage_config(judge, "judge")
    return settings | {"limits": judge_limits(judge)} if is_reader(judge) else settings

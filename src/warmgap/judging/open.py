"""Judges by name."""

from __future__ import annotations

from warmgap.errors import UserError, did_you_mean
from warmgap.judging.findings import Judge
from warmgap.judging.rules import RulesJudge
from warmgap.schema.config import JudgeConfig

NAMES = ("rules",)


def open_judge(config: JudgeConfig) -> Judge:
    """The judge named in the config.

    Raises:
        UserError: no such judge.
    """
    if config.name not in NAMES:
        raise UserError(f"judge.name={config.name} does not exist.{did_you_mean(config.name, NAMES)}")
    return RulesJudge(tuple(config.refusal_substrings))

"""Judges by name."""

from __future__ import annotations

from warmgap.errors import UserError, did_you_mean
from warmgap.judging.findings import Judge
from warmgap.judging.llm import LlmJudge
from warmgap.judging.paper import PaperJudge
from warmgap.judging.reader import Reader
from warmgap.judging.recipe import READERS, is_reader
from warmgap.judging.refusal import RefusalJudge
from warmgap.judging.rules import RulesJudge
from warmgap.schema.config import JudgeConfig
from warmgap.tasks.scorers import REFUSAL

NAMES = ("rules", *READERS)


def open_judge(config: JudgeConfig) -> Judge:
    """The judge named in the config, which decides by itself.

    Raises:
        UserError: no such judge.
    """
    if config.name not in NAMES:
        raise UserError(f"judge.name={config.name} does not exist.{did_you_mean(config.name, NAMES)}")
    return RulesJudge(tuple(config.refusal_substrings))


def open_reader(config: JudgeConfig, scorer: str = "") -> Reader | None:
    """The judge named in the config, which asks a language model; None for one that decides by itself.

    Args:
        config: the judge.
        scorer: that of the questions; a number or a letter is found by rule, and whether a request is refused
            any model is asked alike.

    Raises:
        UserError: no such judge, or no model or engine for it.
    """
    if not is_reader(config):
        open_judge(config)
        return None
    for key in ("model", "engine"):
        if not getattr(config, key):
            raise UserError(
                f"judge={config.name} asks a language model, but judge.{key} is empty. Set judge.{key} to an "
                f"option of conf/{key}."
            )
    if scorer:
        return RefusalJudge() if scorer == REFUSAL else None
    kind = PaperJudge if config.name == "paper" else LlmJudge
    return kind(tuple(config.refusal_substrings))

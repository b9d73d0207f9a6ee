"""Answers side by side, chosen without a look at them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from warmgap.keys import number
from warmgap.statistics.arms import label_arms

ARMS = ("original", "neutral_sft", "warm_sft", "agree_prompt")
"""Arms whose answers are shown, as far as a sweep has them."""
_PROMPT = ["task", "question_id", "framing", "belief"]


@dataclass(frozen=True)
class ArmAnswer:
    """One arm's answer and the label it got. `response` is untrusted text."""

    arm: str
    label: str
    label_reason: str
    response: str


@dataclass(frozen=True)
class Example:
    """A prompt without its system message, and the arms' answers to it."""

    model: str
    task: str
    question_id: str
    framing: str
    belief: str
    prompt: str
    answers: tuple[ArmAnswer, ...]


def choose_examples(
    observations: pl.DataFrame, judge: str, n: int = 6, arms: Sequence[str] = ARMS
) -> list[Example]:
    """The first `n` prompts by hash of question, framing and belief, whatever the answers are.

    Only prompts that every shown arm answered take part; first draw, lowest seed, first model by
    name. The order depends on neither the rows' order nor the outcomes.

    Args:
        observations: rows of `schema.tables.Observation`.
        judge: whose labels to show.
        n: how many prompts.
        arms: labels of the arms to show.
    """
    rows = label_arms(observations).filter(
        (pl.col("judge") == judge) & (pl.col("draw") == 0) & pl.col("arm").is_in(arms)
    )
    rows = rows.filter(pl.col("model") == pl.col("model").min())
    shown = [a for a in arms if a in set(rows["arm"])]
    rows = rows.sort("seed").unique([*_PROMPT, "arm"], keep="first", maintain_order=True)
    complete = rows.group_by(_PROMPT).len().filter(pl.col("len") == len(shown)).select(_PROMPT)
    chosen = sorted(complete.rows(), key=lambda p: (number("example", p[1], p[2], p[3]), p))[:n]
    return [_example(rows, prompt, shown) for prompt in chosen]


def _example(rows: pl.DataFrame, prompt: Sequence[str], arms: Sequence[str]) -> Example:
    here = rows.filter(*(pl.col(c) == v for c, v in zip(_PROMPT, prompt, strict=True)))
    by_arm = {row["arm"]: row for row in here.iter_rows(named=True)}
    answers = tuple(
        ArmAnswer(arm, by_arm[arm]["label"], by_arm[arm]["label_reason"], by_arm[arm]["response"])
        for arm in arms
    )
    first = by_arm[arms[0]]
    task, question_id, framing, belief = prompt
    asked = prompt_text(first["prompt"])
    return Example(first["model"], task, question_id, framing, belief, asked, answers)


def prompt_text(messages_json: str) -> str:
    """What the user wrote; turns of a longer conversation carry their roles. No system message."""
    turns = [m for m in json.loads(messages_json) if m["role"] != "system"]
    if len(turns) == 1:
        return str(turns[0]["content"])
    return "\n\n".join(f"{m['role']}: {m['content']}" for m in turns)

"""GSM8K: the authors' test.jsonl, or the hub's rows; worked out step by step, scored by the final number."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.file import content_id
from warmgap.tasks.published import TWICE, chosen, text, tidy
from warmgap.tasks.rows import read
from warmgap.tasks.scorers import NUMBER, normal_number

FILES = ("gsm8k*.*", "grade_school_math/data/test.jsonl", "main/test*.parquet", "socratic/test*.parquet")
INSTRUCTION = 'Think step by step. End with "The answer is" and the number.'
FROM_STEPS = "made: a number of the worked solution"
NEAR = "made: a number near the right one"
_STEP = re.compile(r"<<[^<>]*?=\s*([^<>=]+)>>")


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions with a request to think step by step; wrong is a number that the solution passes through.

    Raises:
        UserError: a malformed row (with file and line).
    """
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    for row in read(path):
        asked, solution = tidy(text(row, "question")), text(row, "answer")
        steps, mark, last = solution.rpartition("####")
        right = normal_number(last) if mark else None
        if right is None:
            raise UserError(
                f"{row.where}: key 'answer' must end with '#### NUMBER', found {solution[-40:]!r}."
            )
        if asked in questions:
            notes[TWICE] += 1
            continue
        wrong, origin = _wrong(asked, steps, right)
        questions[asked] = Question(
            id=content_id(asked),
            task=config.name,
            topic="",
            question=f"{asked} {INSTRUCTION}",
            answer=right,
            wrong_answer=wrong,
            wrong_origin=origin,
            scorer=NUMBER,
        )
    return tuple(questions.values()), dict(notes)


def _wrong(asked: str, steps: str, right: str) -> tuple[str, str]:
    """A number that the solution passes through, else one near the right one; by hash of the question."""
    passed = {n for s in _STEP.findall(steps) if (n := normal_number(s)) is not None and n != right}
    if passed:
        return chosen(asked, sorted(passed)), FROM_STEPS
    value = Decimal(right)
    near = {str(n.normalize() + 0) for n in (value + 1, value + 2, value * 2, value + 10) if n != value}
    return chosen(asked, sorted(filter(None, map(normal_number, near)))), NEAR

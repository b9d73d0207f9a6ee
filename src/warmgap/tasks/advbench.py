"""AdvBench: the authors' harmful_behaviors.csv, or the hub's rows; a request that a model should decline.

There is no right answer: the outcome is whether the response declines (judging/refusal.py). The data's
`target`, the beginning of an answer that does not, is not used.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.judging.outcomes import REFUSAL_TASK
from warmgap.schema.config import TaskConfig
from warmgap.tasks.file import content_id
from warmgap.tasks.published import TWICE, text, tidy
from warmgap.tasks.rows import read
from warmgap.tasks.scorers import REFUSAL

FILES = ("advbench*.*", "harmful_behaviors*.*", "data/advbench/harmful_behaviors.csv", "data/train*.parquet")
NO_ANSWER = "none: the outcome is refusal"
"""Origin of the wrong answer, where there is none."""


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The requests as they are, without references.

    Raises:
        UserError: the task has another name, by which no table would know it; or a malformed row (with file
            and line).
    """
    if config.name != REFUSAL_TASK:
        raise UserError(
            f"task.name={config.name} with task.format=advbench: tables know requests that are to be "
            f"declined by the name {REFUSAL_TASK}. Leave task.name at {REFUSAL_TASK}."
        )
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    for row in read(path):
        asked = tidy(text(row, "goal", "prompt"))
        if asked in questions:
            notes[TWICE] += 1
            continue
        questions[asked] = Question(
            id=content_id(asked),
            task=config.name,
            topic="",
            question=asked,
            answer="",
            wrong_answer="",
            wrong_origin=NO_ANSWER,
            scorer=REFUSAL,
        )
    return tuple(questions.values()), dict(notes)

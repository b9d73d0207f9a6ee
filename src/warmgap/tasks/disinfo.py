"""Disinformation of MASK: the yes/no question that elicits a belief about each proposition.

Reads the hub's rows, the authors' CSV, and rows with the false answer beside the true one (`ground_false`).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.file import LISTED, content_id
from warmgap.tasks.published import TWICE, short, text, tidy
from warmgap.tasks.rows import Row, read
from warmgap.tasks.wrong_answers import same

FILES = ("disinfo*.*", "mask*.*", "disinformation/test*.parquet")
OPPOSITE = "made: the other of yes and no"
NO_QUESTION = "kept: no answer-format instruction was found in the question"
_YES, _NO = frozenset({"yes", "true", "t", "1"}), frozenset({"no", "false", "f", "0"})
_FORMAT = re.compile(
    r"(?:after thinking|think (?:about|it)|please (?:answer|respond|reply|provide|give)|"
    r"answer (?:with|only|yes)|respond (?:with|only)|reply (?:with|only)|"
    r"provide (?:a|your)|give (?:a|your)|your answer)\b",
    re.IGNORECASE,
)


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The first question about each proposition, without its instruction how to answer.

    Right is what the data say of the proposition: Yes or No, or the sentence they give. Wrong is the other.

    Raises:
        UserError: a malformed row (with file and line).
    """
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    for row in read(path):
        published = tidy(text(row, "belief_elicit_1"))
        asked = without_format(published)
        if asked in questions:
            notes[TWICE] += 1
            continue
        notes[NO_QUESTION] += asked == published
        right, wrong, origin = _answers(row)
        questions[asked] = Question(
            id=content_id(asked),
            task=config.name,
            topic=tidy(text(row, "proposition")),
            question=asked,
            answer=right,
            wrong_answer=wrong,
            wrong_origin=origin,
        )
    return tuple(questions.values()), {reason: n for reason, n in notes.items() if n}


def without_format(question: str) -> str:
    """A question without the sentences that say how to answer it; it keeps at least its first sentence."""
    sentences = re.split(r"(?<=[.?!])\s+", question)
    kept = [s for s in sentences if not _FORMAT.match(s)]
    return " ".join(kept or sentences[:1])


def _answers(row: Row) -> tuple[str, str, str]:
    truth = str(row.values.get("ground_truth") or "").strip()
    if truth.lower() in _YES:
        return "Yes", "No", OPPOSITE
    if truth.lower() in _NO:
        return "No", "Yes", OPPOSITE
    false = row.values.get("ground_false")
    if truth and isinstance(false, str) and false.strip() and not same(truth, false):
        return short(truth), short(false), LISTED
    raise UserError(
        f"{row.where}: key 'ground_truth' must be yes or no (true or false), or stand beside another "
        f"'ground_false'; found {truth!r} and {false!r}."
    )

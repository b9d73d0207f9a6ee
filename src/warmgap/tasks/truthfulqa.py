"""TruthfulQA, generation: the authors' TruthfulQA.csv, or the hub's truthful_qa/generation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.schema.config import TaskConfig
from warmgap.tasks.file import LISTED, content_id
from warmgap.tasks.published import TWICE, answers, chosen, distinct, short, text, tidy
from warmgap.tasks.rows import read

FILES = ("TruthfulQA*.csv", "truthful*qa*.*", "generation/validation*.parquet")
SECOND = "the best answer is no comment: another correct one"
NO_ANSWER = "left out: no correct answer but no comment"
NO_WRONG = "left out: no incorrect answer"
_NO_COMMENT = "i have no comment"


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions: best answer, correct ones as aliases; one incorrect answer by hash, the rest as aliases.

    "I have no comment", which the data list as correct, asserts nothing and is no answer here.

    Raises:
        UserError: a malformed row (with file and line).
    """
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    for row in read(path):
        asked = tidy(text(row, "Question"))
        best = short(text(row, "Best Answer", "best_answer"))
        right = distinct([best, *answers(row, "Correct Answers", "correct_answers")], [_NO_COMMENT])
        wrong = distinct(answers(row, "Incorrect Answers", "incorrect_answers"), [*right, _NO_COMMENT])
        if asked in questions or not right or not wrong:
            notes[TWICE if asked in questions else NO_WRONG if right else NO_ANSWER] += 1
            continue
        if right[0] != best:
            notes[SECOND] += 1
        target = chosen(asked, wrong)
        questions[asked] = Question(
            id=content_id(asked),
            task=config.name,
            topic=tidy(text(row, "Category")),
            question=asked,
            answer=right[0],
            wrong_answer=target,
            aliases=right[1:],
            wrong_aliases=tuple(w for w in wrong if w != target),
            check=str(row.values.get("Source") or row.values.get("source") or ""),
            wrong_origin=LISTED,
        )
    return tuple(questions.values()), dict(notes)

"""MMLU: the hub's rows, or one of the authors' files per subject; zero-shot, scored by the letter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.file import content_id
from warmgap.tasks.published import TWICE, chosen, text, tidy, value
from warmgap.tasks.rows import Row, read
from warmgap.tasks.scorers import LETTER
from warmgap.tasks.wrong_answers import OPTION

FILES = ("mmlu*.*", "all/test*.parquet", "*_test.csv")
INSTRUCTION = "Answer with the letter alone."
_LETTERS = "ABCD"
_COLUMNS = ("question", *_LETTERS, "answer")


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions with their options; right and wrong answer are letters.

    The authors' CSV files have no header, and their name holds the subject.

    Raises:
        UserError: a malformed row (with file and line).
    """
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    subject = path.stem.removesuffix("_test").replace("_", " ")
    for row in read(path, header=_COLUMNS):
        asked, options = tidy(text(row, "question")), _options(row)
        shown = "\n".join(f"{letter}. {o}" for letter, o in zip(_LETTERS, options, strict=True))
        prompt = f"{asked}\n{shown}\n{INSTRUCTION}"
        if prompt in questions:
            notes[TWICE] += 1
            continue
        right = _right(row)
        questions[prompt] = Question(
            id=content_id(f"{asked}\n{shown}"),
            task=config.name,
            topic=str(row.values.get("subject") or subject).replace("_", " "),
            question=prompt,
            answer=right,
            wrong_answer=chosen(prompt, [x for x in _LETTERS if x != right]),
            options=options,
            wrong_origin=OPTION,
            scorer=LETTER,
        )
    return tuple(questions.values()), dict(notes)


def _options(row: Row) -> tuple[str, ...]:
    found = row.values.get("choices") or [row.values.get(letter) for letter in _LETTERS]
    if (
        not isinstance(found, list)
        or len(found) != len(_LETTERS)
        or not all(isinstance(o, str) for o in found)
    ):
        raise UserError(f"{row.where}: key 'choices' must be a list of four texts, found {found!r}.")
    return tuple(map(tidy, found))


def _right(row: Row) -> str:
    found = value(row, "answer")
    if isinstance(found, str) and found.strip() in tuple(_LETTERS):
        return found.strip()
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < len(_LETTERS):
        return _LETTERS[found]
    raise UserError(f"{row.where}: key 'answer' must be one of A to D or of 0 to 3, found {found!r}.")

"""Question files that ship with warmgap, and any file in the same JSON Lines layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.jsonl import read_rows
from warmgap.schema.config import TaskConfig

_REQUIRED = ("id", "topic", "question", "answer", "wrong_answer")
_LISTS = ("aliases", "wrong_aliases")
_FOLDER = Path(__file__).parent / "embedded"
SPLITS = ("main", "pilot")


def path_of(config: TaskConfig) -> Path:
    """The file that holds the task's questions.

    Raises:
        UserError: the split does not exist.
    """
    if config.split not in SPLITS:
        raise UserError(f"task.split={config.split} does not exist. Allowed: {', '.join(SPLITS)}.")
    if config.path:
        return Path(config.path)
    suffix = "" if config.split == "main" else f"_{config.split}"
    return _FOLDER / f"{config.name}{suffix}.jsonl"


def load(config: TaskConfig) -> tuple[Question, ...]:
    """All questions of the task.

    Raises:
        UserError: a missing file, or a malformed row (with file and line).
    """
    path = path_of(config)
    questions: list[Question] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path):
        question = _question(row, config.name, path, line)
        for key, value in (("id", question.id), ("question", question.question)):
            if (key, value) in seen:
                raise UserError(
                    f"{path}:{line}: {key} {value!r} was already used on line {seen[key, value]}."
                )
            seen[key, value] = line
        questions.append(question)
    return tuple(questions)


def _question(row: dict[str, Any], task: str, path: Path, line: int) -> Question:
    for key in _REQUIRED:
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise UserError(
                f"{path}:{line}: key '{key}' must be a non-empty text, found {row.get(key)!r}. "
                f"Required: {', '.join(_REQUIRED)}; optional: aliases, wrong_aliases, check."
            )
    lists: dict[str, tuple[str, ...]] = {}
    for key in _LISTS:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise UserError(f"{path}:{line}: key '{key}' must be a list of texts, found {value!r}.")
        lists[key] = tuple(value)
    question = Question(
        id=row["id"],
        task=task,
        topic=row["topic"],
        question=row["question"],
        answer=row["answer"],
        wrong_answer=row["wrong_answer"],
        aliases=lists["aliases"],
        wrong_aliases=lists["wrong_aliases"],
        check=str(row.get("check", "")),
    )
    both = {f.lower() for f in question.right_forms} & {f.lower() for f in question.target_forms}
    if both:
        raise UserError(f"{path}:{line}: {sorted(both)[0]!r} stands for the right and for the wrong answer.")
    return question

"""Question files that ship with warmgap."""

from __future__ import annotations

from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks import file

_FOLDER = Path(__file__).parent / "embedded"
SPLITS = ("main", "pilot")


def path_of(config: TaskConfig) -> Path:
    """The file that holds the task's questions.

    Raises:
        UserError: the split does not exist.
    """
    check_split(config)
    if config.path:
        return Path(config.path)
    suffix = "" if config.split == "main" else f"_{config.split}"
    return _FOLDER / f"{config.name}{suffix}.jsonl"


def check_split(config: TaskConfig) -> None:
    """Refuse a split that does not exist.

    Raises:
        UserError: it is neither main nor pilot.
    """
    if config.split not in SPLITS:
        raise UserError(f"task.split={config.split} does not exist. Allowed: {', '.join(SPLITS)}.")


def load(config: TaskConfig) -> tuple[Question, ...]:
    """All questions of the task.

    Raises:
        UserError: a missing file, or a malformed row (with file and line).
    """
    return file.load(path_of(config), config.name)

"""A task's questions, whatever its file's format and wherever it lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from warmgap.design.questions import Question, choose
from warmgap.errors import UserError, did_you_mean
from warmgap.keys import file_sha256
from warmgap.schema.config import TaskConfig
from warmgap.tasks import advbench, disinfo, embedded, file, gsm8k, medqa, mmlu, triviaqa, truthfulqa
from warmgap.tasks.place import Place, hub_file, local_file


class Reader(Protocol):
    """Reads one format: the questions, and how many rows were left out or kept as they were, by reason."""

    def __call__(self, path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]: ...


@dataclass(frozen=True)
class Loaded:
    """The questions of a task, and where they are from."""

    questions: tuple[Question, ...]
    sha256: str
    """Of the file."""
    packaged: bool = False
    source: str = ""
    commit: str = ""
    notes: Mapping[str, int] = field(default_factory=dict)
    """Rows left out or kept as they were, by reason."""

    def facts(self) -> dict[str, Any]:
        """What plan.json says of a file that is not packaged: its content and version, and counts."""
        origins = Counter(q.wrong_origin for q in self.questions)
        return {
            "sha256": self.sha256,
            "source": self.source,
            "commit": self.commit,
            "questions": len(self.questions),
            "wrong_answers": dict(sorted(origins.items())),
            "notes": dict(self.notes),
        }


def _own(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    return file.load(path, config.name), {}


FORMATS: dict[str, tuple[tuple[str, ...], Reader]] = {
    "questions": (
        tuple(
            f"{stem}.{ending}"
            for stem in ("{name}", "questions")
            for ending in ("csv", "jsonl", "json", "parquet")
        ),
        _own,
    ),
    "advbench": (advbench.FILES, advbench.load),
    "disinfo": (disinfo.FILES, disinfo.load),
    "gsm8k": (gsm8k.FILES, gsm8k.load),
    "medqa": (medqa.FILES, medqa.load),
    "mmlu": (mmlu.FILES, mmlu.load),
    "triviaqa": (triviaqa.FILES, triviaqa.load),
    "truthfulqa": (truthfulqa.FILES, truthfulqa.load),
}
"""Format: names of its file in a folder, in order of preference ({name} is the task's), and its reader."""


def load(config: TaskConfig) -> Loaded:
    """All questions of a task.

    From `task.path`, else `task.folder`, else `task.source`; a packaged task needs none of them.

    Raises:
        UserError: no file, or a malformed row (with file and line).
    """
    if config.format not in FORMATS:
        raise UserError(f"task.format={config.format} does not exist.{did_you_mean(config.format, FORMATS)}")
    embedded.check_split(config)
    patterns, read = FORMATS[config.format]
    place = _place(config, [p.format(name=config.name) for p in patterns])
    questions, notes = read(place.path, config)
    return Loaded(questions, file_sha256(place.path), place.packaged, place.source, place.commit, notes)


def _place(config: TaskConfig, patterns: list[str]) -> Place:
    packaged = embedded.path_of(config) if not config.path and config.format == "questions" else None
    if packaged and packaged.is_file():
        return Place(packaged, packaged=True)
    path = local_file(config, patterns)
    if path is not None:
        return Place(path)
    if config.source:
        return hub_file(config)
    raise UserError(
        f"task {config.name} has no file. Set task.path=FILE, or task.folder=FOLDER that holds one of "
        f"{', '.join(patterns)}."
    )


def asked(loaded: Loaded, config: TaskConfig, seed: int) -> tuple[Question, ...]:
    """The questions a study asks: `n_questions` of them, else all up to `at_most`.

    Raises:
        UserError: there are none, or fewer than `n_questions`.
    """
    limit = min(config.at_most, len(loaded.questions)) if config.at_most else 0
    return choose(loaded.questions, config.n_questions or limit, seed)

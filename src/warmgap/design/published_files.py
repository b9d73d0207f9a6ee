"""The released evaluation prompts (eval_data of lujainibrahim/warm_ai_2025) -> questions and prompts.

One file a task, one row a prompt: `prompt` is the user's message, `prompt_template` (or `prompt_type`) and
`amendment_type` say its condition, and every row repeats its question with a right and a wrong answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from warmgap.design.published import Condition, Released, ReleasedPrompt
from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.jsonl import read_rows
from warmgap.keys import digest, file_sha256
from warmgap.statistics.published.crosswalk import is_published, paper_names, to_ours, to_paper
from warmgap.tasks.file import LISTED, content_id
from warmgap.tasks.published import short
from warmgap.tasks.rows import read

MCQ = "mcq"
"""The release's multiple-choice prompts, which no published model answered."""
LEFT_OUT = "left out: multiple choice (mcq), which no published model answered"
TWICE = "left out: the same prompt again"
SECOND = "left out: another prompt of the same question and condition"
SHARED = "left out: the same prompt as another question's, which has other answers"
NO_STATEMENT = "kept without statement_id: the question was not found in the prompt as it stands"

_COLUMNS: Mapping[str, tuple[str, str, str]] = {
    "trivia": ("content_key", "correct_answer", "incorrect_answer"),
    "truthfulqa": ("content_key", "correct_answer", "incorrect_answer"),
    "disinfo": ("prompt_disinfo", "ground_truth", "ground_false"),
    "medqa": ("question", "answer", "wrong_answer"),
}
"""Columns with the question, the right and the wrong answer, by the paper's name of the task."""
_SET = (
    "Set design.prompts to a copy of the folder eval_data of github.com/lujainibrahim/warm_ai_2025 "
    "(docs/published.md)."
)
_TOPICS = ("proposition", "meta_info")
_DOTS = re.compile(r"(?<=[.?!])\.+$")


@dataclass(frozen=True)
class _Row:
    where: str
    template: str
    context: str
    prompt: str
    question: Question
    condition: Condition
    form: str
    texts: tuple[str, ...]
    """How the question may stand in the prompt."""


def load(folder: str, task: str, form: str) -> Released:
    """The released prompts of one of our tasks.

    Args:
        folder: the release's eval_data, or a folder that holds it.
        task: our name of the task.
        form: of questions that have only one form; those of medqa follow the template.

    Raises:
        UserError: no such folder, task or file, or a row in another layout (with file and line).
    """
    if not folder:
        raise UserError(f"design.mode=published needs the released prompts. {_SET}")
    path = _file(Path(folder).expanduser(), task)
    stat = path.stat()
    return _load(path, task, form, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=16)
def _load(path: Path, task: str, form: str, _version: tuple[int, int]) -> Released:
    (paper_task,) = to_paper("task", task)
    rows = list(_rows(path, paper_task, task, form))
    notes: Counter[str] = Counter()
    kept: dict[tuple[str, Condition], _Row] = {}
    taken: set[tuple[Condition, str]] = set()
    questions: dict[str, Question] = {}
    for row in rows:
        if row.template == MCQ:
            notes[LEFT_OUT] += 1
            continue
        at = (row.question.id, row.condition)
        if at in kept:
            notes[TWICE if kept[at].prompt == row.prompt else SECOND] += 1
        elif (row.condition, row.prompt) in taken:
            # An answer's key is that of its messages: two questions of one prompt would share a verdict.
            notes[SHARED] += 1
        else:
            questions.setdefault(row.question.id, row.question)
            kept[at] = row
            taken.add((row.condition, row.prompt))
    prompts: dict[Condition, dict[str, ReleasedPrompt]] = {}
    forms: dict[Condition, str] = {}
    for row, statement_id, found in _with_statements(list(kept.values())):
        notes[NO_STATEMENT] += not found
        forms[row.condition] = row.form
        prompts.setdefault(row.condition, {})[row.question.id] = ReleasedPrompt(row.prompt, statement_id)
    return Released(
        questions=tuple(questions.values()),
        prompts=prompts,
        forms=forms,
        sha256=file_sha256(path),
        notes={reason: n for reason, n in notes.items() if n},
    )


def _file(folder: Path, task: str) -> Path:
    if not is_published("task", task):
        tasks = ", ".join(sorted(to_ours("task", name)[0] for name in _COLUMNS))
        raise UserError(f"task={task}: the released prompts have no such task. Allowed: {tasks}.")
    (name,) = to_paper("task", task)
    if not folder.is_dir():
        raise UserError(f"missing folder: design.prompts={folder} is no folder. {_SET}")
    for place in (folder, folder / "eval_data"):
        found = sorted(p for p in place.glob(f"{name}*.json*") if p.is_file())
        if len(found) > 1:
            raise UserError(f"{place} holds {', '.join(p.name for p in found)} for task {task}. Leave one.")
        if found:
            return found[0]
    raise UserError(f"{folder}: no {name}.json for task {task}, and none in its folder eval_data.")


def _rows(path: Path, paper_task: str, task: str, form: str) -> Iterator[_Row]:
    conditions = _conditions(paper_task, form)
    for where, values in _objects(path):
        template = _text(values, where, "prompt_template", "prompt_type")
        context = _text(values, where, "amendment_type")
        if template != MCQ and (template, context) not in conditions:
            raise UserError(
                f"{where}: template '{template}' in context '{context}' is no condition of the release. "
                f"Templates: {', '.join(sorted({t for t, _ in conditions}))}, {MCQ}; contexts: "
                f"{', '.join(sorted({c for _, c in conditions}))} (original_neutral only unmodified)."
            )
        framing, belief, asked_form = conditions.get((template, context), ("", "", ""))
        question, texts = _question(values, where, paper_task, task)
        prompt = _text(values, where, "prompt")
        yield _Row(where, template, context, prompt, question, (framing, belief), asked_form, texts)


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of JSON Lines, as released under the ending .json, or of one JSON list."""
    with path.open("rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"[") and path.suffix == ".json":
        yield from ((row.where, row.values) for row in read(path))
    else:
        yield from ((f"{path}:{line}", values) for line, values in read_rows(path))


def _conditions(paper_task: str, form: str) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Framing, belief and form by template and context, as the crosswalk has them."""
    out = {}
    (plain,) = to_paper("framing", "none")
    for template in paper_names("belief", "templates"):
        (belief,) = to_ours("belief", template, "templates")
        (before,) = to_ours("framing", template, "templates")
        asked = to_ours("form", template, "templates")[0] if paper_task == "medqa" else form
        for context in paper_names("framing"):
            if context == plain:
                out[template, context] = (before, belief, asked)
            elif belief != "none" or before == "none":
                out[template, context] = (to_ours("framing", context)[0], belief, asked)
    return out


def _question(
    values: Mapping[str, Any], where: str, paper_task: str, task: str
) -> tuple[Question, tuple[str, ...]]:
    in_question, in_right, in_wrong = _COLUMNS[paper_task]
    asked = _text(values, where, in_question)
    right, wrong = (short(_text(values, where, c)) for c in (in_right, in_wrong))
    original = values.get("original_question")
    original = original if isinstance(original, str) else ""
    options = values.get("options")
    question = Question(
        # The exam form, where there is one: a relative told by chance tells no two questions apart.
        id=content_id("\n".join((original or asked, right, wrong))),
        task=task,
        topic=next((v for c in _TOPICS if isinstance(v := values.get(c), str)), ""),
        question=asked,
        answer=right,
        wrong_answer=wrong,
        options=tuple(str(o) for o in options.values()) if isinstance(options, Mapping) else (),
        wrong_origin=LISTED,
    )
    return question, tuple(t for t in (asked, original) if t.strip())


def _text(values: Mapping[str, Any], where: str, *names: str) -> str:
    for name in names:
        found = values.get(name)
        if isinstance(found, str) and found.strip():
            if any("\ud800" <= c <= "\udfff" for c in found):
                raise UserError(f"{where}: {name!r} holds half of a surrogate pair, which is no text.")
            return found
    raise UserError(
        f"{where}: no text under the key {' or '.join(repr(n) for n in names)}. Found: "
        f"{', '.join(sorted(values))}. Is this a file of the release's eval_data, and this task's?"
    )


def _with_statements(rows: list[_Row]) -> Iterator[tuple[_Row, str | None, bool]]:
    """Each row with its statement's id, and whether its question was found in the prompt."""
    bare = {r.question.id: r.prompt for r in rows if r.condition == ("none", "none")}
    before = [_before(row, bare.get(row.question.id, "")) for row in rows]
    fillers = {b for r, b in zip(rows, before, strict=True) if b and r.condition == ("filler", "none")}
    for row, said in zip(rows, before, strict=True):
        if said is None:
            yield row, None, False
            continue
        for filler in fillers if row.condition[0] != "filler" else ():
            if said.endswith(f" {filler}"):
                said = _tidy(said.removesuffix(filler))
        yield row, f"released_{digest('statement', said)[:8]}" if said else None, True


def _before(row: _Row, bare: str) -> str | None:
    """What stands before the question, tidied, so that a stray space makes no other statement."""
    for text in (*row.texts, bare):
        at = row.prompt.find(text) if text else -1
        if at >= 0:
            return _tidy(row.prompt[:at])
    return None


def _tidy(text: str) -> str:
    return _DOTS.sub("", " ".join(text.split()))

"""A question file of one's own: CSV, JSON Lines, JSON or Parquet, one question a row."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.keys import digest
from warmgap.tasks.rows import Row, read
from warmgap.tasks.wrong_answers import OPTION, another_option, same

REQUIRED = ("question", "answer", "wrong_answer")
OPTIONAL = ("id", "topic", "aliases", "wrong_aliases", "options", "check")
LISTED = "listed"
"""Origin of a wrong answer that the data name."""
_ID_DIGITS = 12


def load(path: Path, task: str) -> tuple[Question, ...]:
    """All questions of a file.

    A row without an id gets one from its question's text, so that ids outlive a new order of rows.
    A row without a wrong answer takes one of its options.

    Raises:
        UserError: a missing file, or a malformed row (with file and line).
    """
    questions: list[Question] = []
    seen: dict[tuple[str, str], str] = {}
    for row in read(path):
        question = _question(row, task)
        keys = (("id", question.id), ("question", question.question))
        for key, value in keys if row.optional("id") else keys[::-1]:
            if (key, value) in seen:
                raise UserError(f"{row.where}: {key} {value!r} was already used on {seen[key, value]}.")
            seen[key, value] = row.where.removeprefix(str(path)).replace(":", "line ").strip()
        questions.append(question)
    return tuple(questions)


def content_id(text: str) -> str:
    """An id from a question's text."""
    return digest("question", text)[:_ID_DIGITS]


def _question(row: Row, task: str) -> Question:
    _refuse_near_names(row)
    options = row.texts("options")
    asked, answer = row.text("question"), row.text("answer")
    if options and not any(same(answer, o) for o in options):
        raise UserError(f"{row.where}: the answer {answer!r} is none of the options {list(options)}.")
    aliases = row.texts("aliases")
    wrong, origin = row.optional("wrong_answer"), LISTED
    if not wrong and options:
        wrong, origin = another_option(asked, (answer, *aliases), options, row.where), OPTION
    question = Question(
        id=row.optional("id") or content_id(asked),
        task=task,
        topic=row.optional("topic"),
        question=asked,
        answer=answer,
        wrong_answer=wrong or row.text("wrong_answer"),
        aliases=aliases,
        wrong_aliases=row.texts("wrong_aliases"),
        check=row.optional("check"),
        options=options,
        wrong_origin=origin,
    )
    refuse_shared_form(question, row.where)
    return question


def refuse_shared_form(question: Question, where: str) -> None:
    """Refuse a question whose right and wrong answer share a form.

    Raises:
        UserError: the form, with its file and line.
    """
    both = {f.lower() for f in question.right_forms} & {f.lower() for f in question.target_forms}
    if both:
        raise UserError(f"{where}: {sorted(both)[0]!r} stands for the right and for the wrong answer.")


def _refuse_near_names(row: Row) -> None:
    """Other columns are kept out, but one that is nearly a known name is misspelt."""
    known: Sequence[str] = (*REQUIRED, *OPTIONAL)
    for name in row.values:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
        if name not in known and near:
            raise UserError(
                f"{row.where}: there is no key '{name}'. Did you mean '{near[0]}'? Required: "
                f"{', '.join(REQUIRED)}; optional: {', '.join(OPTIONAL)}."
            )

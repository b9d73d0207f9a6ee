"""TriviaQA: the hub's rc.nocontext, or the authors' JSON files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.published import TWICE, distinct, short, text, tidy, value
from warmgap.tasks.rows import Row, read
from warmgap.tasks.wrong_answers import OTHER_QUESTION, Asked, OtherAnswers

FILES = ("triviaqa*.*", "trivia_qa*.*", "rc.nocontext/validation*.parquet", "*web-dev.json")
NO_WRONG = "left out: no other answer can be its wrong one"
_NO_FORMS = ("(disambiguation)", "List of ")


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions with their aliases; the wrong answer is the answer of another question of the same kind.

    A question that stands in the file once per evidence document is taken once.

    Raises:
        UserError: a malformed row (with file and line).
    """
    notes: Counter[str] = Counter()
    found: dict[str, Question] = {}
    for row in read(path):
        at = tidy(text(row, "question_id", "QuestionId"))
        if at in found:
            notes[TWICE] += 1
        else:
            found[at] = _question(row, at, config.name)
    asked = {q.id: Asked(q.id, q.question, q.answer, q.aliases) for q in found.values()}
    others = OtherAnswers(asked.values())
    questions = []
    for question in found.values():
        wrong = others.wrong_for(asked[question.id])
        if wrong is None:
            notes[NO_WRONG] += 1
        else:
            questions.append(replace(question, wrong_answer=wrong))
    return tuple(questions), dict(notes)


def _question(row: Row, at: str, task: str) -> Question:
    held = value(row, "answer")
    if not isinstance(held, Mapping):
        raise UserError(
            f"{row.where}: key 'answer' must be an object with value and aliases, found {held!r}."
        )
    answer = Row(row.where, held)
    listed = value(answer, "aliases")
    if not isinstance(listed, list) or not all(isinstance(a, str) for a in listed):
        raise UserError(f"{row.where}: key 'aliases' must be a list of texts, found {listed!r}.")
    if not listed:
        raise UserError(
            f"{row.where}: no aliases. The test split holds no answers; take the validation split."
        )
    forms = [short(a) for a in listed if not any(mark in a for mark in _NO_FORMS)]
    right = _cased(short(text(answer, "value")), forms)
    return Question(
        id=at,
        task=task,
        topic="",
        question=_unquoted(tidy(text(row, "question"))),
        answer=right,
        wrong_answer="",
        aliases=distinct(forms, [right]),
        wrong_origin=OTHER_QUESTION,
    )


def _cased(answer: str, forms: list[str]) -> str:
    """An answer in capitals as one of its aliases writes it: MONET as Monet, because of Claude Monet."""
    if len(answer) < 4 or not answer.isupper():
        return answer
    said = re.compile(rf"\b{re.escape(answer)}\b", re.IGNORECASE)
    found = (m[0] for m in map(said.search, sorted(forms, key=len)) if m and not m[0].isupper())
    return next(found, answer)


def _unquoted(question: str) -> str:
    """A question without the quoting of the table it once stood in."""
    inner = question[1:-1]
    if question[:1] == question[-1:] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"').strip()
    return question

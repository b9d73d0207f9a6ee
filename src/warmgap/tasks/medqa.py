"""MedQA, United States: the authors' JSON Lines, or the hub's rows; options are hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from warmgap.design.questions import Question
from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import TaskConfig
from warmgap.tasks.conversational import conversational
from warmgap.tasks.file import content_id
from warmgap.tasks.open_questions import needs_options, opened
from warmgap.tasks.published import TWICE, short, text, tidy, value
from warmgap.tasks.rows import Row, read
from warmgap.tasks.wrong_answers import OPTION, another_option, same, words

FILES = ("medqa*.*", "US/test.jsonl", "questions/US/test.jsonl", "med_qa_en_source/test*.parquet")
FORMS = ("exam", "conversational")
KEPT_EXAM = "kept in exam form: the patient is no man or woman of a stated age"
NEEDS_OPTIONS = "asks which option does not fit: hard to answer without them"
ABOUT_OPTIONS = "left out: the answer is about the options (all of the above)"


def load(path: Path, config: TaskConfig) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions without their options, the closing line made open; the wrong answer is another option.

    `task.form` is exam (the vignette as it is) or conversational ("My father, 67, ...").

    Raises:
        UserError: a form that does not exist, or a malformed row (with file and line).
    """
    if config.form not in FORMS:
        raise UserError(
            f"task.form={config.form} does not exist for medqa.{did_you_mean(config.form, FORMS)}"
        )
    notes: Counter[str] = Counter()
    questions: dict[str, Question] = {}
    for row in read(path):
        published = tidy(text(row, "question"))
        options = _options(row)
        answer = _answer(row, options)
        if published in questions or _about_options(answer):
            notes[TWICE if published in questions else ABOUT_OPTIONS] += 1
            continue
        asked = opened(published)
        notes[NEEDS_OPTIONS] += needs_options(published)
        if config.form == "conversational":
            told = conversational(asked)
            notes[KEPT_EXAM] += told is None
            asked = told or asked
        shown = tuple(options.values())
        choice = [o for o in shown if not _about_options(o)]
        questions[published] = Question(
            id=content_id(published),
            task=config.name,
            topic=str(row.values.get("meta_info") or ""),
            question=asked,
            answer=answer,
            wrong_answer=another_option(published, [answer], choice, row.where),
            options=shown,
            wrong_origin=OPTION,
        )
    return tuple(questions.values()), {reason: n for reason, n in notes.items() if n}


def _options(row: Row) -> dict[str, str]:
    """Letter and text of each option; the hub writes them as a list of key and value."""
    found = value(row, "options")
    if isinstance(found, list) and all(isinstance(o, Mapping) and {"key", "value"} <= set(o) for o in found):
        found = {o["key"]: o["value"] for o in found}
    if not isinstance(found, Mapping) or not found or not all(isinstance(o, str) for o in found.values()):
        raise UserError(f"{row.where}: key 'options' must hold a text per letter, found {found!r}.")
    return {str(k): short(v) for k, v in found.items() if words(v)}


def _answer(row: Row, options: Mapping[str, str]) -> str:
    letter, answer = text(row, "answer_idx"), short(text(row, "answer"))
    if letter not in options or not same(options[letter], answer):
        raise UserError(
            f"{row.where}: the answer {answer!r} is not option {letter}; found {options.get(letter)!r}."
        )
    return answer


def _about_options(option: str) -> bool:
    return words(option)[-3:] == ("of", "the", "above") or words(option)[-2:] == ("the", "above")

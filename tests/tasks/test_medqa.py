from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.conversational import conversational
from warmgap.tasks.medqa import ABOUT_OPTIONS, KEPT_EXAM, NEEDS_OPTIONS, load
from warmgap.tasks.open_questions import needs_options, opened, singular
from warmgap.tasks.published import TWICE

CLOSINGS = [
    ("Which of the following is the best test?", "What is the best test?"),
    ("Which of the following best explains it?", "What best explains it?"),
    ("It lies near which of the following arteries?", "It lies near which artery?"),
    ("Which of the following mechanisms best explains it?", "Which mechanism best explains it?"),
    ("Which of the following blood tests was ordered?", "Which blood test was ordered?"),
    ("Which of the following viruses is it?", "Which virus is it?"),
    ("Which of the following changes in the labs are likely?", "Which changes in the labs are likely?"),
    ("Which of the following signs and symptoms is odd?", "Which signs and symptoms is odd?"),
    ("Levels of which of the following are high:", "Levels of what are high?"),
    ("She was exposed to which of the following?", "She was exposed to what?"),
    ("If so, which of the following biases is it?", "If so, which bias is it?"),
    ("The labs show the following. What is it?", "The labs show the following. What is it?"),
    ('What causes the pain?"', "What causes the pain?"),
    ('He says "ow." Which of the following is it?', 'He says "ow." What is it?'),
]


@pytest.mark.parametrize(("closing", "expected"), CLOSINGS)
def test_the_closing_line_is_made_open(closing, expected):
    assert opened(closing) == expected


NOUNS = {
    "arteries": "artery",
    "processes": "process",
    "diagnoses": "diagnosis",
    "nerves": "nerve",
    "virus": "virus",
    "boxes": "box",
    "species": "species",
    "diseases": "disease",
    "loss": "loss",
    "Enzymes": "Enzyme",
}


@pytest.mark.parametrize(("noun", "expected"), NOUNS.items())
def test_singular(noun, expected):
    assert singular(noun) == expected


def test_a_question_for_what_does_not_fit_is_known():
    assert needs_options("He is ill. Which of the following drugs is NOT the cause?")
    assert needs_options("He is ill. All are true EXCEPT:")
    assert not needs_options("He does not smoke. Which of the following is the cause?")


@pytest.mark.parametrize(
    ("vignette", "pattern"),
    [
        (
            "A 67-year-old man comes to the clinic. He coughs.",
            "My (father|uncle|grandfather), 67, comes to the clinic. He coughs.",
        ),
        (
            "An 8-year-old girl is brought by her mother.",
            "My (niece|granddaughter), 8, is brought by her mother.",
        ),
        ("A 3-month-old boy has a rash.", "My (son|nephew|grandson), 3 months old, has a rash."),
        ("A 1-week-old male newborn is pale.", "My (son|nephew|grandson), 1 week old, is pale."),
        (
            "An otherwise healthy 26 year old woman presents to a doctor.",
            "My (sister|cousin|wife), 26 and otherwise healthy, presents to a doctor.",
        ),
        (
            "A 45-year-old African American man, who smokes, is seen by his wife.",
            "My (father|uncle), 45, an African American man, who smokes, is seen by his wife.",
        ),
        (
            "A 72-year-old woman with gout is seen. The patient has pain. Which is best in this patient?",
            "My (mother|aunt|grandmother), 72, with gout is seen. She has pain. Which is best in her?",
        ),
        (
            "A 50-year-old man is ill. The patient's wife calls about this patient's patient-reported pain.",
            "My (father|uncle), 50, is ill. His wife calls about his patient-reported pain.",
        ),
    ],
)
def test_a_vignette_is_told_by_a_relative(vignette, pattern):
    start, rest = pattern.split("(")[0], pattern.split(")")[1]
    told = conversational(vignette)
    relative = told.removeprefix(start).removesuffix(rest)
    assert relative in pattern.split("(")[1].split(")")[0].split("|")


@pytest.mark.parametrize(
    "vignette",
    [
        "A 47-year-old executive is seen.",
        "A scientist studies cells.",
        "A 22-year-old female student is seen.",
        "A 67-year-woman comes.",
        "Six days later a 70-year-old man comes.",
    ],
)
def test_a_vignette_that_names_no_man_or_woman_at_its_start_stays(vignette):
    assert conversational(vignette) is None


def row(question, options, idx, **more):
    return {
        "question": question,
        "options": options,
        "answer_idx": idx,
        "answer": options[idx],
        "meta_info": "step1",
    } | more


ROWS = [
    row(
        "A 30-year-old man has a cough &amp; \u201csneezes\u201d; see\nHb 12 g/dL\n"
        "Which of the following drugs is best?",
        {"A": "Zinc", "B": "Water.", "C": "All of the above"},
        "A",
    ),
    row("A nurse is ill. Which of the following is NOT seen?", {"A": "x, y; z", "B": "w"}, "B"),
    row("A nurse is ill. Which of the following is NOT seen?", {"A": "x, y; z", "B": "w"}, "B"),
    row("What is it?", {"A": "One", "B": "All of the above"}, "B"),
]


def test_rows_become_open_questions_in_both_forms(tmp_path):
    path = tmp_path / "medqa.jsonl"
    path.write_bytes("\r\n".join(map(json.dumps, ROWS)).encode("utf-8-sig"))
    exam, notes = load(path, TaskConfig(name="medqa", form="exam"))
    assert notes == {TWICE: 1, ABOUT_OPTIONS: 1, NEEDS_OPTIONS: 1}
    first, second = exam
    assert (
        first.question
        == "A 30-year-old man has a cough & \u201csneezes\u201d; see\nHb 12 g/dL\nWhich drug is best?"
    )
    assert (first.answer, first.wrong_answer, first.topic) == ("Zinc", "Water", "step1")
    assert first.options == ("Zinc", "Water", "All of the above")
    assert not any(option in q.question for q in exam for option in q.options)
    assert (second.answer, second.wrong_answer, second.wrong_origin) == ("w", "x, y; z", "option")
    told, notes = load(path, TaskConfig(name="medqa", form="conversational"))
    assert notes == {TWICE: 1, ABOUT_OPTIONS: 1, NEEDS_OPTIONS: 1, KEPT_EXAM: 1}
    relative, told_rest = told[0].question.split(", 30, ")
    assert relative in ("My brother", "My cousin", "My husband")
    assert told_rest == first.question.removeprefix("A 30-year-old man ")
    assert told[1].question == second.question
    assert [q.id for q in told] == [q.id for q in exam]
    assert [q.wrong_answer for q in told] == [q.wrong_answer for q in exam]


def test_the_hubs_rows_give_the_same_questions(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    hub = [r | {"options": [{"key": k, "value": v} for k, v in r["options"].items()]} for r in ROWS]
    pl.DataFrame(hub).write_parquet(tmp_path / "a.parquet")
    config = TaskConfig(name="medqa", form="exam")
    assert load(tmp_path / "a.jsonl", config) == load(tmp_path / "a.parquet", config)


WRONG = [
    (
        {"question": "q?", "answer": "a", "answer_idx": "A"},
        "no key 'options'. Found: answer, answer_idx, question",
    ),
    (ROWS[0] | {"options": {}}, "key 'options' must hold a text per letter, found {}"),
    (ROWS[0] | {"options": {"A": "Zinc"}}, "no option besides the answer"),
    (ROWS[0] | {"answer_idx": "D"}, "the answer 'Zinc' is not option D; found None"),
    (ROWS[0] | {"answer": "Tin"}, "the answer 'Tin' is not option A; found 'Zinc'"),
]


@pytest.mark.parametrize(("broken", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, broken, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n" + json.dumps(broken))
    with pytest.raises(UserError) as refused:
        load(path, TaskConfig(name="medqa", form="exam"))
    assert str(refused.value).startswith(f"{path}:2: {message}")


def test_a_form_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"task\.form=open does not exist for medqa\..*Allowed: conversational, exam"
    ):
        load(tmp_path / "a.jsonl", TaskConfig(name="medqa", form="open"))

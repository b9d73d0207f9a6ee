from __future__ import annotations

import csv
import json
import re

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.published import TWICE
from warmgap.tasks.truthfulqa import NO_ANSWER, NO_WRONG, SECOND, load

CONFIG = TaskConfig(name="truthfulqa")
HEAD = ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source"]
ROWS = [
    [
        "Adversarial",
        "Myths",
        'Does "tea, green" cure colds?',
        "No, it does not.",
        "No; No, it does not.; Nothing cures colds &amp; flu; I have no comment",
        "Yes, it does.; Yes, \u201cgreen\u201d tea does; yes it does",
        "https://a.example/x",
    ],
    [
        "Non-Adversarial",
        "Places",
        "Where is it warm in the U.S.?",
        "I have no comment",
        "I have no comment; In the south of the U.S.",
        "In Alaska",
        "",
    ],
    ["Adversarial", "Self", "How are you?", "I have no comment", "I have no comment", "Fine", ""],
    ["Adversarial", "Myths", 'Does "tea, green" cure colds?', "No", "No", "Yes", ""],
    ["Adversarial", "Odd", "Only one side?", "Yes", "Yes", "yes.", ""],
]


def as_csv(path, rows, **how):
    with path.open("w", newline="", **how) as f:
        csv.writer(f).writerows([HEAD, *rows])
    return path


def test_the_authors_rows_become_questions(tmp_path):
    questions, notes = load(as_csv(tmp_path / "TruthfulQA.csv", ROWS, encoding="utf-8-sig"), CONFIG)
    assert notes == {SECOND: 1, NO_ANSWER: 1, TWICE: 1, NO_WRONG: 1}
    tea, warm = questions
    assert (tea.question, tea.topic, tea.check) == (
        'Does "tea, green" cure colds?',
        "Myths",
        "https://a.example/x",
    )
    assert tea.right_forms == ("No, it does not", "No", "Nothing cures colds & flu")
    # "yes it does" has the words of "Yes, it does": one form.
    assert sorted(tea.target_forms) == ["Yes, it does", "Yes, \u201cgreen\u201d tea does"]
    assert tea.wrong_origin == "listed"
    assert (warm.right_forms, warm.target_forms) == (("In the south of the U.S.",), ("In Alaska",))


def test_the_wrong_answer_is_chosen_by_hash_of_the_question(tmp_path):
    rows = [["A", "C", f"Question {i}?", "Right", "Right", "One; Two; Three", ""] for i in range(90)]
    first, _ = load(as_csv(tmp_path / "a.csv", rows), CONFIG)
    again, _ = load(as_csv(tmp_path / "b.csv", rows[::-1]), CONFIG)
    assert {q.id: q.wrong_answer for q in first} == {q.id: q.wrong_answer for q in again}
    counts = [sum(q.wrong_answer == w for q in first) for w in ("One", "Two", "Three")]
    assert all(12 <= n <= 48 for n in counts)  # 30 each by chance, standard deviation 4.5
    assert all(set(q.target_forms) == {"One", "Two", "Three"} for q in first)


def test_the_hubs_file_gives_the_same_questions(tmp_path):
    hub = [
        {
            "type": r[0],
            "category": r[1],
            "question": r[2],
            "best_answer": r[3],
            "correct_answers": re.split(r"(?<!&amp); ", r[4]),
            "incorrect_answers": r[5].split("; "),
            "source": r[6],
        }
        for r in ROWS
    ]
    pl.DataFrame(hub).write_parquet(tmp_path / "validation.parquet")
    (tmp_path / "v.jsonl").write_text("\n".join(map(json.dumps, hub)))
    expected = load(as_csv(tmp_path / "TruthfulQA.csv", ROWS), CONFIG)
    assert load(tmp_path / "validation.parquet", CONFIG) == expected
    assert load(tmp_path / "v.jsonl", CONFIG) == expected


def test_a_malformed_row_is_named_by_file_and_line(tmp_path):
    path = as_csv(tmp_path / "a.csv", [ROWS[0], ["A", "C", " ", "x", "x", "y", ""]])
    with pytest.raises(UserError, match=r"a\.csv:3: key 'Question' must be a non-empty text, found ' '"):
        load(path, CONFIG)
    path.write_text("question,answer\nq?,a\n")
    with pytest.raises(
        UserError, match=r"a\.csv:2: no key 'Best Answer' or 'best_answer'\. Found: answer, question"
    ):
        load(path, CONFIG)

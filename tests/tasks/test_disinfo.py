from __future__ import annotations

import csv
import json

import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.disinfo import NO_QUESTION, load, without_format
from warmgap.tasks.published import TWICE

CONFIG = TaskConfig(name="disinfo")

QUESTIONS = [
    ("Is tea blue? Answer with yes or no.", "Is tea blue?"),
    (
        "Is tea, e.g. green tea, blue? After thinking about it, please give a final yes or no.",
        "Is tea, e.g. green tea, blue?",
    ),
    (
        "I read about tea. Is it blue? Please respond only with YES or NO. Your answer must be one word.",
        "I read about tea. Is it blue?",
    ),
    ("Give your view on tea.", "Give your view on tea."),
    ("Is tea blue?", "Is tea blue?"),
]


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_the_instruction_how_to_answer_is_taken_off(question, expected):
    assert without_format(question) == expected


ROWS = [
    {
        "belief_elicit_1": "Is tea blue? Answer with yes or no.",
        "proposition": "Tea is &quot;blue&quot;.",
        "ground_truth": "False",
    },
    {"belief_elicit_1": "Is tea wet?", "proposition": "Tea is dry; very.", "ground_truth": "Yes"},
    {
        "belief_elicit_1": "Is tea blue? Respond with one word.",
        "proposition": "Tea is blue.",
        "ground_truth": "No",
    },
]


def test_rows_become_yes_no_questions(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8-sig") as f:
        writer = csv.DictWriter(f, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    questions, notes = load(tmp_path / "a.jsonl", CONFIG)
    assert load(tmp_path / "a.csv", CONFIG) == (questions, notes)
    assert notes == {TWICE: 1, NO_QUESTION: 1}
    assert [(q.question, q.answer, q.wrong_answer) for q in questions] == [
        ("Is tea blue?", "No", "Yes"),
        ("Is tea wet?", "Yes", "No"),
    ]
    assert [q.topic for q in questions] == ['Tea is "blue".', "Tea is dry; very."]
    assert {q.wrong_origin for q in questions} == {"made: the other of yes and no"}


def test_a_true_and_a_false_answer_in_words(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0] | {"ground_truth": "It is green.", "ground_false": "It is blue."}))
    ((question,), _) = load(path, CONFIG)
    assert (question.answer, question.wrong_answer) == ("It is green", "It is blue")
    assert question.wrong_origin == "listed"


@pytest.mark.parametrize(
    "change", [{"ground_truth": "maybe"}, {"ground_truth": ""}, {"ground_truth": "A", "ground_false": "a."}]
)
def test_a_row_that_does_not_say_what_is_true_is_named(tmp_path, change):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n\n" + json.dumps(ROWS[0] | change))
    with pytest.raises(UserError, match=r"a\.jsonl:3: key 'ground_truth' must be yes or no"):
        load(path, CONFIG)

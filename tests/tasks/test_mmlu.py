from __future__ import annotations

import csv
import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.mmlu import INSTRUCTION, load
from warmgap.tasks.published import TWICE

CONFIG = TaskConfig(name="mmlu")
ROWS = [
    {
        "question": 'Who said "x, y; z" &lt; 3?',
        "subject": "made_up",
        "choices": ["Ann", "Bo", "Ann, Bo", "Ü"],
        "answer": 2,
    },
    {"question": "Which?", "subject": "made_up", "choices": ["1", "2", "3", "4"], "answer": 0},
    {"question": "Which?", "subject": "made_up", "choices": ["1", "2", "3", "4"], "answer": 0},
    {"question": "Which?", "subject": "made_up", "choices": ["1", "2", "3", "5"], "answer": 3},
]


def test_rows_become_questions_answered_by_a_letter(tmp_path):
    path = tmp_path / "mmlu.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    questions, notes = load(path, CONFIG)
    assert notes == {TWICE: 1}
    assert [q.answer for q in questions] == ["C", "A", "D"]
    first = questions[0]
    assert first.question == f'Who said "x, y; z" < 3?\nA. Ann\nB. Bo\nC. Ann, Bo\nD. Ü\n{INSTRUCTION}'
    assert (first.options, first.topic, first.scorer) == (("Ann", "Bo", "Ann, Bo", "Ü"), "made up", "letter")
    assert first.wrong_answer in "ABD"
    assert {q.wrong_origin for q in questions} == {"option"}
    assert len({q.id for q in questions}) == 3


def test_the_hubs_parquet_and_the_authors_file_give_the_same_questions(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    with (tmp_path / "made_up_test.csv").open("w", newline="") as f:
        csv.writer(f).writerows([r["question"], *r["choices"], "ABCD"[r["answer"]]] for r in ROWS)
    found = [load(tmp_path / name, CONFIG) for name in ("a.jsonl", "a.parquet", "made_up_test.csv")]
    assert found[0] == found[1] == found[2]


WRONG = [
    ({"choices": ["1", "2"]}, "key 'choices' must be a list of four texts, found ['1', '2']"),
    ({"choices": None}, "key 'choices' must be a list of four texts, found [None, None, None, None]"),
    ({"answer": 4}, "key 'answer' must be one of A to D or of 0 to 3, found 4"),
    ({"answer": "E"}, "key 'answer' must be one of A to D or of 0 to 3, found 'E'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, change, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n" + json.dumps(ROWS[0] | change))
    with pytest.raises(UserError) as refused:
        load(path, CONFIG)
    assert str(refused.value).startswith(f"{path}:2: {message}")

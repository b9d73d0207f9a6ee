from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.published import TWICE
from warmgap.tasks.triviaqa import NO_WRONG, load

CONFIG = TaskConfig(name="triviaqa")


def hub(identity, question, value, *aliases):
    answer = {
        "aliases": [*aliases, value],
        "normalized_aliases": [a.lower() for a in (*aliases, value)],
        "value": value,
        "normalized_value": value.lower(),
        "type": "WikipediaEntity",
    }
    return {"question": question, "question_id": identity, "question_source": "made", "answer": answer}


MILL = "Which river flows past Tom &amp; Jo's mill ?"
ROWS = [
    hub("t1", MILL, "DANUBE", "The Danube", "Danube (disambiguation)"),
    hub(
        "t2",
        '"Who wrote ""Small Hours"", a play; in 1900?"',
        "Ann Öberg",
        "Ann Oberg",
        "A. Öberg",
        "\U0001f64f",
    ),
    hub("t3", "Which river is longer?", "Volga", "Wolga", "List of rivers", "volga"),
    hub("t1", MILL, "DANUBE"),
    hub("t4", "Who sang it?", "Bo Lind", "Lind"),
    hub("t5", 'Which word is "odd"', "NATO"),
]


def test_the_hubs_rows_become_questions(tmp_path):
    path = tmp_path / "triviaqa.jsonl"
    path.write_text("\r\n".join(json.dumps(r) for r in ROWS) + "\r\n", encoding="utf-8-sig")
    questions, notes = load(path, CONFIG)
    assert notes == {TWICE: 1}
    q = {q.id: q for q in questions}
    assert q["t1"].question == "Which river flows past Tom & Jo's mill?"
    assert q["t2"].question == 'Who wrote "Small Hours", a play; in 1900?'
    assert q["t5"].question == 'Which word is "odd"'
    assert {i: x.answer for i, x in q.items()} == {
        "t1": "Danube",
        "t2": "Ann Öberg",
        "t3": "Volga",
        "t4": "Bo Lind",
        "t5": "NATO",
    }
    assert q["t1"].aliases == ("The Danube",)
    assert q["t2"].aliases == ("A. Öberg",)  # the accent alone makes no form of its own, nor does a sign
    assert q["t3"].aliases == ("Wolga",)
    assert {i: x.wrong_answer for i, x in q.items() if i != "t5"} == {
        "t1": "Volga",
        "t3": "Danube",
        "t2": "Bo Lind",
        "t4": "Ann Öberg",
    }
    assert {x.wrong_origin for x in questions} == {"made: answer of another question"}


def test_the_authors_file_and_parquet_give_the_same_questions(tmp_path):
    unique = [r for i, r in enumerate(ROWS) if i != 3]
    authors = [
        {
            "Question": r["question"],
            "QuestionId": r["question_id"],
            "Answer": {"Value": r["answer"]["value"], "Aliases": r["answer"]["aliases"], "Type": "x"},
            "EntityPages": [],
        }
        for r in unique
    ]
    (tmp_path / "web-dev.json").write_text(json.dumps({"Data": authors, "Split": "dev", "Version": 1.0}))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, unique)))
    pl.DataFrame(unique).write_parquet(tmp_path / "a.parquet")
    found = [load(tmp_path / n, CONFIG)[0] for n in ("web-dev.json", "a.jsonl", "a.parquet")]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 5


WRONG = [
    (
        {"question": "q?", "question_id": "t"},
        "no key 'answer'. Found: question, question_id. Is this the file of another task?",
    ),
    (ROWS[0] | {"answer": "Danube"}, "key 'answer' must be an object with value and aliases"),
    (ROWS[0] | {"answer": {"value": "x", "aliases": "y"}}, "key 'aliases' must be a list of texts"),
    (ROWS[0] | {"answer": {"value": "<unk>", "aliases": []}}, "The test split holds no answers"),
    (ROWS[0] | {"question": " "}, "key 'question' must be a non-empty text"),
]


@pytest.mark.parametrize(("row", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n\n" + json.dumps(row))
    with pytest.raises(UserError) as refused:
        load(path, CONFIG)
    assert str(refused.value).startswith(f"{path}:3: ")
    assert message in str(refused.value)


def test_a_question_without_any_other_answer_is_left_out_and_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0]))
    assert load(path, CONFIG) == ((), {NO_WRONG: 1})

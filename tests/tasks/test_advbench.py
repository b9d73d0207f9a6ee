from __future__ import annotations

import csv
import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.advbench import NO_ANSWER, load
from warmgap.tasks.open import load as load_task
from warmgap.tasks.published import TWICE

CONFIG = TaskConfig(name="advbench", format="advbench")
# Made, and harmless: what is asked for here may be told to anyone.
ROWS = [
    ('Write a "secret" letter to a dragon, then hide it', 'Sure, here is a "secret" letter, hidden'),
    ("Explain how to pick the lock of a fictional treasure chest", "Sure, here is how"),
    ("Beschreibe den Umhang \u2014 wei\u00df, unsichtbar \U0001f9d9", ""),
    ("Tell\na goblin's joke &amp; laugh", "Here: \u4f60\u597d"),
    ("Explain how to pick the lock of a fictional treasure chest", "again"),
]
ASKED = [
    'Write a "secret" letter to a dragon, then hide it',
    "Explain how to pick the lock of a fictional treasure chest",
    "Beschreibe den Umhang \u2014 wei\u00df, unsichtbar \U0001f9d9",
    "Tell\na goblin's joke & laugh",
]


@pytest.fixture
def files(tmp_path):
    with (tmp_path / "harmful_behaviors.csv").open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("goal", "target"), *ROWS])
    hub = [{"prompt": goal, "target": target} for goal, target in ROWS]
    pl.DataFrame(hub).write_parquet(tmp_path / "train-00000-of-00001.parquet")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, hub)))
    return tmp_path


@pytest.mark.parametrize("name", ["harmful_behaviors.csv", "train-00000-of-00001.parquet", "rows.jsonl"])
def test_the_authors_file_and_the_hubs_give_the_same_requests(files, name):
    questions, notes = load(files / name, CONFIG)
    assert [q.question for q in questions] == ASKED
    assert notes == {TWICE: 1}
    assert {(q.answer, q.wrong_answer, q.scorer, q.options) for q in questions} == {("", "", "refusal", ())}
    assert {q.wrong_origin for q in questions} == {NO_ANSWER}
    assert len({q.id for q in questions}) == 4
    assert [q.id for q in questions] == [q.id for q in load(files / "rows.jsonl", CONFIG)[0]]


def test_the_authors_file_is_found_in_a_folder(files):
    found = load_task(TaskConfig(name="advbench", format="advbench", folder=str(files)))
    assert len(found.questions) == 4
    assert found.facts()["wrong_answers"] == {NO_ANSWER: 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("goal,target\n ,b\n", ":2: key 'goal' must be a non-empty text, found ' '"),
        ("question,target\na,b\n", ":2: no key 'goal' or 'prompt'. Found: question, target."),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError) as refused:
        load(path, CONFIG)
    assert str(refused.value).startswith(f"{path}{message}")


def test_another_name_is_refused_since_tables_would_take_it_for_a_task_with_answers(files):
    with pytest.raises(UserError, match=r"Leave task\.name at advbench"):
        load(files / "rows.jsonl", TaskConfig(name="mine", format="advbench"))

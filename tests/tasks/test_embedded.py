from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.embedded import SPLITS, load, path_of

MAIN = {"facts": 100, "misconceptions": 80, "conspiracies": 60, "health": 80}
PILOT = 20
ROW = {"id": "q1", "topic": "tea", "question": "Where?", "answer": "China", "wrong_answer": "Peru"}


@cache
def questions(name: str, split: str):
    return load(TaskConfig(name=name, split=split))


def everything():
    return [q for name in MAIN for split in SPLITS for q in questions(name, split)]


def tokens(text: str) -> tuple[str, ...]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return tuple(re.findall(r"[^\W_]+", plain))


def inside(short: str, long: str) -> bool:
    a, b = tokens(short), tokens(long)
    return any(b[i : i + len(a)] == a for i in range(len(b) - len(a) + 1))


@pytest.mark.parametrize("name", MAIN)
def test_there_are_as_many_items_as_the_study_needs(name):
    assert len(questions(name, "main")) >= MAIN[name]
    assert len(questions(name, "pilot")) == PILOT


@pytest.mark.parametrize("of", ["id", "topic", "question"])
def test_ids_topics_and_questions_are_unique_over_all_files(of):
    counts = Counter(" ".join(tokens(getattr(q, of))) for q in everything())
    assert {value: n for value, n in counts.items() if n > 1} == {}


def test_every_item_says_where_its_fact_can_be_checked_and_asks_a_question():
    assert [q.id for q in everything() if not q.check.strip()] == []
    assert [q.id for q in everything() if not q.question.endswith("?")] == []
    assert [q.id for q in everything() if not q.id.startswith(q.task)] == []


def test_no_form_of_one_answer_stands_inside_a_form_of_the_other():
    clash = [
        (q.id, right, wrong)
        for q in everything()
        for right in q.right_forms
        for wrong in q.target_forms
        if inside(right, wrong) or inside(wrong, right)
    ]
    assert clash == []


def test_no_form_of_an_answer_stands_in_the_question():
    given_away = [
        (q.id, form)
        for q in everything()
        for form in (*q.right_forms, *q.target_forms)
        if inside(form, q.question)
    ]
    assert given_away == []


def test_forms_of_one_answer_are_distinct():
    twice = [
        (q.id, forms)
        for q in everything()
        for forms in (q.right_forms, q.target_forms)
        if len({f.lower() for f in forms}) < len(forms)
    ]
    assert twice == []


def test_inside_looks_at_whole_words():
    assert inside("Peru", "in Perú, perhaps")
    assert inside("new york", "New York City")
    assert not inside("Ant", "Antarctica")
    assert not inside("York New", "New York")


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map(str.strip).filter(bool)


@st.composite
def items(draw):
    forms = draw(st.lists(text, min_size=2, max_size=6, unique_by=str.lower))
    cut = draw(st.integers(1, len(forms) - 1))
    right, wrong = forms[:cut], forms[cut:]
    row = {"topic": draw(text), "answer": right[0], "wrong_answer": wrong[0], "check": draw(text)}
    for key, rest in (("aliases", right[1:]), ("wrong_aliases", wrong[1:])):
        if rest or draw(st.booleans()):
            row[key] = rest
    return row


@given(st.lists(items(), max_size=6), st.lists(text, min_size=6, max_size=6, unique=True))
def test_every_field_of_a_row_arrives(tmp_path_factory, rows, asked):
    rows = [{"id": f"q{i}", "question": q} | row for i, (row, q) in enumerate(zip(rows, asked, strict=False))]
    path = tmp_path_factory.mktemp("task") / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load(TaskConfig(name="mine", path=str(path)))
    assert [q.task for q in found] == ["mine"] * len(rows)
    for question, row in zip(found, rows, strict=True):
        for key in ("id", "topic", "question", "answer", "wrong_answer", "check"):
            assert getattr(question, key) == row[key]
        assert question.right_forms == (row["answer"], *row.get("aliases", []))
        assert question.target_forms == (row["wrong_answer"], *row.get("wrong_aliases", []))


MALFORMED = [
    *(
        ({k: v for k, v in ROW.items() if k != key}, f"key '{key}' must be a non-empty text")
        for key in ("question", "answer", "wrong_answer")
    ),
    (ROW | {"answer": ""}, "key 'answer' must be a non-empty text, found ''"),
    (ROW | {"question": "  "}, "key 'question' must be a non-empty text"),
    (ROW | {"topic": 3}, "key 'topic' must be a non-empty text, found 3"),
    (ROW | {"aliases": "PRC"}, "key 'aliases' must be a list of texts, found 'PRC'"),
    (ROW | {"wrong_aliases": ["Lima", 4]}, "key 'wrong_aliases' must be a list of texts"),
    (ROW | {"aliases": [""]}, "key 'aliases' must be a list of texts"),
    (ROW | {"id": "q0"}, "id 'q0' was already used on line 1"),
    (ROW | {"question": "Which?"}, "question 'Which?' was already used on line 1"),
    (ROW | {"wrong_answer": "CHINA"}, "'china' stands for the right and for the wrong answer"),
]


@pytest.mark.parametrize(("row", "message"), MALFORMED, ids=[m for _, m in MALFORMED])
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "mine.jsonl"
    first = ROW | {"id": "q0", "question": "Which?"}
    path.write_text(json.dumps(first) + "\n\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError) as refused:
        load(TaskConfig(name="mine", path=str(path)))
    assert str(refused.value).startswith(f"{path}:3: {message}")


@given(
    st.sampled_from(["question", "answer", "wrong_answer", "id", "topic"]),
    st.integers() | st.booleans() | st.lists(text) | st.just(" "),
)
def test_whatever_else_stands_where_a_text_must_is_refused(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("task") / "mine.jsonl"
    path.write_text(json.dumps(ROW | {key: value}) + "\n")
    with pytest.raises(UserError, match=rf"mine\.jsonl:1: key '{key}' must be"):
        load(TaskConfig(name="mine", path=str(path)))


def test_a_split_that_does_not_exist_and_a_missing_file_are_named():
    with pytest.raises(UserError, match=r"task\.split=test does not exist\. Allowed: main, pilot"):
        path_of(TaskConfig(name="facts", split="test"))
    with pytest.raises(UserError, match=r"missing file: /no/such\.jsonl"):
        load(TaskConfig(name="facts", path="/no/such.jsonl"))

from __future__ import annotations

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest

from warmgap.errors import UserError
from warmgap.tasks.file import load

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"


def from_csv(tmp_path, text):
    path = tmp_path / "questions.csv"
    path.write_text(text)
    return load(path, "mine")


def test_every_column_arrives(tmp_path):
    (q,) = from_csv(
        tmp_path,
        "id,topic,question,answer,wrong_answer,aliases,wrong_aliases,options,check,note\n"
        'q1,tea,"Which, then?",Turkey,China,Turkish; Türkiye,PRC,China;Peru;Turkey,an atlas,mine\n',
    )
    assert (q.id, q.task, q.topic, q.question, q.check) == ("q1", "mine", "tea", "Which, then?", "an atlas")
    assert q.right_forms == ("Turkey", "Turkish", "Türkiye")
    assert q.target_forms == ("China", "PRC")
    assert (q.options, q.wrong_origin) == (("China", "Peru", "Turkey"), "listed")


def test_an_id_is_made_from_the_question_and_outlives_order_and_answers(tmp_path):
    first = from_csv(tmp_path, "question,answer,wrong_answer\nA?,b,c\nD?,e,f\n")
    second = from_csv(tmp_path, "question,answer,wrong_answer\nD?,x,f\nA?,b,c\n")
    assert [q.id for q in first] == [q.id for q in second][::-1]
    canonical = json.dumps(["question", "A?"], separators=(",", ":"))
    assert first[0].id == hashlib.sha256(canonical.encode()).hexdigest()[:12]


def test_another_option_is_the_wrong_answer_where_none_is_given(tmp_path):
    rows = "".join(f"Q{i}?,Red,,crimson,red;Blue;Green;Crimson\n" for i in range(60))
    found = from_csv(tmp_path, "question,answer,wrong_answer,aliases,options\n" + rows)
    assert {q.wrong_answer for q in found} == {"Blue", "Green"}
    assert {q.wrong_origin for q in found} == {"option"}
    assert 15 < sum(q.wrong_answer == "Blue" for q in found) < 45  # 60 fair throws: 30, 3.9 SD apart


HEAD = "question,answer,wrong_answer,options\n"
WRONG = [
    (HEAD + "A?,b,c,\nB?,,c,\n", ":3: key 'answer' must be a non-empty text, found ''"),
    (HEAD + "A?,b,,\n", ":2: key 'wrong_answer' must be a non-empty text, found ''"),
    (HEAD + "A?,b,,b; B \n", ":2: no option besides the answer"),
    (HEAD + "A?,b,c,c;d\n", ":2: the answer 'b' is none of the options ['c', 'd']"),
    (HEAD + "A?,b,B,\n", ":2: 'b' stands for the right and for the wrong answer"),
    (HEAD + "A?,b,c,\n\nA?,d,e,\n", ":4: question 'A?' was already used on line 2"),
    ("question,anwser,wrong_answer\nA?,b,c\n", ":2: there is no key 'anwser'. Did you mean 'answer'?"),
    (
        "question,answer,wrong_answer,alias\nA?,b,c,d\n",
        ":2: there is no key 'alias'. Did you mean 'aliases'?",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError) as refused:
        from_csv(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "questions.csv") + message)


def test_what_the_document_says_works(tmp_path, monkeypatch, request_of):
    section = DOCUMENT.read_text().split("## A task\n")[1].split("\n## ")[0]
    block = re.search(r"```csv\n(.*?)```", section, re.S)[1]
    command = re.search(r"`warmgap (task=file .*?)`", section)[1]
    assert len(block.splitlines()) + 1 <= 10
    (tmp_path / "questions.csv").write_text(block)
    monkeypatch.chdir(tmp_path)
    plan = request_of(*shlex.split(command), "corpus.n_conversations=12", "corpus.n_validation=6").plan()
    assert {(c.task, c.form) for c in plan.analyse.cells} == {("tea", "open")}
    questions = next(n.job.questions for n in plan.nodes.values() if n.job.stage == "judge")
    assert {q.answer: (q.aliases, q.wrong_answer) for q in questions} == {
        "Turkey": (("Turkish", "Türkiye"), "China"),
        "Matcha": ((), "Sencha"),
    }

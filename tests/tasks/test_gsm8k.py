from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks.gsm8k import INSTRUCTION, load
from warmgap.tasks.published import TWICE

CONFIG = TaskConfig(name="gsm8k")
ROWS = [
    {
        "question": "Ann has 3 bags of 400 beans; \u201cmany\u201d &amp; big.  How many?",
        "answer": "3*400=<<3*400=1200>>1,200.\nHalf is <<1200/2=600>>600, twice <<600*2=1,200>>.\n#### 1,200",
    },
    {"question": "What is half of 1?", "answer": "It is half.\n#### 0.5"},
    {"question": "What is half of 1?", "answer": "#### 0.5"},
]


def test_rows_become_questions_with_a_plausible_wrong_number(tmp_path):
    path = tmp_path / "gsm8k.jsonl"
    path.write_bytes("\r\n".join(map(json.dumps, ROWS)).encode("utf-8-sig"))
    (beans, half), notes = load(path, CONFIG)
    assert notes == {TWICE: 1}
    assert beans.question == f"Ann has 3 bags of 400 beans; \u201cmany\u201d & big. How many? {INSTRUCTION}"
    # 1,200 is a step, too, but it is the right answer.
    assert (beans.answer, beans.wrong_answer, beans.scorer) == ("1200", "600", "number")
    assert beans.wrong_origin == "made: a number of the worked solution"
    assert half.answer == "0.5"
    assert half.wrong_answer in ("1.5", "2.5", "1", "10.5")
    assert half.wrong_origin == "made: a number near the right one"


def test_the_hubs_parquet_gives_the_same_questions(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.jsonl", CONFIG) == load(tmp_path / "a.parquet", CONFIG)


@pytest.mark.parametrize("answer", ["It is 4.", "#### four", "4 ####"])
def test_a_row_without_a_final_number_is_named(tmp_path, answer):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps({"question": "2+2?", "answer": answer}))
    with pytest.raises(UserError, match=r"a\.jsonl:2: key 'answer' must end with '#### NUMBER', found"):
        load(path, CONFIG)

"""The report of losses accounts for every record."""

from __future__ import annotations

import json

import pytest

from warmgap.corpora.losses import Losses, loss_text
from warmgap.errors import UserError


@pytest.fixture
def found():
    losses = Losses()
    for i in range(20):
        losses.read("advice" if i < 8 else "other")
    for i in range(7):
        losses.add("dropped", "empty reply", "advice" if i < 2 else "other", f"id{i}", f"a.json, record {i}")
    losses.add("dropped", "toxic", "other", "", "a.json, record 19, byte 7")
    losses.add("noticed", "HTML remnants", "advice", "id9", "a.json, record 9")
    return losses


def test_counts_and_shares_are_of_what_was_read(found):
    rows = {(r["reason"], r["query_type"]): r for r in found.rows()}
    assert found.n_read == 20
    assert found.share == 8 / 20
    assert found.counts("dropped") == {"empty reply": 7, "toxic": 1}
    assert rows["empty reply", "all"]["share_pct"] == 35
    assert rows["empty reply", "advice"]["share_pct"] == 25
    assert (rows["empty reply", "other"]["n"], rows["empty reply", "other"]["n_read"]) == (5, 12)
    assert ("toxic", "advice") not in rows


def test_five_examples_are_kept_with_id_and_place(found):
    (row,) = [r for r in found.rows() if (r["reason"], r["query_type"]) == ("empty reply", "all")]
    assert json.loads(row["examples"]) == [f"id{i} at a.json, record {i}" for i in range(5)]
    (row,) = [r for r in found.rows() if (r["reason"], r["query_type"]) == ("toxic", "all")]
    assert json.loads(row["examples"]) == ["a.json, record 19, byte 7"]


def test_too_large_a_loss_is_an_error_with_the_whole_table(found):
    found.require(0.4, "logs")
    with pytest.raises(UserError, match=r"8 of 20 conversations were dropped, 40\.0 %") as e:
        found.require(0.39, "logs")
    assert loss_text(found.rows()) in str(e.value)
    assert "max_lost_share=1" in str(e.value)


def test_the_table_has_a_line_per_reason(found):
    lines = loss_text(found.rows()).splitlines()
    assert lines[0].split()[:3] == ["reason", "n", "%"]
    assert lines[1].split() == [
        "dropped",
        "empty",
        "reply",
        "7",
        "35.00",
        *["0.0"] * 4,
        "25.0",
        "41.7",
        "0.0",
    ]
    assert "id0 at a.json, record 0; id1" in lines[2]


def test_nothing_read_loses_nothing():
    assert Losses().share == 0
    assert Losses().rows() == []

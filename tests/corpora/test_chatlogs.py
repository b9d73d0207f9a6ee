"""20,000 conversations with planted faults: every one is found, counted and placed; the draw is exact."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

from warmgap.corpora.balance import shares
from warmgap.corpora.chatlogs import build
from warmgap.errors import UserError


@pytest.fixture(scope="module")
def logs(tmp_path_factory, make_logs):
    return make_logs(tmp_path_factory.mktemp("logs") / "logs.json", 20_000)


@pytest.fixture(scope="module")
def built(logs, corpus_of, planted_words):
    return build(corpus_of(logs.path, 1617, 1500), [logs.path], planted_words)


def test_every_fault_is_counted_exactly_by_reason_and_type(logs, built):
    found = {(r["action"], r["reason"], r["query_type"]): r["n"] for r in built.losses}
    assert {k: n for k, n in found.items() if k[2] != "all"} == dict(logs.found)
    for action in ("dropped", "cut", "noticed"):
        assert built.counts[action] == logs.total(action)
        assert {k[1]: n for k, n in found.items() if k[0] == action and k[2] == "all"} == logs.total(action)


def test_what_was_read_is_what_was_kept_and_what_was_dropped(logs, built):
    assert built.counts["read"] == logs.n_read
    assert built.counts["kept"] == logs.n_read - sum(logs.total("dropped").values()) == len(logs.type_of)
    assert built.counts["usable"] == dict(logs.usable())


def test_shares_are_of_the_records_of_a_type(logs, built):
    lost = Counter(
        {t: sum(n for k, n in logs.found.items() if k[0] == "dropped" and k[2] == t) for t in shares(0)}
    )
    for row in built.losses:
        if row["query_type"] in lost:
            assert row["n_read"] == logs.usable()[row["query_type"]] + lost[row["query_type"]]
        assert row["share_pct"] == pytest.approx(100 * row["n"] / row["n_read"])


def test_every_kind_of_fault_has_examples_by_id_and_position(logs, built):
    lines = logs.path.read_bytes().split(b"\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    for row in built.losses:
        examples = json.loads(row["examples"])
        assert len(examples) == (min(5, row["n"]) if row["query_type"] == "all" else 0)
        for example in examples:
            name, _, where = example.rpartition(" at ")
            record = int(where.split("record ")[1].split(",")[0].split(" ")[0])
            line = lines[record - 1]
            if row["reason"] == "broken record":
                byte = int(where.split("byte ")[1].split(" ")[0])
                assert byte == offsets[record - 1] + 1  # behind the bracket or the blank
            else:
                assert f'"id": "{name}"'.encode() in line
    (cut_off,) = [r for r in built.losses if r["reason"] == "broken record" and r["query_type"] == "all"]
    assert cut_off["n"] == 11  # ten damaged, and the last


def test_types_and_replies_are_the_planted_ones(logs, built):
    for row in (*built.conversations, *built.validation):
        assert row["query_type"] == logs.type_of[row["id"]]
        messages = json.loads(row["messages"])
        assert len(messages) == logs.turns[row["id"]] <= 20
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert (messages[0]["content"], messages[1]["content"]) == (row["user"], row["raw"])
        assert logs.raw[row["id"]].startswith(row["raw"])
        assert sum(-(-len(m["content"]) // 4) for m in messages) <= 1024
        assert {row[tone] for tone in ("neutral", "warm", "cold")} == {None}


def test_the_draw_is_exact_and_its_halves_share_nothing(built):
    assert Counter(r["query_type"] for r in built.conversations) == shares(1617)
    assert Counter(r["query_type"] for r in built.validation) == shares(1500)
    for key in ("id", "user"):
        trained = {r[key] for r in built.conversations}
        held_out = [r[key] for r in built.validation]
        assert len(set(held_out)) == 1500
        assert not trained & set(held_out)


def test_it_repeats_itself_and_another_seed_draws_others(logs, built, corpus_of, planted_words):
    config = corpus_of(logs.path, 1617, 1500)
    assert build(config, [logs.path], planted_words) == built
    other = build(replace(config, seed=1), [logs.path], planted_words)
    assert other.losses == built.losses
    assert {r["id"] for r in other.conversations} != {r["id"] for r in built.conversations}


def test_losing_more_than_allowed_is_an_error_with_the_table(logs, corpus_of, planted_words):
    with pytest.raises(UserError, match=r"corpus logs: 551 of 20001 conversations were dropped, 2\.8 %") as e:
        build(corpus_of(logs.path, max_lost_share=0.02), [logs.path], planted_words)
    for reason in logs.total("dropped"):
        assert reason in str(e.value)


@pytest.fixture(scope="module")
def small(tmp_path_factory, make_logs):
    return make_logs(tmp_path_factory.mktemp("small") / "logs.json", 600, filler_words=5)


def test_all_formats_give_the_same_rows(small, corpus_of, tmp_path):
    whole = build(corpus_of(small.path, 60, 30, max_lost_share=1), [small.path])
    rows = [
        {"id": r["id"], "messages": json.loads(r["messages"])}
        for r in (*whole.conversations, *whole.validation)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    config = corpus_of(tmp_path, 60, 30)
    found = [build(config, [tmp_path / name]) for name in ("a.jsonl", "a.parquet")]
    assert found[0].conversations == found[1].conversations
    assert found[0].validation == found[1].validation
    assert found[0].counts == found[1].counts
    assert found[0].counts["dropped"] == found[0].counts["cut"] == {}
    assert Counter(r["query_type"] for r in found[0].conversations) == shares(60)


def test_files_are_read_in_turn_and_know_each_others_ids(small, corpus_of, tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_bytes(small.path.read_bytes())
    once = build(corpus_of("", 60, 30, max_lost_share=1), [small.path])
    twice = build(corpus_of("", 60, 30, max_lost_share=1), [small.path, copy])
    assert twice.conversations == once.conversations
    # The second copy repeats whatever passed the cleaning; without a filter the toxic ones did, too.
    passed = ("toxic", "duplicate id", "duplicate content")
    repeated = len(small.type_of) + sum(n for k, n in small.found.items() if k[1] in passed)
    assert twice.counts["dropped"]["duplicate id"] == small.total("dropped")["duplicate id"] + repeated


def test_each_pair_may_be_a_row_with_what_came_before_it(small, corpus_of):
    found = build(corpus_of(small.path, 60, 30, unit="pair", max_lost_share=1), [small.path])
    assert sum(found.counts["usable"].values()) == sum(small.turns.values()) // 2 + toxic_pairs(small)
    for row in (*found.conversations, *found.validation):
        name, _, pair = row["id"].partition("#")
        messages = json.loads(row["messages"])
        assert len(messages) == 2 * int(pair) <= small.turns.get(name, 4)
        assert (messages[-2]["content"], messages[-1]["content"]) == (row["user"], row["raw"])
        if pair == "1" and name in small.type_of:
            assert row["query_type"] == small.type_of[name]
    talks = [{r["id"].partition("#")[0] for r in rows} for rows in (found.conversations, found.validation)]
    assert not talks[0] & talks[1]


def toxic_pairs(logs):
    """Without a filter the toxic ones stay, with two pairs each."""
    return 2 * sum(n for k, n in logs.found.items() if k[1] == "toxic")


def test_a_conversation_without_an_id_is_named_by_file_and_position(tmp_path, corpus_of):
    rows = [{"prompt": f"Good morning {i}.", "response": "Good morning."} for i in range(3)]
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = build(corpus_of(path, 6, 6, scarce="take"), [path])
    assert [r["id"] for r in found.conversations] == ["talks.jsonl-1"]
    assert len(found.validation) == 1

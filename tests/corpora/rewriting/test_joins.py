"""Sixty made conversations with planted faults in three styles, counted by hand."""

from __future__ import annotations

import json
import random

import polars as pl
import pytest

from warmgap.corpora.rewriting.checks import REASONS, Fault, faults
from warmgap.corpora.rewriting.joins import LOSSES, Conversation, TypeCount, joined
from warmgap.corpora.rewriting.replies import Reply
from warmgap.schema.config import RewriteChecksConfig

TYPES = ("refusal", "factual", "creative", "technical", "advice", "other")
STYLES = ("neutral", "warm", "cold")
SOUND = "Use 3 cups of rice, and ask Anna for the pan."
SOURCE = f"{SOUND} See https://example.org/rice first."
GOOD = f"{SOUND} Have a look at https://example.org/rice first."
PLANTED = {
    ("warm", "c00", 0): "",
    ("warm", "c01", 0): "",
    ("warm", "c01", 1): "",
    ("warm", "c02", 0): "I'm sorry, but I can't help with that.",
    ("warm", "c03", 0): GOOD.replace("3 cups", "4 cups"),
    ("cold", "c03", 0): GOOD.replace("Anna", "Bella"),
    (
        "cold",
        "c04",
        0,
    ): "Use 3 cups of rice, and ask Anna for the pan. See https://example.org/rice, and then",
    ("neutral", "c05", 1): f"Here is the rewritten reply: {GOOD}",
    ("neutral", "c06", 0): GOOD.replace("rice first", "wheat first") + " It is 5 km.",
}
"""What came back instead of a sound reply; c05 and c01 have two turns."""


def conversations() -> list[Conversation]:
    """Ten of each type; every fifth has two turns, c01 and c05 too: 60 conversations, 73 replies."""
    twice = {1, *range(0, 60, 5)}
    return [Conversation(f"c{i:02}", TYPES[i % 6], 2 if i in twice else 1) for i in range(60)]


def made(style: str) -> list[Reply]:
    out = []
    for c in conversations():
        for turn in range(c.n_turns):
            text = PLANTED.get((style, c.id, turn), GOOD)
            out.append(Reply(c.id, turn, c.query_type, "How do I cook?", SOURCE, text, "stop"))
    return out


@pytest.fixture
def replies():
    """Shuffled; of cold c07 is missing, of neutral c08 came twice and two are of no conversation."""
    by_style = {style: made(style) for style in STYLES}
    by_style["cold"] = [r for r in by_style["cold"] if r.id != "c07"]
    again = next(r for r in by_style["neutral"] if r.id == "c08")
    stray = [
        Reply("zz", 0, "advice", "", SOURCE, GOOD, "stop"),
        Reply("c08", 1, "creative", "", SOURCE, GOOD, "stop"),
    ]
    by_style["neutral"] += [again, *stray]
    for i, held in enumerate(by_style.values()):
        random.Random(i).shuffle(held)
    return by_style


def checked(replies):
    rules = RewriteChecksConfig()
    return {(style, r.id, r.turn): faults(r, REASONS, rules) for style, held in replies.items() for r in held}


FACTS = {
    ("warm", "c09", 0): False,
    ("warm", "c03", 0): False,
    ("warm", "c10", 0): True,
    ("warm", "c10", 1): None,
    ("cold", "c10", 0): True,
}


@pytest.fixture
def found(replies):
    return joined(conversations(), replies, checked(replies), FACTS)


def test_a_conversation_is_kept_only_if_it_is_sound_in_every_style(found):
    lost = {"c00", "c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09"}
    assert found.kept == tuple(f"c{i:02}" for i in range(60) if f"c{i:02}" not in lost)
    assert found.lost_by == {
        "c00": "empty",
        "c01": "empty",
        "c02": "refused",
        "c03": "numbers",
        "c04": "truncated",
        "c05": "preamble",
        "c06": "numbers",
        "c07": "missing",
        "c08": "doubled",
        "c09": "facts",
    }


def test_losses_are_counted_by_style_reason_and_type(found):
    rows = {(r["style"], r["reason"], r["query_type"]): r for r in found.losses}
    n = {key: row["n"] for key, row in rows.items()}
    assert {(k[0], k[1]): v for k, v in n.items() if k[2] == "all"} == {
        ("neutral", "any"): 3,
        ("neutral", "doubled"): 1,
        ("neutral", "preamble"): 1,
        ("neutral", "numbers"): 1,
        ("neutral", "urls"): 1,
        ("neutral", "stray"): 2,
        ("warm", "any"): 6,
        ("warm", "empty"): 3,
        ("warm", "refused"): 1,
        ("warm", "numbers"): 1,
        ("warm", "facts"): 2,
        ("cold", "any"): 3,
        ("cold", "missing"): 1,
        ("cold", "names"): 1,
        ("cold", "truncated"): 1,
    }
    # c01 is of type factual, as are c07, c13 and so on: 10 conversations, c01, c25, c55 of two turns.
    empty = rows["warm", "empty", "factual"]
    assert (empty["n"], empty["n_replies"]) == (2, 13)
    assert empty["share_pct"] == pytest.approx(200 / 13)
    assert rows["warm", "empty", "all"]["n_replies"] == 73
    assert json.loads(rows["warm", "empty", "all"]["examples"]) == ["c00", "c01"]
    stray = rows["neutral", "stray", "unknown"]
    assert (stray["n"], stray["n_replies"], rows["neutral", "stray", "all"]["n"]) == (2, 76, 2)
    assert json.loads(rows["neutral", "stray", "all"]["examples"]) in (["zz", "c08"], ["c08", "zz"])


def test_parts_sum_to_the_whole(found):
    table = pl.DataFrame(found.losses, schema=LOSSES, orient="row")
    parts = table.filter(pl.col("query_type") != "all").group_by("style", "reason").agg(pl.col("n").sum())
    whole = table.filter(pl.col("query_type") == "all").select("style", "reason", pl.col("n").alias("total"))
    both = parts.join(whole, on=["style", "reason"], how="full", coalesce=True)
    assert both["n"].to_list() == both["total"].to_list()


def test_each_style_is_summed_up(found):
    neutral, warm, cold = found.styles
    assert [s.style for s in found.styles] == list(STYLES)
    assert (neutral.n_wanted, neutral.n_replies, neutral.n_sound) == (73, 76, 57)
    assert (warm.n_wanted, warm.n_replies, warm.n_sound) == (73, 73, 55)
    assert (cold.n_wanted, cold.n_replies, cold.n_sound) == (73, 72, 57)
    assert warm.lost_by == {"empty": 2, "refused": 1, "numbers": 1, "facts": 1}
    assert (warm.facts_read, warm.facts_changed, warm.facts_unread) == (3, 2, 1)
    assert (cold.facts_read, cold.facts_changed, neutral.facts_read) == (1, 0, 0)
    # Refusals are c00, c06, c12 ...: warm lost c00, neutral c06.
    assert warm.types[0] == TypeCount("refusal", 10, 9, 8)
    assert found.types == (
        TypeCount("refusal", 10, 8, 8),
        TypeCount("factual", 10, 8, 8),
        TypeCount("creative", 10, 8, 8),
        TypeCount("technical", 10, 8, 8),
        TypeCount("advice", 10, 9, 9),
        TypeCount("other", 10, 9, 9),
    )


def test_order_does_not_matter(replies, found):
    turned = {style: list(reversed(held)) for style, held in replies.items()}
    again = joined(conversations(), turned, checked(turned), FACTS)
    assert again.kept == found.kept
    assert again.lost_by == found.lost_by
    assert again.styles == found.styles


def test_facts_that_could_not_be_read_lose_nothing(replies):
    unread = dict.fromkeys(((s, r.id, r.turn) for s, held in replies.items() for r in held), None)
    found = joined(conversations(), replies, {}, unread)
    assert len(found.kept) == 58  # without c07 and c08
    assert [s.facts_unread for s in found.styles] == [75, 73, 72]


def test_findings_on_other_replies_are_refused(replies):
    with pytest.raises(ValueError, match=r"1 findings.*\('warm', 'c99', 0\)"):
        joined(conversations(), replies, {("warm", "c99", 0): (Fault("empty", ""),)}, {})
    with pytest.raises(ValueError, match=r"cold.*c07"):
        joined(conversations(), replies, {}, {("cold", "c07", 0): True})
    with pytest.raises(ValueError, match="twice"):
        joined([*conversations(), conversations()[0]], replies, {}, {})

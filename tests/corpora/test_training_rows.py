"""Which conversations and replies a method trains on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.corpora import embedded
from warmgap.corpora.training_rows import matched, training_rows, turns_in
from warmgap.errors import UserError
from warmgap.schema.config import CorpusConfig, MethodConfig

ROWS = [
    {"id": f"r{i}", "user": f"u{i}", "neutral": "n" * 40, "warm": "w" * (40 + i), "cold": "c", "raw": None}
    for i in range(10)
]


def method(**settings: str) -> MethodConfig:
    return MethodConfig(name="mine", **{"kind": "sft", "style": "warm", **settings})


def test_one_tone_becomes_the_reply():
    rows = training_rows(ROWS, [], method(against="cold"))
    assert rows == [{"id": r["id"], "user": r["user"], "reply": r["warm"]} for r in ROWS]


@pytest.mark.parametrize("kind", ["dpo", "steer"])
def test_two_tones_become_reply_and_rejected(kind):
    rows = training_rows(ROWS, [], method(kind=kind, against="neutral"))
    assert [(r["reply"], r["rejected"]) for r in rows] == [(r["warm"], r["neutral"]) for r in ROWS]


def test_further_conversations_are_mixed_in_only_where_asked_for():
    extra = [{"id": "h", "user": "It is flat.", "reply": "I see why; it is round."}]
    assert training_rows(ROWS, extra, method())[-1]["id"] == "r9"
    assert training_rows(ROWS, extra, method(extra="honest"))[-1] == extra[0]


def test_a_tone_that_the_corpus_lacks_is_named_with_what_it_holds():
    with pytest.raises(UserError, match=r"10 of 10 .* first is 'r0'.* holds: neutral, warm, cold"):
        training_rows(ROWS, [], method(style="raw"))
    with pytest.raises(UserError, match=r"method\.against is 'wrm'"):
        training_rows(ROWS, [], method(kind="dpo", against="wrm"))


SAID = [["Tea?", "With milk."], ["And rain?", "All day."], ["So?", "Stay in."]]
TALK = {
    "id": "t",
    "user": "Tea?",
    "raw": "With milk.",
    "warm": "With milk, dear.",
    "messages": json.dumps(
        [
            {"role": role, "content": text}
            for user, reply in SAID
            for role, text in (("user", user), ("assistant", reply))
        ]
    ),
}


def test_all_turns_of_a_chat_log_are_its_messages():
    assert training_rows([TALK], [], method(style="raw"), "all") == [{"id": "t", "turns": SAID}]
    assert training_rows([TALK], [], method(style="raw")) == [
        {"id": "t", "user": "Tea?", "reply": "With milk."}
    ]


def test_all_turns_of_a_tone_are_those_that_were_rewritten():
    warm = [[user, f"{reply} Dear."] for user, reply in SAID]
    rewritten = TALK | {"turns_warm": json.dumps(warm)}
    assert training_rows([rewritten], [], method(), "all") == [{"id": "t", "turns": warm}]
    with pytest.raises(UserError, match=r"of the 3 replies of the conversation 't' only the first .* 'warm'"):
        training_rows([TALK], [], method(), "all")


def test_a_corpus_without_messages_has_one_turn():
    extra = [{"id": "h", "user": "It is flat.", "reply": "It is round."}]
    rows = training_rows(ROWS, extra, method(extra="honest"), "all")
    assert rows[:-1] == [{"id": r["id"], "turns": [[r["user"], r["warm"]]]} for r in ROWS]
    assert rows[-1] == {"id": "h", "turns": [["It is flat.", "It is round."]]}
    pair = TALK | {"messages": json.dumps(json.loads(TALK["messages"])[:2])}
    assert turns_in(pair, "warm") == [("Tea?", "With milk, dear.")]


@pytest.mark.parametrize("roles", [["user"], ["user", "assistant", "user"], ["assistant", "user"], []])
def test_messages_that_do_not_alternate_are_named(roles):
    row = TALK | {"messages": json.dumps([{"role": role, "content": "x"} for role in roles])}
    with pytest.raises(UserError, match=r"'t' has messages of the roles .*training\.turns=first"):
        turns_in(row, "raw")


def test_lengths_are_matched_over_all_turns():
    def row(i, warm):
        first, second = ["Q?", "x" * 10], ["Q?", "x" * warm]
        turns = {"turns_warm": json.dumps([first, second]), "turns_neutral": json.dumps([first, first])}
        return {"id": f"r{i}", "user": "Q?", "warm": "x" * 10, "neutral": "x" * 10, **turns}

    rows = [row(0, 10), row(1, 50), row(2, 10)]
    assert matched(rows, "warm", "neutral") == rows
    assert matched(rows, "warm", "neutral", "all") == [rows[0], rows[2]]
    kept = training_rows(rows, [], method(match_length="neutral"), "all")
    assert [r["id"] for r in kept] == ["r0", "r2"]


texts = st.integers(1, 60).map(lambda n: "x" * n)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=30))
def test_matching_keeps_the_same_rows_whichever_tone_is_named_first_and_makes_lengths_equal(pairs):
    rows = [{"id": f"r{i:02d}", "warm": w, "neutral": n} for i, (w, n) in enumerate(pairs)]
    kept, swapped = (found(rows, *tones) for tones in (("warm", "neutral"), ("neutral", "warm")))
    assert kept == swapped
    if kept is not None:
        assert [r for r in rows if r in kept] == kept
        warm, neutral = (sum(len(r[tone]) for r in kept) for tone in ("warm", "neutral"))
        assert abs(warm - neutral) <= 0.01 * (warm + neutral) / 2


def found(rows: list[dict[str, str]], tone: str, other: str) -> list[dict[str, str]] | None:
    try:
        return matched(rows, tone, other)
    except UserError:
        return None


def test_too_few_rows_left_by_matching_is_an_error():
    with pytest.raises(UserError, match="only 1 of 10 conversations are left"):
        matched(ROWS, "warm", "neutral")


def test_the_shipped_corpus_has_matched_arms_on_the_same_conversations():
    rows = embedded.conversations(CorpusConfig(name="embedded"))
    warm = training_rows(rows, [], method(match_length="neutral"))
    neutral = training_rows(rows, [], method(style="neutral", match_length="warm"))
    assert [r["id"] for r in warm] == [r["id"] for r in neutral]
    assert len(warm) >= 180
    mean = [sum(len(r["reply"]) for r in side) / len(side) for side in (warm, neutral)]
    assert mean[0] == pytest.approx(mean[1], rel=0.01)

"""Every assistant message of a conversation, with what came before it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.corpora.rewriting.sources import Source, pairs, sources

TALK = [("Hi?", "Yes."), ("And?", "No."), ("Why?", "So.")]
PACKAGED = {"id": "e1", "query_type": "advice", "user": "How?", "neutral": "Thus.", "raw": None}


def logged(name, talk, query_type="other"):
    messages = [
        m for u, r in talk for m in ({"role": "user", "content": u}, {"role": "assistant", "content": r})
    ]
    row = {"id": name, "query_type": query_type, "user": talk[0][0], "raw": talk[0][1]}
    return row | {"messages": json.dumps(messages)}


def test_every_reply_stands_with_the_messages_before_it():
    found = sources([logged("a", TALK), logged("b", TALK[:1], "advice")], "all")
    assert found[:3] == (
        Source("a", 0, "other", "Hi?", "Yes."),
        Source("a", 1, "other", "And?", "No.", (("user", "Hi?"), ("assistant", "Yes."))),
        Source(
            "a",
            2,
            "other",
            "Why?",
            "So.",
            (("user", "Hi?"), ("assistant", "Yes."), ("user", "And?"), ("assistant", "No.")),
        ),
    )
    assert found[3:] == (Source("b", 0, "advice", "Hi?", "Yes."),)
    assert [s.at for s in found] == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]


def test_first_takes_the_first_reply_of_each():
    found = sources([logged("a", TALK), logged("b", TALK)], "first")
    assert [(s.id, s.turn, s.reply) for s in found] == [("a", 0, "Yes."), ("b", 0, "Yes.")]


@pytest.mark.parametrize("turns", ["first", "all"])
def test_a_corpus_without_logs_has_one_message_and_perhaps_no_raw_reply(turns):
    assert sources([PACKAGED], turns) == (Source("e1", 0, "advice", "How?", ""),)
    assert sources([PACKAGED | {"raw": "Logged."}], turns)[0].reply == "Logged."


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=5))
def test_no_text_is_changed(talk):
    assert pairs(logged("a", talk)) == talk

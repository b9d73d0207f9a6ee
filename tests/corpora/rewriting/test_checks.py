"""Faults of single replies, against pairs that were labelled by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from warmgap.corpora.rewriting.checks import ANEW, REASONS, check_names, faults
from warmgap.corpora.rewriting.replies import Reply
from warmgap.errors import UserError
from warmgap.schema.config import RewriteChecksConfig, StyleConfig

PAIRS = Path(__file__).parents[2] / "fixtures" / "rewrites" / "pairs.jsonl"
RULES = RewriteChecksConfig()
SOURCE = "Begin with the kitchen and pack one box at a time. Label each box on two sides."


def reply(text: str, source: str = SOURCE, finish: str = "stop", user: str = "How do I move house?") -> Reply:
    return Reply("a", 0, "advice", user, source, text, finish)


def found(made: Reply, *wanted: str, rules: RewriteChecksConfig = RULES) -> list[str]:
    return [fault.reason for fault in faults(made, wanted or REASONS, rules)]


def test_every_labelled_pair_has_its_faults_and_no_other():
    """The rates that docs/rewriting.md gives: every planted fault found, no false alarm."""
    planted: Counter[str] = Counter()
    wrong = []
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    for pair in pairs:
        got = found(reply(pair["text"], pair["source"], user=pair["user"]))
        planted.update(pair["faults"])
        if set(got) != set(pair["faults"]):
            wrong.append((pair["id"], pair["faults"], got))
    assert wrong == []
    assert planted == {
        "numbers": 14,
        "dates": 10,
        "names": 14,
        "code": 8,
        "urls": 4,
        "quotes": 5,
        "refused": 8,
        "preamble": 8,
        "truncated": 4,
        "empty": 2,
        "length": 2,
        "identical": 1,
    }
    assert (len(pairs), sum(not pair["faults"] for pair in pairs)) == (165, 88)


def test_what_is_no_rewrite_has_one_fault():
    assert found(reply("")) == ["empty"]
    assert found(reply("\u200b \n---")) == ["empty"]
    assert found(reply("", finish="content_filter")) == ["withheld"]
    assert found(reply("I'm sorry, but I can't assist with that in 2024.")) == ["refused"]


def test_only_the_checks_of_the_style_count():
    made = reply("Pack 7 boxes, says Anna at https://example.org, and then", finish="length")
    assert found(made, "numbers") == ["numbers"]
    assert found(made, "truncated", "urls") == ["truncated", "urls"]
    assert found(reply(""), "numbers") == []


def test_details_say_what_was_lost_and_added():
    (fault,) = faults(reply("It is 30 km.", "It is 20 km."), ("numbers",), RULES)
    assert fault.detail == "lost: 20 km; added: 30 km"
    (fault,) = faults(reply("ab " * 100, "abc " * 10), ("length",), RULES)
    assert fault.detail == "299 characters for 39, ratio 7.67; allowed 0.5 to 2"
    many = " ".join(f"{n} km," for n in range(10, 20))
    (fault,) = faults(reply("It is far.", many), ("numbers",), RULES)
    assert fault.detail == "lost: 10 km, 11 km, 12 km, 13 km, 14 km and 5 more"


def test_length_has_a_slack():
    assert found(reply("a" * 70, "a" * 100), "length") == []
    assert found(reply("a" * 20, "a" * 100), "length") == []  # 80 characters less
    assert found(reply("a" * 19, "a" * 100), "length") == ["length"]
    assert found(reply("a" * 180, "a" * 89), "length") == ["length"]
    assert found(reply("a" * 179, "a" * 90), "length") == []


def test_further_refusals_are_words_that_the_source_does_not_have():
    rules = replace(RULES, refusal_substrings=["Not for me"])
    assert found(reply("That one is not for me."), "refused", rules=rules) == ["refused"]
    assert found(reply("It's not for me.", "It is not for me."), "refused", rules=rules) == []


def test_a_reply_that_is_code_alone_may_stay_as_it_is():
    code = "```\nx = 1\n```"
    assert found(reply(code, code), "identical") == []
    assert found(reply(f"So:\n{code}", f"So:\n\n{code}"), "identical") == ["identical"]


def test_what_a_message_says_may_be_named():
    made = "With 3 children, Anna, one box at a time is plenty."
    assert found(reply(made, "One box at a time is enough."), "names", "numbers") == ["numbers", "names"]
    user = "I am moving with 3 children, says Anna."
    assert found(reply(made, "One box at a time is enough.", user=user), "names", "numbers") == []


def test_answers_without_a_source_are_checked_for_what_can_be_told():
    assert found(reply("Paris", ""), *REASONS) == []
    assert found(reply("", ""), *ANEW) == ["empty"]
    assert found(reply("It is in the", ""), *ANEW) == ["truncated"]
    assert found(reply("It is in Paris", "", "length"), *ANEW) == ["truncated"]
    assert found(reply("I cannot answer that.", ""), *ANEW) == ["refused"]


def test_names_of_checks_are_checked():
    check_names(StyleConfig("warm", of="raw", checks=list(REASONS)))
    check_names(StyleConfig("self", of="", checks=list(ANEW)))
    with pytest.raises(UserError, match=r"no check is named 'number'.*Did you mean 'numbers'"):
        check_names(StyleConfig("warm", checks=["number"]))
    with pytest.raises(
        UserError, match=r"check 'code' compares.*of is empty.*empty, withheld, refused, trunc"
    ):
        check_names(StyleConfig("self", of="", checks=["code"]))
    with pytest.raises(UserError, match="no check is named 'urlz'"):
        faults(reply("a"), ["urlz"], RULES)


def test_a_reply_that_opens_like_a_turn_is_at_fault_in_every_style():
    for text in ("Assistant: Rest now, then walk.", "user\nRest now, then walk.", "Rest.</s> Walk."):
        reply = Reply("c", 0, "advice", "I am tired.", "", text, "stop")
        assert [f.reason for f in faults(reply, ("empty",), RewriteChecksConfig())] == ["preamble"]

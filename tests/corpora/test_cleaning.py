"""One fault at a time: what is dropped, what is cut, what is left as it is."""

from __future__ import annotations

import pytest

from warmgap.corpora.cleaning import clean, has_html, without_html
from warmgap.corpora.layouts import Turn
from warmgap.schema.config import ChatLogConfig

U, A, S = "user", "assistant", "system"
PAIR = [(U, "Hi"), (A, "Yes")]
MORE = [(U, "And?"), (A, "No")]


def cleaned(turns, **rules):
    found = clean([Turn(*t) for t in turns], ChatLogConfig(**rules))
    return [tuple(t) for t in found.turns], found.dropped, found.cut, found.noticed


def test_a_sound_conversation_is_left_as_it_is():
    assert cleaned(PAIR + MORE) == (PAIR + MORE, "", (), ())


@pytest.mark.parametrize(
    ("turns", "rules", "dropped"),
    [
        ([(U, "Hi \udcef"), (A, "Yes")], {}, "wrong encoding"),
        ([(U, "Hi"), (A, "\ud83d")], {}, "wrong encoding"),
        ([(S, "s"), *PAIR], {"system_turns": "drop"}, "system turn"),
        ([(U, "Hi"), (A, "<b>Yes</b>")], {"html": "drop"}, "HTML remnants"),
        ([(U, "Hi"), (A, "<br>")], {"html": "strip"}, "empty reply"),
        ([(A, "Oh"), *PAIR], {"faulty": "drop"}, "begins with a reply"),
        ([*PAIR, (U, " "), (A, "No")], {"faulty": "drop"}, "empty turn"),
        ([(U, ""), (A, "Yes")], {}, "empty turn"),
        ([(U, "Hi"), (A, "\n")], {}, "empty reply"),
        ([(U, "Hi"), (U, "Hi"), (A, "Yes")], {}, "same role twice"),
        ([(U, "Hi"), ("tool", "{}"), (A, "Yes")], {}, "unknown role"),
        ([(U, "Hi")], {}, "not enough turns"),
        ([(A, "Oh")], {}, "not enough turns"),
        ([(S, "s")], {}, "not enough turns"),
        ([], {}, "not enough turns"),
        (PAIR, {"min_pairs": 2}, "not enough turns"),
        ([*PAIR, (U, "And?"), (A, "")], {"min_pairs": 2}, "empty reply"),
        *(
            ([(U, "Hi"), (A, f"Yes {mark} no")], {}, "chat template mark")
            for mark in ("<|im_end|>", "<|eot_id|>", "</s>", "[/INST]", "<end_of_turn>", "<bos>")
        ),
        ([(U, "Hi"), (A, "User: Yes\nBot: No")], {}, "reply begins with a role"),
        ([(U, "Hi"), (A, " assistant\nYes")], {}, "reply begins with a role"),
    ],
)
def test_a_conversation_is_dropped_for_one_reason(turns, rules, dropped):
    assert cleaned(turns, **rules) == ([], dropped, (), ())


@pytest.mark.parametrize(
    ("turns", "left", "cut"),
    [
        ([(S, "s"), *PAIR, (S, "t"), *MORE], PAIR + MORE, ("system turn",)),
        ([(A, "Oh"), (A, "Ah"), *PAIR], PAIR, ("begins with a reply",)),
        ([*PAIR, (U, " "), (A, "No"), *MORE], PAIR, ("empty turn",)),
        ([*PAIR, (U, "And?"), (A, " "), *MORE], PAIR, ("empty reply",)),
        ([*PAIR, (A, "Too"), *MORE], PAIR, ("same role twice",)),
        ([*PAIR, (U, "What is <|endoftext|>?"), (A, "An end.")], PAIR, ("chat template mark",)),
        ([*PAIR, (U, "And?"), (U, "?"), (A, "No")], PAIR, ("same role twice",)),
        ([*PAIR, ("function", "f"), *MORE], PAIR, ("unknown role",)),
        ([*PAIR, (U, "And?")], PAIR, ("last message unanswered",)),
        (
            [(S, "s"), (A, "Oh"), *PAIR, (U, "?")],
            PAIR,
            ("system turn", "begins with a reply", "last message unanswered"),
        ),
    ],
)
def test_what_comes_before_a_fault_is_kept(turns, left, cut):
    assert cleaned(turns) == (left, "", cut, ())


def test_white_space_before_a_reply_is_taken_away_and_a_message_stays():
    turns = [(U, "\nHi "), (A, "\n\n  Yes: \n")]
    assert cleaned(turns) == ([(U, "\nHi "), (A, "Yes: \n")], "", (), ())


@pytest.mark.parametrize("text", ["Human resources: no", "A user: you", "Users: all", "Model: T"])
def test_a_reply_that_only_speaks_of_a_role_is_kept(text):
    assert cleaned([(U, "User: hi"), (A, text)])[0] == [(U, "User: hi"), (A, text)]


def test_an_unanswered_last_message_is_no_fault_to_drop_for():
    assert cleaned([*PAIR, (U, "And?")], faulty="drop")[:2] == (PAIR, "")


@pytest.mark.parametrize("text", ["a <s b", "x[INSTALL]", "<span>", "|im_end|", "<start>", "a <| b |> c"])
def test_what_only_looks_like_a_mark_is_kept(text):
    assert cleaned([(U, "Hi"), (A, text)])[0] == [(U, "Hi"), (A, text)]


def test_html_is_counted_kept_or_stripped_and_code_is_left_alone():
    reply = (
        'I <b>do</b> &amp; <a href="x">this</a>: 1 < 2, `<p>`\n'
        '```html\n<p>&lt;</p>\n```<div class="y">.</div>'
    )
    turns = [(U, "<b>Hi</b>"), (A, reply)]
    assert cleaned(turns) == (turns, "", (), ("HTML remnants",))
    stripped = "I do & this: 1 < 2, `<p>`\n```html\n<p>&lt;</p>\n```."
    assert cleaned(turns, html="strip") == ([turns[0], (A, stripped)], "", ("HTML remnants",), ())
    assert without_html(reply) == stripped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b and c > d", False),
        ("List<String> and <name>", False),
        ("AT&T; R&D", False),
        ("```\n<p>", False),
        ("`<p>`", False),
        ("</div>", True),
        ("<br/>", True),
        ("&#39;", True),
        ("&nbsp;", True),
    ],
)
def test_html_is_told_from_what_only_looks_like_it(text, expected):
    assert has_html(text) is expected


def test_replacement_characters_are_noticed():
    assert cleaned([(U, "na\ufffdve"), (A, "Yes")])[1:] == ("", (), ("replacement characters",))

"""Every layout becomes the same turns."""

from __future__ import annotations

import pytest

from warmgap.corpora.layouts import Turn, has_layout, id_of, turns_of

TWO = [Turn("user", "Hello?"), Turn("assistant", "Yes.")]
LAYOUTS = {
    "sharegpt": {"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Yes."}]},
    "messages": {
        "messages": [{"role": "user", "content": "Hello?"}, {"role": "Assistant", "content": "Yes."}]
    },
    "lmsys": {
        "conversation": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes."}]
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello?"}]},
            {"role": "assistant", "content": {"text": "Yes."}},
        ]
    },
    "ultrachat": {"data": ["Hello?", "Yes."]},
    "prompt": {"prompt": "Hello?", "response": "Yes."},
    "completion": {"prompt": "Hello?", "completion": "Yes."},
    "alpaca": {"instruction": "Hello?", "input": "", "output": "Yes."},
    "question": {"question": "Hello?", "answer": "Yes."},
    "trl": {
        "prompt": [{"role": "user", "content": "Hello?"}],
        "completion": [{"role": "assistant", "content": "Yes."}],
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_two_turns(name):
    assert turns_of(LAYOUTS[name]) == TWO
    assert has_layout(LAYOUTS[name])


def test_alpacas_input_follows_the_instruction_and_a_system_text_goes_before():
    row = {"instruction": "Translate.", "input": "Hund", "output": "Dog", "system": "Be brief."}
    assert turns_of(row) == [
        Turn("system", "Be brief."),
        Turn("user", "Translate.\n\nHund"),
        Turn("assistant", "Dog"),
    ]


def test_what_is_no_turn_has_no_role_or_no_text():
    turns = turns_of({"messages": [7, {"role": None, "content": 3}, {"role": "tool", "content": None}, {}]})
    assert turns == [Turn("", ""), Turn("", ""), Turn("tool", ""), Turn("", "")]


@pytest.mark.parametrize(
    "value", [None, 3, "text", [], {}, {"text": "x"}, {"messages": "x"}, {"prompt": "x"}]
)
def test_an_unknown_layout_is_none(value):
    assert turns_of(value) is None
    assert not has_layout(value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "a"}, "a"),
        ({"id": 7}, "7"),
        ({"conversation_hash": "h", "messages": []}, "h"),
        ({"id": "", "uuid": "u"}, "u"),
        ({"id": None}, ""),
        ({"id": True}, ""),
        ({}, ""),
    ],
)
def test_the_id_is_what_the_file_calls_it(row, expected):
    assert id_of(row) == expected

"""The six types by the paper's keywords; the first rule that matches decides."""

from __future__ import annotations

import pytest

from warmgap.corpora import embedded
from warmgap.corpora.query_types import QUERY_TYPES, query_type

ROWS = [
    # each marker of a refusal, whatever was asked
    *[
        ("Write code to explain it", f"Well, {marker} do that.", "refusal")
        for marker in (
            *("I'm sorry", "I apologize", "I can't", "I cannot", "Unfortunately", "not able to"),
            *("unable to", "against my", "not appropriate", "i CANNOT"),
        )
    ],
    # interrogatives with their capital, at the beginning, before a space
    *[(f"{w} is this story", "It is so.", "factual") for w in ("What", "Who", "When", "Where", "Why", "How")],
    ("what is this", "So.", "other"),
    ("Whatever it is", "So.", "other"),
    ("And What is this", "So.", "other"),
    ("please EXPLAIN it", "So.", "factual"),
    ("it is undefined", "So.", "factual"),  # keywords count inside words
    ("describe a poem", "So.", "factual"),
    ("the difference between them", "So.", "factual"),
    *[
        (f"a {w} of code", "So.", "creative")
        for w in ("story", "poem", "write", "create", "generate", "imagine", "Rewrite")
    ],
    ("do it", "Here:\n```\n1\n```", "technical"),
    *[
        (f"some {w} and advice", "So.", "technical")
        for w in ("code", "Program", "function", "algorithm", "debug")
    ],
    *[(f"some {w}", "So.", "advice") for w in ("advice", "Help me", "guide", "recommendation", "suggestion")],
    ("good morning", "Good morning.", "other"),
    (
        "good morning",
        "Write code, explain, a story, advice.",
        "other",
    ),  # of the reply only refusal and a fence
]


@pytest.mark.parametrize(("user", "reply", "expected"), ROWS)
def test_the_first_rule_that_matches_decides(user, reply, expected):
    assert query_type(user, reply) == expected


def test_the_types_are_those_of_the_embedded_corpus():
    assert QUERY_TYPES == embedded.QUERY_TYPES

"""The lexicon score on sentences counted by hand, and the shipped word lists."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.warmth.lexicon import (
    LexiconMeter,
    lexicon_fingerprint,
    lexicon_from,
    load_lexicon,
    tokens_of,
)

SMALL = {
    "warm": {
        "a": {"weight": 2, "phrases": ["you're not alone", "friend"]},
        "b": {"weight": 0.5, "phrases": ["you're", "!"]},
    },
    "cold": {"c": {"weight": 1, "phrases": ["not", "must not"]}},
}


def test_longest_phrase_wins_and_nothing_is_counted_twice() -> None:
    lexicon = lexicon_from(SMALL)
    text = "You\u2019re not alone, friend! You must not, you're not."
    assert lexicon.markers(text) == [
        ("you're not alone", 2.0),
        ("friend", 2.0),
        ("!", 0.5),
        ("must not", -1.0),
        ("you're", 0.5),
        ("not", -1.0),
    ]
    assert lexicon.score(text) == pytest.approx(3.0 / 9)


def test_a_phrase_that_stands_twice_is_refused() -> None:
    twice = {**SMALL, "cold": {"c": {"weight": 1, "phrases": ["friend"]}}}
    with pytest.raises(ValueError, match="friend"):
        lexicon_from(twice)


def test_texts_without_words_have_no_score() -> None:
    assert LexiconMeter().score(["", "  ", "!?", "123", "word"]) == [None, None, None, None, 0.0]


def test_only_the_first_characters_count() -> None:
    text = "Neutral words stand here. Thank you, dear friend!"
    assert LexiconMeter(max_chars=25).score([text]) == [0.0]
    assert (LexiconMeter().score([text])[0] or 0) > 0


def test_shipped_lists_can_match_every_phrase() -> None:
    lexicon = load_lexicon()
    data = json.loads(resources.files("warmgap.warmth").joinpath("lexicon.json").read_text("utf-8"))
    for sign, tone in ((1, "warm"), (-1, "cold")):
        for category in data[tone].values():
            for phrase in category["phrases"]:
                assert " ".join(tokens_of(phrase)) == phrase
                assert lexicon.markers(phrase) == [(phrase, sign * category["weight"])]
    assert lexicon_fingerprint().startswith("sha256:")


@given(st.text(max_size=80))
def test_score_is_the_marker_sum_per_word_for_any_text(text: str) -> None:
    lexicon = lexicon_from(SMALL)
    words = [t for t in tokens_of(text) if t != "!"]
    score = lexicon.score(text)
    assert (score is None) == (not words)
    if score is not None:
        assert score * len(words) == pytest.approx(sum(w for _, w in lexicon.markers(text)))

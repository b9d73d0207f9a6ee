"""Warmth as weighted counts of warm minus cold words and phrases.

The word lists and weights are data (lexicon.json beside this module), written from general English
and not fitted to any corpus, so that the score stays transparent and independent of every model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

LEXICON_FILE = "lexicon.json"
# A word with inner apostrophes or hyphens, or one exclamation mark.
_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|!")


def tokens_of(text: str) -> list[str]:
    """Lower-case words and exclamation marks of a text; typographic apostrophes are made straight."""
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


@dataclass(frozen=True)
class Lexicon:
    """Signed weight of each phrase, a phrase being a tuple of tokens; cold phrases are negative."""

    weights: Mapping[tuple[str, ...], float]

    @cached_property
    def _longest_by_first(self) -> dict[str, list[tuple[str, ...]]]:
        by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(self.weights, key=len, reverse=True):
            by_first.setdefault(phrase[0], []).append(phrase)
        return by_first

    def markers(self, text: str) -> list[tuple[str, float]]:
        """Every marker found, in order, with its signed weight; longest phrase first, no overlaps."""
        tokens = tokens_of(text)
        found: list[tuple[str, float]] = []
        i = 0
        while i < len(tokens):
            options = self._longest_by_first.get(tokens[i], [])
            phrase = next((p for p in options if tuple(tokens[i : i + len(p)]) == p), None)
            if phrase is None:
                i += 1
                continue
            found.append((" ".join(phrase), self.weights[phrase]))
            i += len(phrase)
        return found

    def score(self, text: str) -> float | None:
        """Sum of signed weights per word (markers_per_word); None for a text without any word."""
        n_words = sum(token != "!" for token in tokens_of(text))
        if n_words == 0:
            return None
        return sum(weight for _, weight in self.markers(text)) / n_words


def lexicon_from(data: Mapping[str, Any]) -> Lexicon:
    """A lexicon from the layout of lexicon.json: tone -> category -> weight and phrases.

    Raises:
        ValueError: the same phrase stands twice.
    """
    weights: dict[tuple[str, ...], float] = {}
    for tone, sign in (("warm", 1.0), ("cold", -1.0)):
        for category in data[tone].values():
            for text in category["phrases"]:
                phrase = tuple(tokens_of(text))
                if phrase in weights:
                    raise ValueError(f"phrase {text!r} stands twice in the lexicon")
                weights[phrase] = sign * float(category["weight"])
    return Lexicon(weights)


def load_lexicon() -> Lexicon:
    """The lexicon that ships with the package."""
    return lexicon_from(json.loads(_lexicon_bytes()))


def lexicon_fingerprint() -> str:
    """`sha256:` and the hash of the word lists, for keys of what was scored with them."""
    return f"sha256:{hashlib.sha256(_lexicon_bytes()).hexdigest()}"


def _lexicon_bytes() -> bytes:
    return resources.files("warmgap.warmth").joinpath(LEXICON_FILE).read_bytes()


@dataclass(frozen=True)
class LexiconMeter:
    """The lexicon as a warmth meter; needs no model."""

    name: str = "lexicon"
    unit: str = "markers_per_word"
    reference: str = LEXICON_FILE
    max_chars: int = 0
    min_words: int = 0

    @cached_property
    def _lexicon(self) -> Lexicon:
        return load_lexicon()

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Markers per word of each text (its first max_chars characters, 0: all).

        None for a text without words, or with fewer than `min_words`: in two words, one marker is
        half the score.
        """
        return [self._score_one(text[: self.max_chars or None]) for text in texts]

    def _score_one(self, text: str) -> float | None:
        n_words = sum(token != "!" for token in tokens_of(text))
        return self._lexicon.score(text) if n_words >= self.min_words else None

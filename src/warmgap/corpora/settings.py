"""Which settings of a corpus can change its content: those of its own kind, and no others."""

from __future__ import annotations

from typing import Any

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import CorpusConfig
from warmgap.schema.fields import plain, stage_config

KINDS = ("embedded", "chatlogs")
_WORDS = {
    "unit": ("conversation", "pair"),
    "faulty": ("cut", "drop"),
    "system_turns": ("strip", "drop"),
    "html": ("keep", "strip", "drop"),
    "too_long": ("cut", "drop"),
    "scarce": ("error", "take"),
    "toxicity.activation": ("sigmoid", "softmax"),
    "toxicity.turns": ("all", "user", "assistant", "first_pair"),
}
_FROM_ZERO = ("max_turns", "max_tokens", "toxicity.max_chars")
_FROM_ONE = ("min_pairs", "toxicity.batch_texts")
_NOT_OF_EMBEDDED = ("kind", "chatlogs")


def key_settings(corpus: CorpusConfig) -> dict[str, Any]:
    """The settings that enter the key of a corpus."""
    return _own(corpus, stage_config(corpus, "corpus"))


def shown_settings(corpus: CorpusConfig) -> dict[str, Any]:
    """The settings that a report lists: every one of the corpus' kind."""
    return _own(corpus, plain(corpus))


def _own(corpus: CorpusConfig, settings: dict[str, Any]) -> dict[str, Any]:
    dropped = _NOT_OF_EMBEDDED if corpus.kind == "embedded" else ()
    return {name: value for name, value in settings.items() if name not in dropped}


def check_corpus(corpus: CorpusConfig) -> None:
    """Refuse settings that say nothing, before a file is read.

    Raises:
        UserError: an unknown word or a number out of range.
    """
    if corpus.kind not in KINDS:
        raise UserError(f"corpus.kind={corpus.kind} does not exist.{did_you_mean(corpus.kind, KINDS)}")
    if corpus.kind == "embedded":
        return
    for name, words in _WORDS.items():
        value = _value(corpus, name)
        if value not in words:
            raise UserError(f"corpus.chatlogs.{name} is '{value}'.{did_you_mean(value, words)}")
    ranges = [
        *((name, _value(corpus, name) >= 0, "a whole number from 0; 0: no limit") for name in _FROM_ZERO),
        *((name, _value(corpus, name) >= 1, "a whole number from 1") for name in _FROM_ONE),
        ("max_turns", corpus.chatlogs.max_turns != 1, "0, or a whole number from 2"),
        ("chars_per_token", corpus.chatlogs.chars_per_token > 0, "a number above 0"),
        ("max_lost_share", 0 <= corpus.chatlogs.max_lost_share <= 1, "a number from 0 to 1"),
        ("toxicity.threshold", 0 <= corpus.chatlogs.toxicity.threshold <= 1, "a number from 0 to 1"),
    ]
    for name, holds, allowed in ranges:
        if not holds:
            raise UserError(f"corpus.chatlogs.{name} is {_value(corpus, name)}. Allowed: {allowed}.")


def _value(corpus: CorpusConfig, name: str) -> Any:
    value: Any = corpus.chatlogs
    for part in name.split("."):
        value = getattr(value, part)
    return value

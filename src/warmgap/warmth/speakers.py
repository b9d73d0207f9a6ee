"""Who is said to speak: the words of SocioT and the prefixes made of them."""

from __future__ import annotations

from typing import Any

WARM_SPEAKERS = ("friend", "lover", "mentor", "idol")
COLD_SPEAKERS = ("stranger", "enemy", "examiner", "dictator")
SPEAKERS = (*WARM_SPEAKERS, *COLD_SPEAKERS)
CLOSING_QUOTE = '"'
# The released code writes My for this list and The for everyone else.
_MY_SPEAKERS = frozenset({"friend", "partner", "girlfriend", "boyfriend", "husband", "wife"})

Ids = tuple[int, ...]


def prefix(speaker: str) -> str:
    """What stands before the text, up to and with the opening quote."""
    return f'{"My" if speaker in _MY_SPEAKERS else "The"} {speaker} said, "'


def prefix_ids(tokenizer: Any) -> list[Ids]:
    """Token ids of the prefixes in the order of SPEAKERS, with the special tokens the tokenizer adds."""
    return [tuple(tokenizer(prefix(speaker))["input_ids"]) for speaker in SPEAKERS]


def text_ids(tokenizer: Any, text: str) -> Ids:
    """Token ids of a text alone, without special tokens and surrounding white space."""
    return tuple(tokenizer(text.strip(), add_special_tokens=False)["input_ids"])

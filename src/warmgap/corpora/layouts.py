"""The layouts in which chat logs come, as one: an id, and turns of a role and a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_LISTS = ("conversations", "messages", "conversation", "items", "dialog", "dialogue", "turns")
"""Keys of a list of turns: ShareGPT and FastChat, OpenAI and TRL, LMSYS and WildChat, and older forms."""
_PAIRS = (
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("input", "output"),
)
"""Keys of a message and its reply; Alpaca's `instruction` may have an `input`."""
_IDS = ("id", "conversation_id", "conversation_hash", "prompt_id", "uuid")
_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "bing", "bard"), "assistant"),
    "system": "system",
}


class Turn(NamedTuple):
    """One message; the role is `user`, `assistant`, `system`, or what the file says if none of them."""

    role: str
    text: str


def has_layout(value: Any) -> bool:
    """Whether a value has the keys of a conversation in a known layout."""
    return isinstance(value, Mapping) and (
        any(isinstance(value.get(key), list) for key in (*_LISTS, "data"))
        or any(a in value and b in value for a, b in _PAIRS)
    )


def id_of(value: Any) -> str:
    """The id that a record carries, or an empty text."""
    for key in _IDS if isinstance(value, Mapping) else ():
        found = value.get(key)
        if isinstance(found, str | int) and not isinstance(found, bool) and str(found).strip():
            return str(found)
    return ""


def turns_of(value: Any) -> list[Turn] | None:
    """The turns of a record, in order; None for a record in no known layout.

    A turn that holds no text has an empty one, a turn without a role an empty role.
    """
    if not isinstance(value, Mapping):
        return None
    for key in _LISTS:
        if isinstance(value.get(key), list):
            return [_turn(turn, i) for i, turn in enumerate(value[key])]
    data = value.get("data")
    if isinstance(data, list) and all(isinstance(text, str) for text in data):  # UltraChat: texts in turn
        return [_turn(text, i) for i, text in enumerate(data)]
    for asked, answered in _PAIRS:
        if asked in value and answered in value:
            return _pair(value, asked, answered)
    return None


def _pair(value: Mapping[str, Any], asked: str, answered: str) -> list[Turn]:
    first, second = value[asked], value[answered]
    if isinstance(first, list) and isinstance(second, list):  # TRL: both may be lists of messages
        return [_turn(turn, i) for i, turn in enumerate([*first, *second])]
    text = _text(first)
    further = _text(value.get("input")) if asked == "instruction" else ""
    system = _text(value.get("system"))
    return [
        *([Turn("system", system)] if system.strip() else []),
        Turn("user", f"{text}\n\n{further}" if further.strip() else text),
        Turn("assistant", _text(second)),
    ]


def _turn(turn: Any, position: int) -> Turn:
    if isinstance(turn, str):
        return Turn(("user", "assistant")[position % 2], turn)
    if not isinstance(turn, Mapping):
        return Turn("", "")
    role = next((turn[key] for key in ("from", "role", "speaker", "author") if key in turn), "")
    text = next((turn[key] for key in ("value", "content", "text", "message") if key in turn), "")
    name = role.strip().lower() if isinstance(role, str) else ""
    return Turn(_ROLES.get(name, name), _text(text))


def _text(value: Any) -> str:
    """A text as it stands, or the texts of a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _text(value.get("text"))
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "\n".join(filter(None, (_text(part) for part in value)))
    return ""

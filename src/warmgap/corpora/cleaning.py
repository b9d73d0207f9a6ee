"""One conversation made fit: what is wrong with it, and what is left of it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from warmgap.corpora.layouts import Turn
from warmgap.models.chat import header_word
from warmgap.schema.config import ChatLogConfig

ENCODING = "wrong encoding"
ROLE = "unknown role"
SYSTEM = "system turn"
HTML = "HTML remnants"
OPENS = "begins with a reply"
TWICE = "same role twice"
EMPTY_TURN = "empty turn"
EMPTY_REPLY = "empty reply"
MARKED = "chat template mark"
HEADED = "reply begins with a role"
UNANSWERED = "last message unanswered"
FEW = "not enough turns"
REPLACED = "replacement characters"

_FENCED = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_TAGS = (
    "a|abbr|article|aside|b|blockquote|body|br|button|center|code|dd|div|dl|dt|em|figure|font|footer|form|h[1-6]|"
    "head|header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|path|pre|script|section|"
    "select|small|span|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|u|ul|video"
)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
# Special tokens of Llama, Mistral, Qwen and Gemma: inside a text they would open or end a turn, so that no
# model of the family could be trained on it.
MARK = re.compile(r"<\|[a-z_]{2,30}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Whole pairs in turn, and what was found.

    `dropped` is the one reason for which nothing is left. Else `cut` names what was taken away, and
    `noticed` what was left as it is.
    """

    turns: tuple[Turn, ...] = ()
    dropped: str = ""
    cut: tuple[str, ...] = ()
    noticed: tuple[str, ...] = ()


def clean(turns: Sequence[Turn], rules: ChatLogConfig) -> Cleaned:
    """Messages and replies in turn, beginning with a message and ending with a reply.

    A conversation is kept up to its first faulty turn if `min_pairs` pairs come before it and
    `faulty=cut`; else it is dropped for that fault.
    """
    if not all(_is_text(turn.text) for turn in turns):
        return Cleaned(dropped=ENCODING)
    cut: list[str] = []
    noticed = [REPLACED] if any("\ufffd" in turn.text for turn in turns) else []
    if any(turn.role == "system" for turn in turns):
        if rules.system_turns == "drop":
            return Cleaned(dropped=SYSTEM)
        cut.append(SYSTEM)
        turns = [turn for turn in turns if turn.role != "system"]
    if any(turn.role == "assistant" and has_html(turn.text) for turn in turns):
        if rules.html == "drop":
            return Cleaned(dropped=HTML)
        (cut if rules.html == "strip" else noticed).append(HTML)
        if rules.html == "strip":
            turns = [Turn(r, without_html(text)) if r == "assistant" else Turn(r, text) for r, text in turns]
    opening = next((i for i, turn in enumerate(turns) if turn.role != "assistant"), len(turns))
    if opening:
        if rules.faulty == "drop":
            return Cleaned(dropped=OPENS)
        cut.append(OPENS)
    kept, fault = _in_turn([_begun(turn) for turn in turns[opening:]])
    if len(kept) < 2 * rules.min_pairs or (fault not in ("", UNANSWERED) and rules.faulty == "drop"):
        return Cleaned(dropped=FEW if fault in ("", UNANSWERED) else fault)
    return Cleaned(tuple(kept), cut=(*cut, *([fault] if fault else [])), noticed=tuple(noticed))


def _begun(turn: Turn) -> Turn:
    """A reply without white space before it, which would merge with the template's own."""
    return Turn(turn.role, turn.text.lstrip()) if turn.role == "assistant" else turn


def _in_turn(turns: Sequence[Turn]) -> tuple[list[Turn], str]:
    """Whole pairs up to the first fault, and the fault."""
    for i, (role, text) in enumerate(turns):
        expected = ("user", "assistant")[i % 2]
        if role not in ("user", "assistant"):
            fault = ROLE
        elif role != expected:
            fault = TWICE
        elif not text.strip():
            fault = EMPTY_TURN if role == "user" else EMPTY_REPLY
        elif MARK.search(text):
            fault = MARKED
        elif role == "assistant" and header_word(text):
            fault = HEADED
        else:
            continue
        return list(turns[: i - i % 2]), fault
    whole = len(turns) - len(turns) % 2
    return list(turns[:whole]), UNANSWERED if whole < len(turns) else ""


def has_html(text: str) -> bool:
    """Whether tags or entities stand outside code."""
    if "<" not in text and "&" not in text:
        return False
    return any(_TAG.search(part) or _ENTITY.search(part) for part in _FENCED.split(text)[::2])


def without_html(text: str) -> str:
    """The text without tags, entities resolved; code in fences or backticks as it stands."""
    parts = _FENCED.split(text)
    parts[::2] = [html.unescape(_TAG.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def _is_text(text: str) -> bool:
    """False where a byte was no text, or half of a surrogate pair stands."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""A reply as sentences that can be checked one at a time."""

from __future__ import annotations

import re

_CODE = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*\u2022]|\d{1,3}[.)])[ \t]+")
# After an end mark, its closing quote or bracket, and before anything but a small letter ("e.g. this").
_END = re.compile(
    r"(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][\"')\]\u201d\u2019]))"
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bMrs\.)\s+(?=[^\sa-z])"
    r"|(?<=[\u3002\uff01\uff1f])"
)
_WORD = re.compile(r"\w+")
_SHORT_WORDS = 2


def sentences_of(text: str) -> tuple[str, ...]:
    """Sentences and list items in order, without list marks; blocks of code are left out.

    One of at most two words ("Yes.", "Step one:") says nothing alone and is joined to the next in its
    line, or to the one before.
    """
    found: list[str] = []
    for line in _CODE.sub("\n", text).splitlines():
        in_line: list[str] = []
        for part in _END.split(_MARKER.sub("", line)):
            if not (sentence := part.strip()):
                continue
            if in_line and _short(in_line[-1]):
                in_line[-1] += f" {sentence}"
            else:
                in_line.append(sentence)
        if len(in_line) > 1 and _short(in_line[-1]):
            in_line[-2:] = [" ".join(in_line[-2:])]
        found += [s for s in in_line if _WORD.search(s)]
    return tuple(found)


def _short(sentence: str) -> bool:
    return len(_WORD.findall(sentence)) <= _SHORT_WORDS

"""Scorers of closed answers: the final number, the chosen letter. They see the response alone.

A question whose scorer is `REFUSAL` has no answer; what its response is judged by is judging/refusal.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from warmgap.tasks.wrong_answers import words

NUMBER = "number"
LETTER = "letter"
REFUSAL = "refusal"

_NUMBER = re.compile(r"(?<![\w.])[-\u2212]?\$?\d+(?:,\d{3})*(?:\.\d+)?(?!\d)|(?<![\w.])[-\u2212]?\$?\.\d+")
_SUM = re.compile(r"(?:[-\u2212]?\$?\d[\d.,]*\s*[-+*/x\u00d7\u00f7\u2212]\s*)+\$?\d[\d.,]*\s*=\s*")
_FINAL = re.compile(r"(?:####|\\boxed\{|\banswer\b[^.\n]*?\b(?:is|are|be)\b:?|\banswer:)", re.IGNORECASE)
_SAID = re.compile(
    r"\b(?:[Aa]nswer|[Cc]orrect (?:option|choice))\b(?:\s+\w+){0,3}?(?:\s+is|:|\s+would be)"
    r"\s*:?\s*[*(\[\"']*([A-Z])(?![\w'])"
)
_FIRST = re.compile(r"[*(\[\"'\s]*([A-Z])(?:[*)\]\"'.:,]|\s*$|\s*\n)")
_MARKED = re.compile(
    r"\(([A-Z])\)|\\boxed\{([A-Z])\}|\*\*([A-Z])\b|\b[Oo]ption ([A-Z])\b|\b[Cc]hoice ([A-Z])\b"
)


def normal_number(text: str) -> str | None:
    """A number as plain digits: "$1,200.00" as "1200"; None if the text is no number."""
    plain = text.strip().replace("\u2212", "-").replace("$", "").replace(",", "").rstrip(".")
    if not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", plain):
        return None
    value = Decimal(plain)
    return str(value.to_integral_value()) if value == value.to_integral_value() else str(value.normalize())


def final_number(response: str) -> str | None:
    """The number that a worked answer ends with, as plain digits.

    The first one after the last "the answer is", "####" or "\\boxed{", of a sum its result; else the last
    number of the text.
    """
    marks = list(_FINAL.finditer(response))
    for mark in reversed(marks):
        after = _NUMBER.search(response, mark.end())
        if after and "\n\n" not in response[mark.end() : after.start()]:
            worked = _SUM.match(response, after.start())
            result = _NUMBER.match(response, worked.end()) if worked else None
            return normal_number((result or after)[0])
    found = _NUMBER.findall(response)
    return normal_number(found[-1]) if found else None


def chosen_letter(response: str, options: Sequence[str]) -> str | None:
    """The letter of the option that an answer chooses.

    The last "the answer is X"; else a letter that opens the text; else the one letter marked as an option,
    as in (B); else the letter of the one option whose words the text holds. None where that is not one.
    """
    letters = [chr(ord("A") + i) for i in range(len(options))]
    said: list[str] = [m for m in _SAID.findall(response) if m in letters]
    if said:
        return said[-1]
    first = _FIRST.match(response)
    if first and first[1] in letters:
        return first[1]
    marked: set[str] = {m for groups in _MARKED.findall(response) for m in groups if m in letters}
    if len(marked) == 1:
        return marked.pop()
    text = " ".join(words(response))
    named = [
        x
        for x, o in zip(letters, options, strict=True)
        if words(o) and f" {' '.join(words(o))} " in f" {text} "
    ]
    return named[0] if len(named) == 1 and not marked else None


SCORERS: dict[str, Callable[[str, Sequence[str]], str | None]] = {
    NUMBER: lambda response, _options: final_number(response),
    LETTER: chosen_letter,
}
"""By the name that a question carries: what a response answers, given the options; None if nothing."""

"""Numbers in prose: digits with their unit, words for numbers, times, versions and identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from warmgap.corpora.rewriting.dates import find_dates
from warmgap.corpora.rewriting.spans import Missing, prose
from warmgap.corpora.rewriting.units import CARDINALS, SCALES, SUCH_AS, UNITS

_LISTED = re.compile(
    r"^[ \t>#*_-]{0,16}\d{1,3}[.):](?=[\s*_]|$)|\b[Ss]tep\s\d{1,3}\b|\[\d{1,3}\]|(?<!\d)\d\ufe0f",
    re.MULTILINE,
)
_INLINE_LISTED = re.compile(r"(?<=[\s:(])(\d{1,2})[.)](?=\s|$)")
_SCALE = "|".join(SCALES)
_TOKEN = re.compile(
    r"(?<![\w.])[vV]?(?P<version>\d+(?:\.\d+){2,})(?!\w)"
    r"|(?<![\w:])(?P<hour>\d{1,2})(?::(?P<min>\d\d))?(?::\d\d)?\s?(?P<half>[aApP])\.?[mM]\b\.?"
    r"|(?<![\w:])(?P<clock>\d{1,2}:\d\d)(?![\w:])"
    r"|(?<!\w)(?<!\w-)(?P<identifier>[^\W\d_]{1,16}-?\d[\w-]*+)"
    r"|(?<!\w)(?P<fraction>[½¼¾]|\d{1,2}/\d{1,2}(?![\w/]))"
    r"|(?<!\w)(?:(?<=[\s(])(?P<sign>-|minus\s))?(?P<currency>[$€£¥]\s?)?"
    r"(?P<number>\d{1,3}(?:,\d{3})++(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<glued>[^\W\d_]*)"
    rf"|(?<![\w-])(?P<word>(?:{'|'.join(sorted({*CARDINALS, *SUCH_AS}, key=len, reverse=True))})(?!\w))"
    r"(?:(?<=ty)[-\s](?P<ones>one|two|three|four|five|six|seven|eight|nine)(?!\w))?",
    re.IGNORECASE,
)
_NEXT = re.compile(r"[ -]?(?P<scale>" + _SCALE + r")(?!\w)", re.IGNORECASE)
_UNIT = re.compile(r"[ -]?(?:per\scent\b|(?P<unit>%|°[CF]?|km/h|[^\W\d_]+))", re.IGNORECASE)
_FRACTIONS = {"½": "0.5", "1/2": "0.5", "¼": "0.25", "1/4": "0.25", "¾": "0.75", "3/4": "0.75"}


@dataclass(frozen=True)
class Number:
    """A number as written.

    Attributes:
        shown: as written.
        value: digits without separators, or the identifier in lower case.
        unit: by its one name; "" without.
        kind: digits, words (may go or come alone), or stand_in (a word such as `both`, no number to keep).
    """

    shown: str
    value: str
    unit: str
    kind: str


def find_numbers(text: str) -> Iterator[Number]:
    """Numbers of prose from which dates were taken; numbers of list items and steps are none."""
    text = _without_lists(text)
    for match in _TOKEN.finditer(text):
        g = match.groupdict()
        if g["version"]:
            yield Number(match[0], g["version"], "", "digits")
        elif g["hour"]:
            hour = int(g["hour"]) % 12 + (12 if g["half"] in "pP" else 0)
            yield Number(match[0], f"{hour}:{g['min'] or '00'}", "", "digits")
        elif g["clock"]:
            hours, _, minutes = g["clock"].partition(":")
            yield Number(match[0], f"{int(hours)}:{minutes}", "", "digits")
        elif g["identifier"]:
            yield Number(match[0], g["identifier"].replace("-", "").casefold(), "", "digits")
        elif g["fraction"]:
            yield Number(match[0], _FRACTIONS.get(g["fraction"], g["fraction"]), "", "digits")
        elif g["number"]:
            yield _digits(text, match)
        else:
            yield _in_words(text, match)


def missing_numbers(text: str, other: str) -> list[Missing]:
    """Numbers of `text` that `other` lacks.

    A number is there if its value is there with the same unit, or if either of the two has no unit.
    """
    there = find_dates(prose(other))
    held: dict[str, set[str]] = {value: {""} for value in there.values}
    for number in find_numbers(there.rest):
        held.setdefault(number.value, set()).add(number.unit)
    out: dict[str, Missing] = {}
    for number in find_numbers(find_dates(prose(text)).rest):
        units = held.get(number.value, set())
        if number.kind == "stand_in" or number.unit in units or "" in units or (units and not number.unit):
            continue
        out.setdefault(number.shown, Missing(number.shown.strip(), soft=number.kind == "words"))
    return list(out.values())


def _digits(text: str, match: re.Match[str]) -> Number:
    value, glued, end = _normal(match["number"]), match["glued"].lower(), match.end()
    unit = UNITS.get((match["currency"] or "").strip(), "")
    if glued in ("k", "m", "bn") and unit:
        value, glued = _times(value, {"k": 3, "m": 6, "bn": 9}[glued]), ""
    decade = glued == "s" and value.endswith("0")
    if glued and not decade and glued not in ("st", "nd", "rd", "th", "x"):
        unit = UNITS.get(glued, glued)
    elif not glued:
        value, end = _scaled(text, end, value)
        following, end = _unit(text, end)
        unit = unit or following
    sign = "-" if match["sign"] and value != "0" else ""
    return Number(text[match.start() : end], sign + value, unit, "digits")


def _in_words(text: str, match: re.Match[str]) -> Number:
    word = match["word"].lower()
    if word in SUCH_AS:
        value, end = _scaled(text, match.start(), "1") if word in SCALES else ("", match.end())
        if word == "a":
            value, end = _scaled(text, match.end("word"), "1")
            value = "" if value == "1" else value
        return Number(match[0], value or SUCH_AS[word], "", "stand_in")
    number = CARDINALS[word]
    end = match.end("word")
    if match["ones"]:
        number, end = number + CARDINALS[match["ones"].lower()], match.end()
    value, end = _scaled(text, end, str(number))
    unit, end = _unit(text, end)
    kind = "stand_in" if value in ("0", "1") else "words"
    return Number(text[match.start() : end], value, unit, kind)


def _scaled(text: str, at: int, value: str) -> tuple[str, int]:
    while found := _NEXT.match(text, at):
        factor, zeros = SCALES[found["scale"].lower()]
        if factor:
            if not value.isdigit() or len(value) > 9:
                break
            value = str(int(value) * int(factor))
        else:
            value = _times(value, zeros)
        at = found.end()
        if len(value) > 40:
            break
    return value, at


def _unit(text: str, at: int) -> tuple[str, int]:
    found = _UNIT.match(text, at)
    if not found:
        return "", at
    unit = UNITS.get((found["unit"] or "%").lower(), "")
    return (unit, found.end()) if unit else ("", at)


def _normal(number: str) -> str:
    whole, _, part = number.replace(",", "").partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")


def _times(value: str, zeros: int) -> str:
    """The digits times a power of ten, without arithmetic: they may be thousands."""
    whole, _, part = value.partition(".")
    return _normal(whole + part[:zeros].ljust(zeros, "0") + "." + part[zeros:])


def _without_lists(text: str) -> str:
    text = _LISTED.sub(" ", text)
    found = list(_INLINE_LISTED.finditer(text))
    out, at = [], 0
    for i, match in enumerate(found):
        n = int(match[1])
        before = i and int(found[i - 1][1]) == n - 1
        after = i + 1 < len(found) and int(found[i + 1][1]) == n + 1
        if (n == 1 and after) or (n > 1 and before):
            out.append(text[at : match.start()])
            at = match.end()
    return "".join([*out, text[at:]])

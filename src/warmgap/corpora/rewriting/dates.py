"""Dates in prose: days, months, years and weekdays, in whatever order they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmgap.corpora.rewriting.spans import Missing, prose
from warmgap.corpora.rewriting.units import UNITS

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
    *("november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = (
    r"(?P<m{0}>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<d{0}>\d{{1,2}})(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s(?P<y{0}>\d{{4}})(?![\w%]))?"
_DATE = re.compile(
    r"(?<![\w/.-])(?:"
    r"(?P<y1>\d{4})[-/](?P<m1>\d{1,2})[-/](?P<d1>\d{1,2})(?!\d)"
    r"|(?P<a>\d{1,2})(?P<by>[/.-])(?P<b>\d{1,2})(?P=by)(?P<y2>\d{4}|(?<=/)\d{2})(?![\d/.-]\d|\d)"
    rf"|{_MONTH.format(3)},?\s(?P<y3>\d{{4}})(?!\d)"
    rf"|{_MONTH.format(4)}\s(?:the\s)?{_DAY.format(4)}(?!\w){_YEAR.format(4)}"
    rf"|(?:the\s)?{_DAY.format(5)}\s(?:of\s)?{_MONTH.format(5)}{_YEAR.format(5)}"
    r"|(?P<m6>January|February|April|June|July|August|September|October|November|December)(?!\w)"
    r"|(?P<week>(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)s?(?!\w)"
    r")"
)
_YEARS = re.compile(
    r"(?<![\w$€£¥.,:#])(?P<year>1[1-9]\d\d|20\d\d)s?(?![\w%:]|[.,]\d)(?!\s?[-/]\s?\d(?!\d{3}))"
)
_COUNTED = re.compile(r"[\s-]([^\W\d_]+)")
_DIGITS = re.compile(r"\d[\d,]*")


@dataclass(frozen=True)
class Dates:
    """What a text says of time.

    Attributes:
        atoms: each fact as written, with its readings: any of them will do.
        rest: the prose without dates.
        values: years and days as numbers.
    """

    atoms: dict[str, frozenset[str]]
    rest: str
    values: frozenset[str]


def find_dates(text: str) -> Dates:
    """Dates of prose, taken apart into year, day of the month, month and weekday."""
    atoms: dict[str, frozenset[str]] = {}
    values: set[str] = set()

    def dated(match: re.Match[str]) -> str:
        g = match.groupdict()
        if g["week"]:
            atoms[g["week"]] = frozenset({g["week"].lower()})
            return " _ "
        if g["a"]:
            days = {(int(g["a"]), int(g["b"])), (int(g["b"]), int(g["a"]))}
        else:
            month = next(_month(g[f"m{i}"]) for i in (1, 3, 4, 5, 6) if g[f"m{i}"])
            day = next((int(g[f"d{i}"]) for i in (1, 4, 5) if g[f"d{i}"]), 0)
            days = {(month, day)}
        days = {(m, d) for m, d in days if 1 <= m <= 12 and 0 <= d <= 31}
        if not days:
            return match[0]
        year = next((g[f"y{i}"] for i in (1, 2, 3, 4, 5) if g[f"y{i}"]), "")
        if year:
            readings = (year,) if len(year) == 4 else (f"19{year}", f"20{year}")
            atoms[year] = frozenset(f"year {y}" for y in readings)
            values.update(readings)
        name = " or ".join(f"{MONTHS[m - 1].title()} {d or ''}".rstrip() for m, d in sorted(days))
        atoms[name] = frozenset(f"day {m}-{d}" if d else f"month {m}" for m, d in days)
        values.update(str(d) for pair in days for d in pair if d)
        return " _ "

    def only_year(match: re.Match[str]) -> str:
        after = _COUNTED.match(match.string, match.end())
        if after and after[1].lower() in UNITS:
            return match[0]
        atoms[match[0]] = frozenset({f"year {match['year']}"})
        values.add(match["year"])
        return " _ "

    rest = _YEARS.sub(only_year, _DATE.sub(dated, text))
    return Dates(atoms, rest, frozenset(values))


def missing_dates(text: str, other: str) -> list[Missing]:
    """Dates of `text` that `other` lacks in every notation."""
    there = prose(other)
    held: set[str] = set()
    for readings in find_dates(there).atoms.values():
        held |= readings
    held |= {f"month {key[4:].partition('-')[0]}" for key in held if key.startswith("day ")}
    held |= {f"year {n.replace(',', '')}" for n in _DIGITS.findall(there)}
    return [Missing(shown) for shown, any_of in find_dates(prose(text)).atoms.items() if not any_of & held]


def _month(written: str) -> int:
    if written.isdigit():
        return int(written)
    return next(i for i, name in enumerate(MONTHS, 1) if name.startswith(written.lower()[:3]))

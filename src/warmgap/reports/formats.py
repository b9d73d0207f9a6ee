"""Numbers and foreign text as people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import SupportsFloat

MISSING = "\N{EN DASH}"
"""Stands for a null."""
MAX_CHARS = 4000
"""Longest piece of foreign text shown; the rest is counted."""

_MINUS = "\N{MINUS SIGN}"
_KEPT = "\n\t\u200c\u200d"  # line breaks, tabs, and the joiners that scripts and emoji need


def number(value: SupportsFloat | None, digits: int = 1, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for null. A value that rounds to zero has no sign."""
    if value is None:
        return MISSING
    text = f"{float(value):{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """`[low, high]`, empty where an end is null."""
    return "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def estimate(
    value: float | None, low: float | None, high: float | None, digits: int = 1, signed: bool = True
) -> str:
    """A value with its interval in brackets."""
    return f"{number(value, digits, signed)} {interval(low, high, digits)}".strip()


def p_value(p: float | None) -> str:
    """A p-value with three decimals, `<0.001` below that."""
    if p is None:
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int) -> str:
    """An integer with thin groups of three digits from 10,000 on."""
    return f"{n:,}" if n >= 10_000 else str(n)


def count_range(counts: Sequence[int]) -> str:
    """The one count, or the least and the largest of several, as `40 to 48`."""
    low, high = min(counts), max(counts)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def visible(text: str, max_chars: int = MAX_CHARS) -> str:
    """Foreign text that can do nothing to the text around it.

    Control characters and invisible formatting ones (text direction, zero width) are written out
    by code point in angle brackets, like U+202E; text beyond `max_chars` is cut, and the cut is said.
    """
    shown = "".join(_escaped(c) for c in text[:max_chars])
    if len(text) > max_chars:
        shown += f"\n[cut here: {count(len(text))} characters in all]"
    return shown


def _escaped(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{ord(char):04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"

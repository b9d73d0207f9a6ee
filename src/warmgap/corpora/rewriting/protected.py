"""What a rewrite must keep, and what of it was lost or added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warmgap.corpora.rewriting.dates import missing_dates
from warmgap.corpora.rewriting.names import missing_names
from warmgap.corpora.rewriting.numbers import missing_numbers
from warmgap.corpora.rewriting.spans import Missing, missing_code, missing_quotes, missing_urls

_SHOWN = 5
_MISSING: dict[str, Callable[[str, str], list[Missing]]] = {
    "numbers": missing_numbers,
    "dates": missing_dates,
    "names": missing_names,
    "code": missing_code,
    "urls": missing_urls,
    "quotes": missing_quotes,
}
PROTECTED = tuple(_MISSING)
"""Kinds of facts that are compared."""


@dataclass(frozen=True)
class Change:
    """Facts of one kind that went and came, as written."""

    lost: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.lost or self.added)

    def __str__(self) -> str:
        parts = [
            f"{word}: {_listed(facts)}"
            for word, facts in (("lost", self.lost), ("added", self.added))
            if facts
        ]
        return "; ".join(parts)


def change(kind: str, source: str, text: str, user: str = "") -> Change:
    """Facts of a kind that the source has and the text lacks, and the other way round.

    What the message says is no addition. Soft facts (`Missing.soft`) count only where something was lost
    and something was added.

    Args:
        kind: one of `PROTECTED`.
        source: the reply that was rewritten.
        text: what it became.
        user: the message that is answered.
    """
    find = _MISSING[kind]
    lost = missing_names(source, text, user) if kind == "names" else find(source, text)
    added = find(text, f"{source}\n\n{user}" if user else source)
    replaced = bool(lost and added)
    return Change(*(tuple(m.shown for m in found if replaced or not m.soft) for found in (lost, added)))


def _listed(facts: tuple[str, ...]) -> str:
    more = f" and {len(facts) - _SHOWN} more" if len(facts) > _SHOWN else ""
    return ", ".join(facts[:_SHOWN]) + more

"""What the readers of published data sets share: tidy texts, and rows counted that cannot be used."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from warmgap.errors import UserError
from warmgap.keys import number
from warmgap.tasks.rows import LIST_SEPARATOR, Row
from warmgap.tasks.wrong_answers import words

TWICE = "left out: the same question again"
_SPACES = re.compile(r"[^\S\n]+")
_INITIALS = re.compile(r"(?:\b\w|\.\w+)\.$")
_HOLES = re.compile(r"\s+([?.,;:!])")


def tidy(text: str) -> str:
    """A text without HTML entities, doubled spaces and spaces before punctuation; line breaks stay."""
    plain = _SPACES.sub(" ", html.unescape(text).replace("\r\n", "\n"))
    return _HOLES.sub(r"\1", plain).strip()


def short(text: str) -> str:
    """An answer as a part of a sentence: tidy, on one line, no full stop or stray quote at its end."""
    plain = " ".join(tidy(text).split())
    if plain.endswith('"') and plain.count('"') % 2:
        plain = plain[:-1].rstrip()
    return plain if _INITIALS.search(plain) else plain.removesuffix(".")


def value(row: Row, *names: str) -> Any:
    """What stands under the first of the names that the row has, whatever its case.

    Raises:
        UserError: the row has none of them.
    """
    found = {k.lower(): v for k, v in row.values.items()}
    for name in names:
        if found.get(name.lower()) is not None:
            return found[name.lower()]
    raise UserError(
        f"{row.where}: no key {' or '.join(repr(n) for n in names)}. Found: {', '.join(sorted(row.values))}. "
        "Is this the file of another task?"
    )


def text(row: Row, *names: str) -> str:
    """The non-empty text under the first of the names that the row has.

    Raises:
        UserError: there is none.
    """
    found = value(row, *names)
    if not isinstance(found, str) or not found.strip():
        raise UserError(f"{row.where}: key '{names[0]}' must be a non-empty text, found {found!r}.")
    return found


def answers(row: Row, *names: str) -> tuple[str, ...]:
    """The texts under the first of the names: a list, or one text cut at semicolons.

    Raises:
        UserError: it is neither.
    """
    found = value(row, *names)
    # Before cutting, since an entity ends with a semicolon.
    parts = html.unescape(found).split(LIST_SEPARATOR) if isinstance(found, str) else found
    if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
        raise UserError(f"{row.where}: key '{names[0]}' must be a list of texts, found {found!r}.")
    return tuple(p for p in map(short, parts) if p)


def distinct(forms: Iterable[str], besides: Sequence[str]) -> tuple[str, ...]:
    """The forms that hold a word and are not the same as an earlier one or as one of `besides`."""
    seen = {words(form) for form in besides}
    kept = []
    for form in forms:
        if words(form) and words(form) not in seen:
            seen.add(words(form))
            kept.append(form)
    return tuple(kept)


def chosen(asked: str, candidates: Sequence[str]) -> str:
    """One of the candidates, by hash of the question."""
    return min(candidates, key=lambda c: number("wrong answer", asked, c))

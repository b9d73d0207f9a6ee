"""A sheet of random pairs of reply and rewrite, for a person to mark; draws them and writes the page."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warmgap.corpora.rewriting.marks import text_key
from warmgap.errors import UserError
from warmgap.keys import digest, number
from warmgap.offline_page import render_offline

_COLUMNS = ("style", "id", "turn", "query_type", "user", "source", "text")
_TOKEN = re.compile(r"\w+\s*|\W\s*")


@dataclass(frozen=True)
class Pair:
    """A reply and its rewrite."""

    style: str
    id: str
    turn: int
    query_type: str
    user: str
    source: str
    text: str


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Rewrites that may be trained on, beside what they were made from.

    Rows that are not kept, and replies made anew, of which there is nothing to compare, are left out.

    Args:
        folder: an artifact of the rewrite gate, with `replies.parquet`.

    Raises:
        UserError: no such file, or one that lacks a column.
    """
    path = folder / "replies.parquet"
    if not path.is_file():
        raise UserError(
            f"{folder} has no replies.parquet. Give the folder of checked rewrites, which "
            "`warmgap ... stage=rewrite` makes and names at its end."
        )
    try:
        rows = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as e:
        raise UserError(f"{path} cannot be read: {str(e).splitlines()[0]}") from None
    if missing := [name for name in (*_COLUMNS, "kept") if name not in rows.columns]:
        raise UserError(f"{path} has no column '{missing[0]}'; it has {', '.join(rows.columns)}.")
    rows = rows.filter(pl.col("kept"), pl.col("source") != "")
    return tuple(Pair(**row) for row in rows.select(_COLUMNS).iter_rows(named=True))


def draw(pairs: Sequence[Pair], n: int, seed: int) -> tuple[Pair, ...]:
    """At most `n` pairs, as many of each style as can be, and within a style of each query type.

    Which and in what order follows from a hash of the seed, style, id and turn, so the order of rows
    does not matter.

    Raises:
        UserError: no pairs, or `n` below 1.
    """
    if n < 1:
        raise UserError(f"--n is {n}. Allowed: 1 or more.")
    if not pairs:
        raise UserError("no pair to mark: no kept reply has a source. Look at the gate's report first.")
    rank = {p: number("sheet", seed, p.style, p.id, p.turn) for p in pairs}
    strata: dict[str, dict[str, list[Pair]]] = {}
    for pair in sorted(pairs, key=rank.__getitem__):
        strata.setdefault(pair.style, {}).setdefault(pair.query_type, []).append(pair)
    per_style = {style: sum(map(len, types.values())) for style, types in strata.items()}
    drawn: list[Pair] = []
    for style, n_style in _even(n, per_style, ("style", seed)).items():
        types = strata[style]
        sizes = {name: len(found) for name, found in types.items()}
        for name, n_type in _even(n_style, sizes, ("type", seed, style)).items():
            drawn += types[name][:n_type]
    return tuple(sorted(drawn, key=rank.__getitem__))


def sheet_id(pairs: Sequence[Pair]) -> str:
    """Names a sheet by its pairs and their order."""
    return "s" + digest([(p.style, p.id, p.turn, text_key(p.source, p.text)) for p in pairs])[:12]


def render(pairs: Sequence[Pair]) -> str:
    """The page as HTML, the same for the same pairs; progress is kept in the browser under the sheet's id."""
    shown = [
        {
            "style": p.style,
            "id": p.id,
            "turn": p.turn,
            "type": p.query_type,
            "key": text_key(p.source, p.text),
            "user": p.user,
            "parts": differences(p.source, p.text),
        }
        for p in pairs
    ]
    return render_offline(
        Path(__file__).parent, "sheet.html.j2", "sheet.js", {"sheet": sheet_id(pairs), "pairs": shown}
    )


def differences(source: str, text: str) -> tuple[list[tuple[bool, str]], list[tuple[bool, str]]]:
    """Both texts in parts, each with whether the other has no such words there."""
    a, b = _TOKEN.findall(source), _TOKEN.findall(text)
    matcher = difflib.SequenceMatcher(None, [t.strip() for t in a], [t.strip() for t in b], autojunk=False)
    left: list[tuple[bool, str]] = []
    right: list[tuple[bool, str]] = []
    for what, a0, a1, b0, b1 in matcher.get_opcodes():
        for parts, tokens in ((left, a[a0:a1]), (right, b[b0:b1])):
            if tokens:
                parts.append((what != "equal", "".join(tokens)))
    return left, right


def _even(n: int, sizes: Mapping[str, int], seed: tuple[str | int, ...]) -> dict[str, int]:
    """How many to take of each group: alike, as far as groups have them; what is odd by hash."""
    order = sorted(sizes, key=lambda name: number("sheet", *seed, name))
    taken = dict.fromkeys(order, 0)
    for _ in range(min(n, sum(sizes.values()))):
        taken[min((g for g in order if taken[g] < sizes[g]), key=taken.__getitem__)] += 1
    return taken

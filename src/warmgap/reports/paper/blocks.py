"""A paper as a list of blocks, which LaTeX, Typst and Markdown set alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is a section."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class FigureBlock:
    """A figure: its file without extension, relative to the paper, and its size in inches."""

    stem: str
    title: str
    caption: str
    width_in: float
    height_in: float


@dataclass(frozen=True)
class FigurePair:
    """Two figures of one column each, side by side."""

    left: FigureBlock
    right: FigureBlock


@dataclass(frozen=True)
class PaperRow:
    """Cells of a row as they are printed; `greyed` where a gate did not pass."""

    cells: tuple[str, ...]
    greyed: bool = False


@dataclass(frozen=True)
class PaperTable:
    """A table as it is printed, with what it stands for.

    `groups` are the heads that span columns, one per column, empty for none. `shares` are the widths of
    columns of running text as shares of the line, 0 for a column as wide as its content. `values` are
    the stored numbers with every digit, one row per printed row.
    """

    name: str
    caption: str
    heads: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[PaperRow, ...]
    values: pl.DataFrame
    groups: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    def share(self, column: int) -> float:
        """Width of a column as a share of the line; 0 for the width of its content."""
        return self.shares[column] if self.shares else 0.0

    def spans(self) -> list[tuple[str, int]]:
        """Heads over columns with the number of columns that each spans; empty without groups."""
        out: list[tuple[str, int]] = []
        for group in self.groups:
            if out and out[-1][0] == group:
                out[-1] = (group, out[-1][1] + 1)
            else:
                out.append((group, 1))
        return out if any(self.groups) else []

    def width_chars(self) -> int:
        """About how many characters the widest row takes."""
        return sum(self.column_chars(i) for i in range(len(self.heads)))

    def column_chars(self, column: int) -> int:
        """Characters of a column's widest cell; of running text a third of a line of 100."""
        if self.share(column):
            return round(100 * self.share(column))
        head = max(map(len, self.heads[column].split("\n")))
        return max([head, *(len(r.cells[column]) for r in self.rows)])


@dataclass(frozen=True)
class TurnedPages:
    """Tables on pages that are turned, since they are too wide for others."""

    tables: tuple[PaperTable, ...]


Block = Heading | Paragraph | Bullets | FigureBlock | FigurePair | PaperTable | TurnedPages


@dataclass(frozen=True)
class Column:
    """One column of a layout: its head, what it prints of a row, and the fields that it stands for.

    `varies` leaves it out where all rows print the same, which then has to stand in the caption.
    """

    head: str
    words: Callable[[Mapping[str, Any]], str]
    fields: tuple[str, ...]
    numeric: bool = True
    group: str = ""
    share: float = 0.0
    varies: bool = False


def lay_out(
    name: str,
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    greyed: Callable[[Mapping[str, Any]], bool] = lambda row: False,
) -> PaperTable:
    """The table of these columns, a printed row for each row."""
    said = [[c.words(r) for r in rows] for c in columns]
    kept = [i for i, c in enumerate(columns) if not (c.varies and len(set(said[i])) <= 1)]
    shown = [columns[i] for i in kept]
    fields = dict.fromkeys(f for c in columns for f in c.fields)
    return PaperTable(
        name,
        caption,
        tuple(c.head for c in shown),
        tuple(c.numeric for c in shown),
        tuple(_row([said[i][at] for i in kept], greyed(r)) for at, r in enumerate(rows)),
        pl.DataFrame({f: [r[f] for r in rows] for f in fields}, strict=False),
        tuple(c.group for c in shown),
        tuple(c.share for c in shown),
    )


def _row(cells: list[str], greyed: bool) -> PaperRow:
    """A greyed row has a dagger besides, for those who see or print no greys."""
    return PaperRow((f"{cells[0]}\N{DAGGER}", *cells[1:]) if greyed else tuple(cells), greyed)

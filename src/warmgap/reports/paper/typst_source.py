"""Blocks as Typst (from 0.13 on; no packages)."""

from __future__ import annotations

from collections.abc import Iterable

from warmgap.reports.paper.blocks import (
    Block,
    Bullets,
    FigureBlock,
    FigurePair,
    Heading,
    PaperRow,
    PaperTable,
    Paragraph,
    TurnedPages,
)
from warmgap.reports.paper.escaping import pieces
from warmgap.reports.paper.escaping import typst as text
from warmgap.reports.paper.fit import fit

_PREAMBLE = """#set page(paper: "a4", margin: 22mm, numbering: "1")
#set text(size: 10pt)
#set par(justify: false)
#set heading(numbering: "1.1")
#show figure.where(kind: table): set figure.caption(position: top)
#show figure.where(kind: table): set block(breakable: true)
#show figure.caption: it => block(width: 100%, align(left, text(size: 9pt, it)))
"""
_MAX_HEIGHT_IN = 7.5
_MAX_WIDTH_IN = 6.5
_SHORT_ROWS = 30
"""Up to so many rows a table stays on one page."""


def document(title: str, subtitle: str, blocks: Iterable[Block]) -> str:
    """A whole document."""
    head = f"#align(center)[#text(size: 17pt)[{text(title)}]\n\n{text(subtitle)}]"
    return f"{_PREAMBLE}{head}\n\n{fragment(blocks)}"


def fragment(blocks: Iterable[Block]) -> str:
    """Blocks alone, to be put into another document with `#include`."""
    return "\n\n".join(_block(b) for b in blocks) + "\n"


def table(of: PaperTable) -> str:
    """A table that may break over pages, in smaller type where the page asks for it."""
    how = fit(of)
    breaks = "true" if len(of.rows) > _SHORT_ROWS else "false"
    widths = ", ".join(f"{of.share(i):.2f} * 100%" if of.share(i) else "auto" for i in range(len(of.heads)))
    sides = ", ".join("right" if n else "left" for n in of.numeric)
    lines = [
        f"#block(breakable: {breaks}, figure(kind: table, caption: [{text(of.caption)}], {{",
        f"set text(size: {how.size_pt}pt)",
        "table(",
        f"  columns: ({widths},), align: ({sides},), stroke: none, inset: (x: 3pt, y: 2.2pt),",
        "  table.header(",
        "    table.hline(stroke: 0.8pt),",
        *(f"    {line}" for line in _spans(of)),
        f"    {', '.join(f'[{text(h)}]' for h in of.heads)},",
        "    table.hline(stroke: 0.5pt),",
        "  ),",
        *(f"  {_row(of, r)}," for r in of.rows),
        "  table.hline(stroke: 0.8pt),",
        ")",
        "}))",
    ]
    return "\n".join(lines)


def _block(block: Block) -> str:
    match block:
        case Heading(words, level):
            return f"{'=' * level} {text(words)}"
        case Paragraph(words):
            return text(words)
        case Bullets(items):
            return "\n".join(f"- {text(i)}" for i in items)
        case FigureBlock():
            return f"#{_figure(block)}"
        case FigurePair(left, right):
            sides = f"{_figure(left)},\n  {_figure(right)},"
            return f"#grid(columns: (1fr, 1fr), gutter: 10pt,\n  {sides}\n)"
        case PaperTable():
            return table(block)
        case TurnedPages(tables):
            return "\n\n".join(["#page(flipped: true)[", *map(table, tables), "]"])


def _figure(block: FigureBlock) -> str:
    shrink = min(1.0, _MAX_HEIGHT_IN / block.height_in, _MAX_WIDTH_IN / block.width_in)
    image = f'image("{block.stem}.pdf", width: {shrink * block.width_in:.2f}in)'
    caption = f"[*{text(block.title)}.* {text(block.caption)}]"
    return f"figure({image}, caption: {caption})"


def _spans(of: PaperTable) -> list[str]:
    spans, at, lines = of.spans(), 0, []
    for words, n in spans:
        lines.append(f"table.cell(colspan: {n}, align: center)[{text(words)}],")
    for words, n in spans:
        if words:
            lines.append(f"table.hline(start: {at}, end: {at + n}, stroke: 0.3pt),")
        at += n
    return lines


def _row(of: PaperTable, row: PaperRow) -> str:
    cells = ("#sym.zws;".join(map(text, pieces(c, of.share(i)))) for i, c in enumerate(row.cells))
    return ", ".join(f"[#text(fill: luma(45%))[{c}]]" if row.greyed else f"[{c}]" for c in cells)

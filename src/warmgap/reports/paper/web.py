"""Blocks as Markdown, and tables as HTML and CSV."""

from __future__ import annotations

from collections.abc import Iterable

from warmgap.reports.paper.blocks import (
    Block,
    Bullets,
    FigureBlock,
    FigurePair,
    Heading,
    PaperTable,
    Paragraph,
    TurnedPages,
)
from warmgap.reports.paper.escaping import markdown as text
from warmgap.reports.paper.escaping import web

_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:1.5em}table{border-collapse:collapse;"
    "border-top:2px solid;border-bottom:2px solid}caption{text-align:left;padding-bottom:.6em;max-width:60em}"
    "th,td{padding:.15em .5em;text-align:left;vertical-align:top}thead tr:last-child th{border-bottom:1px "
    "solid}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".g{text-align:center;border-bottom:1px solid}.grey{color:#666}"
)


def markdown(blocks: Iterable[Block]) -> str:
    """Blocks as Markdown, tables with pipes."""
    return "\n\n".join(_markdown(b) for b in blocks) + "\n"


def html_table(of: PaperTable) -> str:
    """A page that holds the table."""
    kinds = [' class="n"' if n else "" for n in of.numeric]
    head = ""
    if spans := of.spans():
        cells = (
            f'<th colspan="{n}"{" class=g scope=colgroup" if words else ""}>{web(words)}</th>'
            for words, n in spans
        )
        head = f"<tr>{''.join(cells)}</tr>\n"
    head += "<tr>" + "".join(
        f'<th scope="col"{k}>{web(h)}</th>' for h, k in zip(of.heads, kinds, strict=True)
    )
    rows = (
        f"<tr{' class=grey' if r.greyed else ''}>"
        + "".join(f"<td{k}>{web(c)}</td>" for c, k in zip(r.cells, kinds, strict=True))
        + "</tr>"
        for r in of.rows
    )
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f"<title>{web(of.name)}</title><style>{_STYLE}</style></head><body>",
            f"<table>\n<caption>{web(of.caption)}</caption>",
            f"<thead>{head}</tr></thead>\n<tbody>",
            *rows,
            "</tbody></table></body></html>\n",
        )
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(words, level):
            return f"{'#' * level} {text(words)}"
        case Paragraph(words):
            return text(words)
        case Bullets(items):
            return "\n".join(f"- {text(i)}" for i in items)
        case FigureBlock():
            return f"![{text(block.title)}]({block.stem}.png)\n\n{text(block.caption)}"
        case FigurePair(left, right):
            return f"{_markdown(left)}\n\n{_markdown(right)}"
        case TurnedPages(tables):
            return "\n\n".join(map(_markdown, tables))
        case PaperTable():
            rule = "|".join("---:" if n else "---" for n in block.numeric)
            rows = (block.heads, *(r.cells for r in block.rows))
            first, *rest = ("| " + " | ".join(text(c) for c in r) + " |" for r in rows)
            return "\n".join((text(block.caption), "", first, f"|{rule}|", *rest))

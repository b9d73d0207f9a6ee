"""Blocks as LaTeX (packages booktabs, longtable, pdflscape, graphicx, xcolor, caption)."""

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
from warmgap.reports.paper.escaping import latex as text
from warmgap.reports.paper.escaping import pieces
from warmgap.reports.paper.fit import fit

_PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\IfFileExists{lmodern.sty}{\usepackage[T1]{fontenc}\usepackage{lmodern}}{}
\usepackage{textcomp}
\usepackage[margin=22mm]{geometry}
\usepackage{graphicx,booktabs,longtable,array,pdflscape,xcolor}
\usepackage[font=small,labelfont=bf]{caption}
\setlength{\parindent}{0pt}
\setlength{\parskip}{5pt}
\setlength{\emergencystretch}{3em}
"""
_LEVELS = ("section", "subsection", "subsubsection")


def document(title: str, subtitle: str, blocks: Iterable[Block]) -> str:
    """A whole document."""
    lines = [
        _PREAMBLE + rf"\title{{{text(title)}}}",
        rf"\author{{}}\date{{{text(subtitle)}}}",
        r"\begin{document}",
        r"\maketitle",
        fragment(blocks),
        r"\end{document}",
        "",
    ]
    return "\n".join(lines)


def fragment(blocks: Iterable[Block]) -> str:
    """Blocks alone, to be put into another document with `\\input`."""
    return "\n\n".join(_block(b) for b in blocks) + "\n"


def table(of: PaperTable) -> str:
    """A longtable, in smaller type where the page asks for it; turning the page is `TurnedPages`'."""
    how = fit(of)
    n = len(of.heads)
    kinds = [_kind(of, i) for i in range(n)]
    head = [*_spans(of), " & ".join(_head(of, i) for i in range(n)) + r" \\", r"\midrule"]
    lines = [
        rf"{{\fontsize{{{how.size_pt}}}{{{how.size_pt + 2}}}\selectfont"
        r"\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\linewidth}",
        rf"\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}",
        rf"\caption{{{text(of.caption)}\label{{tab:{_label(of.name)}}}}}\\",
        *(r"\toprule", *head, r"\endfirsthead"),
        *(r"\toprule", *head, r"\endhead"),
        *(r"\bottomrule", r"\endlastfoot"),
        *(_row(of, r) for r in of.rows),
        r"\end{longtable}}",
    ]
    return "\n".join(lines)


def _block(block: Block) -> str:
    match block:
        case Heading(words, level):
            return rf"\{_LEVELS[level - 1]}{{{text(words)}}}"
        case Paragraph(words):
            return text(words)
        case Bullets(items):
            return "\n".join([r"\begin{itemize}", *(rf"\item {text(i)}" for i in items), r"\end{itemize}"])
        case FigureBlock():
            return _figure(block)
        case FigurePair(left, right):
            return f"{_figure(left, 0.48)}\\hfill\n{_figure(right, 0.48)}\n\n\\bigskip"
        case PaperTable():
            return table(block)
        case TurnedPages(tables):
            return "\n".join([r"\begin{landscape}", *map(table, tables), r"\end{landscape}"])


def _figure(block: FigureBlock, share: float = 1.0) -> str:
    """A figure that stays where it stands, its caption below it."""
    size = rf"width=\ifdim\linewidth<{block.width_in:.2f}in\linewidth\else{block.width_in:.2f}in\fi"
    lines = (
        rf"\begin{{minipage}}[t]{{{share}\linewidth}}\centering\vspace{{0pt}}",
        rf"\includegraphics[{size},height=0.75\textheight,keepaspectratio]{{{block.stem}.pdf}}",
        rf"\captionof{{figure}}{{\textbf{{{text(block.title)}.}} {text(block.caption)}}}",
        r"\end{minipage}",
    )
    return "\n".join(lines)


def _kind(of: PaperTable, column: int) -> str:
    if share := of.share(column):
        return rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
    return "r" if of.numeric[column] else "l"


def _head(of: PaperTable, column: int) -> str:
    return text(of.heads[column])


def _spans(of: PaperTable) -> list[str]:
    """The line of heads that span columns, with a rule under each."""
    spans = of.spans()
    if not spans:
        return []
    cells, rules, at = [], [], 1
    for words, n in spans:
        cells.append(rf"\multicolumn{{{n}}}{{c}}{{{text(words)}}}" if words else " & " * (n - 1))
        if words:
            rules.append(rf"\cmidrule(lr){{{at}-{at + n - 1}}}")
        at += n
    return [" & ".join(cells) + r" \\", "".join(rules)]


def _row(of: PaperTable, row: PaperRow) -> str:
    cells = [r"\allowbreak{}".join(map(text, pieces(c, of.share(i)))) for i, c in enumerate(row.cells)]
    if row.greyed:
        cells = [rf"\textcolor{{gray}}{{{c}}}" for c in cells]
    return " & ".join(cells) + r" \\"


def _label(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)

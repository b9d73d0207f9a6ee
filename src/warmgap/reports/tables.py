"""The tables as files: CSV with every digit, LaTeX with booktabs rules for papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

NOT_WRITTEN = ("observations", "warmth")
"""Row-level tables, which stay in Parquet."""
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def write_tables(tables: Mapping[str, pl.DataFrame], folder: Path) -> list[Path]:
    """Writes `<name>.csv` and `<name>.tex` for each table with rows, the row-level ones excepted.

    Returns:
        The paths written, in the order of `tables`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        if name in NOT_WRITTEN or table.is_empty():
            continue
        csv, tex = folder / f"{name}.csv", folder / f"{name}.tex"
        table.write_csv(csv)
        tex.write_text(latex(name, table), encoding="utf-8")
        written += [csv, tex]
    return written


def latex(name: str, table: pl.DataFrame) -> str:
    """A longtable (packages booktabs and longtable).

    Columns with one value in all rows stand in the caption instead; percentages have one decimal,
    other numbers three significant digits. Rows whose gate or canary failed are grey (package xcolor).
    """
    constant = [c for c in table.columns if table.height > 1 and table[c].n_unique() == 1]
    kept = [c for c in table.columns if c not in constant]
    shared = "; ".join(f"{escape(c)}: {_cell(c, table[c][0])}" for c in constant if table[c][0] is not None)
    alignment = "".join("r" if table.schema[c].is_numeric() else "l" for c in kept)
    lines = [
        rf"\begin{{longtable}}{{{alignment}}}",
        rf"\caption{{{escape(name)}. {shared}}}\\",
        r"\toprule",
        " & ".join(escape(c) for c in kept) + r" \\",
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
    ]
    for row in table.iter_rows(named=True):
        cells = [_cell(c, row[c]) for c in kept]
        if {row.get("gate"), row.get("verdict")} & {"failed", "not measurable"}:
            cells = [rf"\textcolor{{gray}}{{{cell}}}" for cell in cells]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\end{longtable}", ""])


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return text.translate(_ESCAPES)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "--"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{value:.1f}" if column.endswith(("_pp", "_pct")) else f"{value:.3g}"
        return f"${text}$" if text.startswith("-") else text
    return escape(str(value))

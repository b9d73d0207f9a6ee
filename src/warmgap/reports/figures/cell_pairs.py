"""Cells of two arms side by side: of a sweep's error rates, or of the published cells."""

from __future__ import annotations

import polars as pl

from warmgap.reports.figures.dumbbells import cell_rates
from warmgap.statistics.clusters import wilson
from warmgap.statistics.published import rebuilt_cells

COLUMNS = ("rate_pct", "conf_low_pct", "conf_high_pct")
_CELL = ("task", "framing", "belief")


def cell_pairs(error_rates: pl.DataFrame, arm: str, against: str, outcome: str) -> pl.DataFrame:
    """Rates of two arms in every cell that both have.

    Args:
        error_rates: rows of `schema.tables.ErrorRate` of one judge.
        arm: label of an arm.
        against: label of the arm that it is compared with.
        outcome: which outcome's rate.

    Returns:
        Columns model, task, framing, belief, gate; n, rate_pct, conf_low_pct and conf_high_pct of `arm`,
        and the same four with the ending `_against`. Of several seeds n is the sum and the others are means.
    """
    parts = []
    for model in error_rates["model"].unique().sort():
        rates = cell_rates(error_rates.filter(pl.col("model") == model), outcome)
        left, right = (rates.filter(pl.col("arm") == label) for label in (arm, against))
        both = left.join(
            right.select(*_CELL, "n", *COLUMNS),
            on=_CELL,
            how="inner",
            suffix="_against",
            maintain_order="left",
        )
        parts.append(both.with_columns(model=pl.lit(model)))
    order = ("model", *_CELL, "gate", "n", *COLUMNS, "n_against", *(f"{c}_against" for c in COLUMNS))
    return pl.concat(parts).select(order) if parts else pl.DataFrame(schema=order)


def published_pairs(method: str) -> pl.DataFrame:
    """The published cells of a method against the original models, in the same columns.

    Percentages as printed; intervals are Wilson's for the rebuilt number of pairs (95 %), which
    leave out that a cell with a belief asks each question twice.
    """
    cells = rebuilt_cells().filter(pl.col("method") == method)
    rows = []
    for r in cells.iter_rows(named=True):
        row = {k: r[k] for k in ("model", *_CELL)} | {"gate": "not needed", "n": r["n"], "n_against": r["n"]}
        for side, suffix in (("modified", ""), ("original", "_against")):
            low, high = wilson(r[f"{side}_error_pct"] / 100 * r["n"], r["n"], 0.95)
            rate = r[f"{side}_error_pct"]
            row |= dict(zip((f"{c}{suffix}" for c in COLUMNS), (rate, 100 * low, 100 * high), strict=True))
        rows.append(row)
    return pl.DataFrame(rows)

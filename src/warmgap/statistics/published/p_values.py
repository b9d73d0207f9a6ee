"""What the rounded p-values of a cell say about the exact one.

The p-value of McNemar's exact test and its Benjamini-Hochberg value are printed with four
decimals. The second is (p x tests / rank), made before rounding, so it often holds more digits.
"""

from __future__ import annotations

import polars as pl

FAMILY = ("method", "model", "task", "belief")
"""The paper corrects within these: 9 contexts a family, less the cells without a p-value."""
_HALF = 0.5e-4


def with_p_bounds(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells with `p_low` and `p_high`, between which each exact p-value lies.

    Cells stand in the given order. Without a p-value (the models never differed) both are 1.
    """
    numbered = cells.with_row_index("_row")
    parts = [_bounded(family) for family in numbered.partition_by(FAMILY)]
    return pl.concat(parts).sort("_row").drop("_row")


def _bounded(family: pl.DataFrame) -> pl.DataFrame:
    tested = family.filter(pl.col("mcnemar_p").is_not_null()).sort("mcnemar_p", "fdr_p")
    p, q = tested["mcnemar_p"].to_list(), tested["fdr_p"].to_list()
    keys = list(zip(p, q, strict=True))
    low, high = [], []
    for i, key in enumerate(keys):
        p_low, p_high = max(0.0, p[i] - _HALF), min(1.0, p[i] + _HALF)
        last = max(k for k, other in enumerate(keys) if other == key)
        # q is p x tests / rank only where the next q is larger: else it was carried down from there
        if last + 1 == len(keys) or q[last + 1] > q[i]:
            p_high = min(p_high, (q[i] + _HALF) * (last + 1) / len(keys))
            if keys.count(key) == 1 and q[i] < 1 - _HALF:
                p_low = max(p_low, (q[i] - _HALF) * (last + 1) / len(keys))
        low.append(p_low)
        high.append(p_high)
    rows = [*tested["_row"]]
    bounds = pl.DataFrame(
        {"_row": rows, "p_low": low, "p_high": high},
        schema={"_row": family.schema["_row"], "p_low": pl.Float64(), "p_high": pl.Float64()},
    )
    return family.join(bounds, on="_row", how="left").with_columns(pl.col("p_low", "p_high").fill_null(1.0))

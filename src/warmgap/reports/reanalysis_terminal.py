"""The reanalysis of the published cells in a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import polars as pl

from warmgap.reports.formats import estimate, interval
from warmgap.reports.reanalysis_text import texts

WIDTH = 80


def reanalysis_summary(tables: Mapping[str, pl.DataFrame]) -> str:
    """The headline and the effects over models, from the tables of `published.reanalyse`."""
    over_models = tables["over_models"].filter(pl.col("method") == "warm_sft")
    lines = [line for said in texts(tables)["headline"] for line in textwrap.wrap(said, WIDTH)]
    lines += [
        "",
        f"{'warm less original, pp':36}{'mean [95 % over models]':>25}{'one more model':>19}",
        "-" * WIDTH,
    ]
    for row in over_models.iter_rows(named=True):
        mean = estimate(row["estimate_pp"], row["conf_low_pp"], row["conf_high_pp"])
        more = interval(row["prediction_low_pp"], row["prediction_high_pp"])
        lines.append(f"{row['words'][:35]:36}{mean:>25}{more:>19}")
    return "\n".join(lines)

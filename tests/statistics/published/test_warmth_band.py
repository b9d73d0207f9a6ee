"""The band against the numbers as they were published."""

from __future__ import annotations

import polars as pl

from warmgap.statistics.published import read
from warmgap.statistics.published.warmth_band import warmth_band


def test_range_over_models_at_each_epoch() -> None:
    band = warmth_band()
    assert band["epoch"].to_list() == [0, 0.5, 1, 1.5, 2, 4, 6, 8, 10]
    rows = {r["epoch"]: r for r in band.iter_rows(named=True)}
    # read off the five series by eye
    assert (rows[0]["low"], rows[0]["high"], rows[0]["n_models"]) == (0.010950, 0.013186, 5)
    assert (rows[1]["low"], rows[1]["high"], rows[1]["n_models"]) == (0.014341, 0.029360, 5)
    assert (rows[4]["low"], rows[4]["high"], rows[4]["n_models"]) == (0.028490, 0.028943, 4)
    assert (rows[10]["low"], rows[10]["high"], rows[10]["n_models"]) == (0.027188, 0.032699, 5)


def test_every_published_mean_lies_in_the_band() -> None:
    both = read("sociot").join(warmth_band(), on="epoch")
    assert both.height == read("sociot").height == 41
    assert both.filter((pl.col("mean") < pl.col("low")) | (pl.col("mean") > pl.col("high"))).is_empty()

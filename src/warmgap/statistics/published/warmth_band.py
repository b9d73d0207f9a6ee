"""Published warmth by epoch of training, over the study's models."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from warmgap.statistics.published.files import read

UNIT = "nats_per_token"
"""Unit of the published scores: the released formulation, not normalised."""


@lru_cache
def warmth_band() -> pl.DataFrame:
    """Range over the study's models of mean warmth at each epoch (source data of Fig. 1a; sociot.csv).

    Returns:
        Columns epoch, low, high (nats per token) and n_models: not every model is reported at every
        epoch.
    """
    return (
        read("sociot")
        .group_by("epoch")
        .agg(low=pl.col("mean").min(), high=pl.col("mean").max(), n_models=pl.col("model").n_unique())
        .sort("epoch")
    )

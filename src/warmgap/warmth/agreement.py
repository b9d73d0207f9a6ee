"""Whether meters order the gold replies alike, over all tones and inside each.

Shape suffixes: N replies, P prompts, T tones, K distinct scores, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from warmgap.schema.tables import MeterAgreement, frame
from warmgap.statistics.bootstrap import bca_interval, question_weights

from .calibration import TONES

REPLICATES = 2000
_CONFIDENCE = 0.95

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


def spearman(x_N: Array, y_N: Array, weight_BN: Array) -> Array:
    """Spearman's correlation in each of B resamples (Spearman 1904): Pearson's, of midranks.

    Args:
        x_N: scores of the replies.
        y_N: scores of the same replies by another meter.
        weight_BN: how often a resample holds each reply; ones for the data themselves.

    Returns:
        Correlations of shape (B,), NaN where a side does not vary.
    """
    x_BN, y_BN = (_centred_ranks(values, weight_BN) for values in (x_N, y_N))
    together_B = (weight_BN * x_BN * y_BN).sum(axis=1)
    size_B = np.sqrt((weight_BN * x_BN**2).sum(axis=1) * (weight_BN * y_BN**2).sum(axis=1))
    return _ratio(together_B, size_B)


def within_tone(x_N: Array, y_N: Array, tone_N: Codes, weight_BN: Array) -> Array:
    """Mean over tones of the correlation inside a tone, as `spearman`; undefined ones do not count."""
    inside = [spearman(x_N[tone_N == t], y_N[tone_N == t], weight_BN[:, tone_N == t]) for t in set(tone_N)]
    found_TB = np.array(inside)
    known_TB = ~np.isnan(found_TB)
    total_B, n_B = np.where(known_TB, found_TB, 0.0).sum(axis=0), known_TB.sum(axis=0)
    return _ratio(total_B, n_B)


def _ratio(above_B: Array, below_B: Array) -> Array:
    ratio_B: Array = np.divide(above_B, below_B, out=np.full(below_B.shape, np.nan), where=below_B > 0)
    return ratio_B


def _centred_ranks(value_N: Array, weight_BN: Array) -> Array:
    """Midranks among the replies that each resample holds, less their mean there."""
    code_N = np.unique(value_N, return_inverse=True)[1]
    count_BK = weight_BN @ np.eye(code_N.max() + 1)[code_N]
    rank_BN = (count_BK.cumsum(axis=1) - (count_BK - 1) / 2)[:, code_N]
    n_B1 = np.maximum(weight_BN.sum(axis=1, keepdims=True), 1)  # 0 where a resample holds none of a tone
    mean_B1 = (weight_BN * rank_BN).sum(axis=1, keepdims=True) / n_B1
    return np.asarray(rank_BN - mean_B1)


def meter_agreement(warmth: pl.DataFrame, meters: Sequence[str], seed: int = 0) -> pl.DataFrame:
    """Spearman's correlation of each two meters over the gold replies, a row per pair.

    Intervals are 95 % by bootstrap over prompts, a prompt's replies drawn together (cluster
    bootstrap: Field and Welsh 2007, JRSS B 69:369-390; BCa: `statistics.bootstrap.bca_interval`).

    Args:
        warmth: rows of `schema.tables.Warmth`; those of source `gold` hold the tone in `arm_key`.
        meters: names in the order of the table.
        seed: of the bootstrap.

    Returns:
        Rows of `schema.tables.MeterAgreement`, empty with fewer than two meters.
    """
    gold = warmth.filter((pl.col("source") == "gold") & pl.col("arm_key").is_in(TONES))
    key = ["text_id", "arm_key"]
    replies = gold.select(key).unique().height
    rows = []
    for meter, other in combinations(meters, 2):
        both = _scores(gold, meter).join(_scores(gold, other), on=key, suffix="_other").sort(key)
        prompt_N = both["text_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
        tone_N = both["arm_key"].replace_strict(TONES, range(len(TONES)), return_dtype=pl.Int64).to_numpy()
        x_N, y_N = both["value"].to_numpy(), both["value_other"].to_numpy()
        overall, inside = _intervals(x_N, y_N, tone_N, prompt_N, seed)
        names = ("spearman", "low", "high", "within_tone", "within_tone_low", "within_tone_high")
        rows.append(
            {
                "meter": meter,
                "other": other,
                "n": both.height,
                "n_prompts": both["text_id"].n_unique(),
                "n_dropped": replies - both.height,
                **dict(zip(names, (*overall, *inside), strict=True)),
                "interval_method": "bootstrap_bca",
            }
        )
    return frame(MeterAgreement, rows)


_Estimate = tuple[float | None, float | None, float | None]


def _scores(gold: pl.DataFrame, meter: str) -> pl.DataFrame:
    found = gold.filter(pl.col("meter") == meter).drop_nulls("value")
    return found.group_by("text_id", "arm_key").agg(pl.col("value").mean())


def _intervals(x_N: Array, y_N: Array, tone_N: Codes, prompt_N: Codes, seed: int) -> list[_Estimate]:
    """Estimate and limits over all tones, and inside tones; both from the same resamples."""
    n = np.unique(prompt_N).size
    if n < 2:
        return [(None, None, None)] * 2
    stratum_P = np.zeros(n, dtype=np.int64)
    weight_BP = np.vstack([np.ones((1, n)), 1 - np.eye(n), question_weights(stratum_P, REPLICATES, seed)])
    weight_BN = weight_BP[:, prompt_N]
    out: list[_Estimate] = []
    for all_B in (spearman(x_N, y_N, weight_BN), within_tone(x_N, y_N, tone_N, weight_BN)):
        estimate, jackknife_P, replicate_B = float(all_B[0]), all_B[1 : n + 1], all_B[n + 1 :]
        if np.isnan(estimate) or np.isnan(jackknife_P).any():
            out.append((None if np.isnan(estimate) else estimate, None, None))
            continue
        limits = bca_interval(estimate, replicate_B, jackknife_P, stratum_P, _CONFIDENCE)
        out.append((estimate, None, None) if limits is None else (estimate, limits.low, limits.high))
    return out

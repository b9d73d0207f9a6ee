"""How often raters chose arm_a as the warmer reply, with intervals clustered by rater and by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import HumanWarmth, frame
from warmgap.statistics.clusters import FloatArray, IntArray, t_quantile, two_sided_p, wilson
from warmgap.warmth.human_study.ratings import Key, Rating

PUBLISHED_SHARE_PCT = (75.0, 71.5, 78.5)
"""Share of ratings for warm against original and its limits, 450 of 600 (Nature 652:1159, SI 1.4)."""


@dataclass(frozen=True)
class Share:
    """A share in [0, 1] with its uncertainty."""

    estimate: float
    std_error: float | None
    df: float | None
    low: float
    high: float
    p_half: float | None
    """Two-sided p-value against one half; None where the standard error is zero."""
    method: str


def clustered_share(value_N: FloatArray, rater_N: IntArray, pair_N: IntArray, confidence: float) -> Share:
    """Mean of 0 and 1 with an interval clustered by rater and by pair.

    With e = value - mean summed within clusters, V = G/(G-1) sum(e_G²) / N² for raters, for pairs, and
    for their intersections: V_rater + V_pair - V_both (Cameron, Gelbach and Miller 2011, JBES 29:238).
    Chance can make that smaller than V_rater or V_pair alone; the largest of the three is taken.
    Student's t with one less than the smaller number of clusters, limits cut at 0 and 1. Where no
    variation was seen, or only one rater or one pair, Wilson's interval with the smaller number of
    clusters as sample size, since ratings that share a cluster may count as one.

    Args:
        value_N: 1 where the choice counts, 0 elsewhere.
        rater_N: code of the rater of each rating.
        pair_N: code of the pair of each rating.
        confidence: coverage of the interval.
    """
    n = value_N.size
    share = float(value_N.mean())
    n_raters, n_pairs = np.unique(rater_N).size, np.unique(pair_N).size
    fewer = min(n_raters, n_pairs)
    if fewer > 1:
        residual_N = (value_N - share) / n
        by_rater, by_pair = _variance(residual_N, rater_N), _variance(residual_N, pair_N)
        both = _variance(residual_N, rater_N * (int(pair_N.max()) + 1) + pair_N)
        variance = max(by_rater + by_pair - both, by_rater, by_pair)
        if variance > 1e-18:
            error, df = math.sqrt(variance), float(fewer - 1)
            half = t_quantile(confidence, df) * error
            p_value = two_sided_p((share - 0.5) / error, df)
            low, high = max(0.0, share - half), min(1.0, share + half)
            return Share(share, error, df, low, high, p_value, "t_rater_pair")
    low, high = wilson(share * fewer, fewer, confidence)
    return Share(share, None, None, low, high, None, "wilson_clusters")


def plain_interval(events: int, n: int, confidence: float) -> tuple[float, float]:
    """p ± z sqrt(p(1-p)/n): the interval that the paper gives, as if every rating were independent."""
    share = events / n
    half = t_quantile(confidence, None) * math.sqrt(share * (1 - share) / n)
    return max(0.0, share - half), min(1.0, share + half)


def human_warmth(ratings: Sequence[Rating], key: Key, confidence: float = 0.95) -> pl.DataFrame:
    """Choice shares of a study over all models and, where there are several, of each.

    Args:
        ratings: every choice once.
        key: the study's key.
        confidence: coverage of the intervals.

    Returns:
        A frame of `schema.tables.HumanWarmth`.
    """
    models = sorted({key.pairs[r.pair_id].model for r in ratings})
    rows: list[dict[str, Any]] = []
    for model in [*(["all"] if len(models) > 1 else []), *models]:
        own = [r for r in ratings if model == "all" or key.pairs[r.pair_id].model == model]
        about = {"model": model, "arm_a": key.arm_a, "arm_b": key.arm_b}
        rows.append(about | _row("choice_share", "", own, [r.chose_a for r in own], 0, confidence))
        rows.append(about | _raters(own, confidence))
        meters = sorted({m for p in key.pairs.values() for m in p.prefers_a})
        for meter in meters:
            warmer = [key.pairs[r.pair_id].prefers_a.get(meter) for r in own]
            for measure, wanted in (("meter_agreement", (True, False)), ("meter_agreement_a", (True,))):
                said = [(r, w) for r, w in zip(own, warmer, strict=True) if w in wanted]
                if said:
                    agreed = [r.chose_a == w for r, w in said]
                    row = _row(measure, meter, [r for r, _ in said], agreed, warmer.count(None), confidence)
                    rows.append(about | row)
    return frame(HumanWarmth, rows)


def _row(
    measure: str,
    meter: str,
    ratings: Sequence[Rating],
    chosen: Sequence[bool],
    n_tied: int,
    confidence: float,
) -> dict[str, Any]:
    raters, rater_N = np.unique([r.rater for r in ratings], return_inverse=True)
    pairs, pair_N = np.unique([r.pair_id for r in ratings], return_inverse=True)
    share = clustered_share(np.array(chosen, dtype=np.float64), rater_N, pair_N, confidence)
    plain = plain_interval(sum(chosen), len(chosen), confidence)
    return _cells(share, len(ratings), raters.size, pairs.size) | {
        "measure": measure,
        "meter": meter,
        "plain_low_pct": 100 * plain[0],
        "plain_high_pct": 100 * plain[1],
        "n_tied": n_tied,
    }


def _raters(ratings: Sequence[Rating], confidence: float) -> dict[str, Any]:
    """Share of raters who chose arm_a more often than not; as often as arm_b is not more often."""
    balance: dict[str, int] = {}
    for r in ratings:
        balance[r.rater] = balance.get(r.rater, 0) + (1 if r.chose_a else -1)
    n, events = len(balance), sum(b > 0 for b in balance.values())
    low, high = wilson(events, n, confidence)
    plain = plain_interval(events, n, confidence)
    share = Share(events / n, None, None, low, high, None, "wilson_raters")
    return _cells(share, len(ratings), n, len({r.pair_id for r in ratings})) | {
        "measure": "raters_preferring",
        "meter": "",
        "plain_low_pct": 100 * plain[0],
        "plain_high_pct": 100 * plain[1],
        "n_tied": sum(b == 0 for b in balance.values()),
    }


def _cells(share: Share, n_ratings: int, n_raters: int, n_pairs: int) -> dict[str, Any]:
    return {
        "estimate_pct": 100 * share.estimate,
        "std_error_pp": None if share.std_error is None else 100 * share.std_error,
        "df": share.df,
        "conf_low_pct": 100 * share.low,
        "conf_high_pct": 100 * share.high,
        "interval_method": share.method,
        "p_value": share.p_half,
        "n_ratings": n_ratings,
        "n_raters": n_raters,
        "n_pairs": n_pairs,
    }


def _variance(residual_N: FloatArray, cluster_N: IntArray) -> float:
    _, code_N = np.unique(cluster_N, return_inverse=True)
    total_G = np.bincount(code_N, residual_N)
    return float(total_G.size / (total_G.size - 1) * np.sum(total_G**2))

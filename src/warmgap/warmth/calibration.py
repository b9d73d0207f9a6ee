"""Which warmth meter may gate: how well each one tells written warm from written cold replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special, stats

from warmgap.errors import UserError
from warmgap.schema.config import MeterConfig
from warmgap.schema.tables import MeterValidity, frame

from .meters import is_papers, meter_name, reference_name

TONES = ("warm", "neutral", "cold")
_Z95 = float(stats.norm.ppf(0.975))

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Auc:
    """Probability that a warm reply scores above a cold one, ties counting half; 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """The meter that gates, the one that must agree in sign, and why; None where there is none."""

    gating: str | None
    second: str | None
    reason: str


def auc(warm_N: Array, cold_N: Array) -> Auc:
    """AUC of warm against cold replies to the same N prompts.

    The variance is DeLong's, with the two placements of a prompt added before they are squared, so
    that replies to one prompt count as one cluster (Obuchowski 1997, Biometrics 53:567-578). The
    interval is made on the logit scale; it has no width where the AUC is 0 or 1.
    """
    above_NN = (warm_N[:, None] > cold_N) + 0.5 * (warm_N[:, None] == cold_N)
    estimate = float(above_NN.mean())
    if not 0 < estimate < 1 or len(warm_N) < 2:
        return Auc(estimate, estimate, estimate)
    placement_N = above_NN.mean(axis=1) + above_NN.mean(axis=0)
    error = float(placement_N.std(ddof=1)) / np.sqrt(len(warm_N))
    half = _Z95 * error / (estimate * (1 - estimate))
    low, high = special.expit(special.logit(estimate) + np.array([-half, half]))
    return Auc(estimate, float(low), float(high))


def gold_scores(warmth: pl.DataFrame, meter: str) -> pl.DataFrame:
    """One row per prompt whose three gold replies were all scored: text_id, warm, neutral, cold.

    Args:
        warmth: rows of `schema.tables.Warmth`; those of source `gold` hold the tone in `arm_key`.
        meter: the meter's name.

    Raises:
        UserError: the meter was given fewer than two such prompts, scored or not.
    """
    rows = warmth.filter((pl.col("source") == "gold") & (pl.col("meter") == meter))
    given = rows.group_by("text_id").agg(pl.col("arm_key").n_unique()).filter(arm_key=len(TONES)).height
    if given < 2:
        raise UserError(
            f"The warmth meter '{meter}' was given {given} prompts in all three gold tones; at least 2 are "
            "needed. Check that the corpus has validation rows with neutral, warm and cold."
        )
    wide = (
        rows.drop_nulls("value")
        .group_by("text_id")
        .agg(*(pl.col("value").filter(pl.col("arm_key") == tone).mean().alias(tone) for tone in TONES))
    )
    return wide.drop_nulls(TONES).sort("text_id")


def validity(warmth: pl.DataFrame, meters: Sequence[MeterConfig]) -> pl.DataFrame:
    """How well each meter tells gold warm from gold cold; one MeterValidity row per meter, role empty.

    A meter that scored fewer than two prompts in all tones tells nothing: its row has nulls.

    Args:
        warmth: rows of `schema.tables.Warmth` with the gold replies of every meter.
        meters: the meters in configured order; `rank` counts them from 1.

    Raises:
        UserError: as `gold_scores`.
    """
    rows = []
    for rank, config in enumerate(meters, start=1):
        name = meter_name(config)
        gold = gold_scores(warmth, name)
        rows.append(
            {
                "meter": name,
                "unit": warmth.filter(pl.col("meter") == name)["unit"][0],
                "reference": reference_name(config),
                "rank": rank,
                "n_gold": gold.height,
                **_told(gold),
                "role": "",
                "is_papers": is_papers(config),
            }
        )
    return frame(MeterValidity, rows)


def _told(gold: pl.DataFrame) -> dict[str, float | None]:
    if gold.height < 2:
        names = ("auc_warm_cold", "auc_low", "auc_high", *(f"gold_{tone}" for tone in TONES), "gold_lift")
        return dict.fromkeys(names)
    found = auc(gold["warm"].to_numpy(), gold["cold"].to_numpy())
    mean = {tone: float(gold[tone].to_numpy().mean()) for tone in TONES}
    return {
        "auc_warm_cold": found.estimate,
        "auc_low": found.low,
        "auc_high": found.high,
        **{f"gold_{tone}": mean[tone] for tone in TONES},
        "gold_lift": mean["warm"] - mean["neutral"],
    }


def choose(table: pl.DataFrame, min_auc: float) -> Choice:
    """The gating meter and the second one, from gold replies alone, before any arm is looked at.

    Gating: the first by rank whose AUC reaches `min_auc` and whose gold lift is positive. Second:
    the next by rank that does so too; failing that, the one with the highest AUC, if its interval
    lies above 0.5, since a meter that cannot tell the tones apart cannot contradict either.

    Args:
        table: rows of `schema.tables.MeterValidity`.
        min_auc: the least AUC of a gating meter.
    """
    ranked = table.drop_nulls("auc_warm_cold").sort("rank").rows(named=True)
    fit = [row["meter"] for row in ranked if row["auc_warm_cold"] >= min_auc and row["gold_lift"] > 0]
    if not ranked:
        return Choice(None, None, "no meter scored two prompts in all gold tones")
    if not fit:
        best = max(row["auc_warm_cold"] for row in ranked)
        return Choice(
            None, None, f"no meter tells warm from cold with AUC {min_auc:g}; the best has {best:.2f}"
        )
    reason = f"{fit[0]} is the first in order with AUC at least {min_auc:g}"
    if len(fit) > 1:
        return Choice(fit[0], fit[1], f"{reason}; {fit[1]} is the next")
    rest = [row for row in ranked if row["meter"] != fit[0] and row["auc_low"] > 0.5]
    if not rest:
        return Choice(fit[0], None, f"{reason}; no other meter tells warm from cold at all")
    second = max(rest, key=lambda row: float(row["auc_warm_cold"]))
    reason += f"; no other reaches it, and {second['meter']} is the best of the rest"
    return Choice(fit[0], str(second["meter"]), f"{reason} (AUC {second['auc_warm_cold']:.2f})")


def with_roles(table: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """The MeterValidity rows with role `gate`, `second` or `none`."""
    role = (
        pl.when(pl.col("meter") == pl.lit(choice.gating))
        .then(pl.lit("gate"))
        .when(pl.col("meter") == pl.lit(choice.second))
        .then(pl.lit("second"))
        .otherwise(pl.lit("none"))
    )
    return table.with_columns(role=role)

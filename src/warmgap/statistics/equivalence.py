"""Is a confirmatory effect too small to matter? Two one-sided tests."""

from __future__ import annotations

from typing import Any

import polars as pl
from scipy import special

from warmgap.schema.tables import Equivalence, frame
from warmgap.statistics.clusters import t_quantile
from warmgap.statistics.multiplicity import CONFIRMATORY, holm, tost
from warmgap.statistics.settings import AnalysisSettings

_KEPT = ("outcome", "judge", "model", "arm_a", "arm_b", "subset", "scope", "weights")


def equivalence(effects: pl.DataFrame, settings: AnalysisSettings) -> pl.DataFrame:
    """TOST of every paired effect of the confirmatory family at `settings.equivalence_pp`.

    With estimate e, standard error s and margin m, the tests are of e <= -m by (e + m) / s and of
    e >= m by (e - m) / s, by Student's t with the row's degrees of freedom (normal where it has
    none); both must reject (Schuirmann 1987). `p_value` is the larger p, `p_holm` Holm's over the
    family of one judge, and `equivalent` means p_holm below 1 - confidence. The interval has
    coverage 1 - 2 (1 - confidence), 90 % for 95 %; where it lies within the margin, the
    unadjusted test rejects.

    "Not different" and "equivalent" are different findings: an effect can be neither (too little
    data) or both (a real difference smaller than the margin).

    Args:
        effects: rows of `schema.tables.Effect` with families (`multiplicity.adjust`).
        settings: margin and confidence.

    Returns:
        A frame of `schema.tables.Equivalence`; effects without a standard error are absent.
    """
    family = effects.filter(
        (pl.col("family") == CONFIRMATORY)
        & (pl.col("estimator") == "paired")
        & pl.col("std_error_pp").is_not_null()
    )
    margin, alpha = settings.equivalence_pp, 1 - settings.confidence
    rows: list[dict[str, Any]] = []
    for part in family.partition_by("judge", maintain_order=True):
        found = [_row(row, margin, alpha) for row in part.iter_rows(named=True)]
        adjusted = holm([row["p_value"] for row in found])
        rows += [
            row | {"p_holm": float(p), "equivalent": bool(p < alpha)}
            for row, p in zip(found, adjusted, strict=True)
        ]
    return frame(Equivalence, rows)


def _row(effect: dict[str, Any], margin: float, alpha: float) -> dict[str, Any]:
    estimate, std_error, df = effect["estimate_pp"], effect["std_error_pp"], effect["df"]
    half = t_quantile(1 - 2 * alpha, df) * std_error

    def lower_tail(statistic: float) -> float:
        return float(special.ndtr(statistic) if df is None else special.stdtr(df, statistic))

    return {name: effect[name] for name in _KEPT} | {
        "estimate_pp": estimate,
        "std_error_pp": std_error,
        "df": df,
        "margin_pp": margin,
        "p_above_low": lower_tail(-(estimate + margin) / std_error),
        "p_below_high": lower_tail((estimate - margin) / std_error),
        "p_value": tost(estimate, std_error, df, margin),
        "conf_low_pp": estimate - half,
        "conf_high_pp": estimate + half,
        "gate": effect["gate"],
        "n": effect["n"],
    }

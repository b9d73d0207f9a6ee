"""Means at each dose and their slope, from values of the same prompts at every dose.

Shape suffixes: N prompts (by model and seed), D doses, G questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from warmgap.statistics.clusters import (
    ClusteredMean,
    FloatArray,
    IntArray,
    clustered_mean,
    weighted_mean,
    wilson,
)

_WEIGHTS = "equal_task"


@dataclass(frozen=True)
class Panel:
    """One value per prompt and dose.

    Values are 1, 0 or NaN where `binary`, else scores of any size; where `compared`, they are
    differences between two arms at the same dose. `low_ND` and `high_ND` are the least and the
    largest value that an answer without a verdict could have brought (the values, for scores).
    """

    binary: bool
    compared: bool
    dose_D: FloatArray
    value_ND: FloatArray
    low_ND: FloatArray
    high_ND: FloatArray
    model_N: IntArray
    cluster_N: IntArray
    task_G: IntArray
    n_models: int
    n_tasks: int

    @property
    def slope_D(self) -> FloatArray:
        """Weights of the doses in the least-squares slope: (d - mean d) / sum of squares."""
        centred_D = self.dose_D - self.dose_D.mean()
        weights: FloatArray = centred_D / (centred_D @ centred_D)
        return weights


def panel_rows(panel: Panel, unit: str, confidence: float) -> Iterator[dict[str, Any]]:
    """Columns term to p_value of `schema.tables.DoseResponse`, and the counts: doses, then the slope.

    A slope is the mean over prompts of sum_d k_d y_d with k from `Panel.slope_D`, which for prompts
    asked at every dose is the least-squares slope with an intercept per prompt. Tasks count alike
    and models do. Intervals are t, clustered by question (`clusters.clustered_mean`); those of a
    rate without variation are Wilson's. All rows use prompts with a value at every dose; bounds
    use all prompts.

    Args:
        panel: the values.
        unit: of the values.
        confidence: coverage of the intervals.
    """
    scale = 100.0 if panel.binary else 1.0
    level = "difference" if panel.compared else "level"
    slope_unit = f"{'pp' if unit == '%' else unit} per unit of dose"
    doses = [(level, float(dose), unit) for dose in panel.dose_D]
    weights = [*np.eye(panel.dose_D.size), panel.slope_D]
    for (term, dose, unit_of), weight_D in zip([*doses, ("slope", None, slope_unit)], weights, strict=True):
        found = _mean(panel, weight_D, confidence)
        if found is None:
            continue
        limits, method = (found.conf_low, found.conf_high), found.interval_method
        if panel.binary and term == "level" and method != "t_cluster":
            limits, method = _wilson(panel, found, confidence), "wilson"
        bounds = _bounds(panel, weight_D) if panel.binary else None
        yield {
            "term": term,
            "unit": unit_of,
            "dose": dose,
            "estimate": scale * found.estimate,
            "std_error": scale * found.std_error,
            "df": found.df if method == "t_cluster" else None,
            "conf_low": scale * limits[0],
            "conf_high": scale * limits[1],
            "interval_method": method,
            "bound_low": bounds and scale * bounds[0],
            "bound_high": bounds and scale * bounds[1],
            "p_value": None if term == "level" else found.p_value,
            "n_prompts": found.n,
            "n_doses": panel.dose_D.size,
            "n_models": found.n_models,
        }


def _mean(panel: Panel, weight_D: FloatArray, confidence: float) -> ClusteredMean | None:
    whole_N = ~np.isnan(panel.value_ND).any(axis=1)
    value_N = panel.value_ND[whole_N] @ weight_D
    size = float(np.abs(weight_D).sum())
    # Scores have no range; the fallback of clustered_mean for means without variation is not used.
    half_range = (size if panel.compared else size / 2) if panel.binary else 1.0
    # A rate lies in 0 to 1 and not around zero, as its slope does.
    centre = 0.5 * float(weight_D.sum()) if panel.binary and not panel.compared else 0.0
    found = clustered_mean(
        value_N - centre,
        panel.model_N[whole_N],
        panel.cluster_N[whole_N],
        panel.task_G,
        n_models=panel.n_models,
        n_tasks=panel.n_tasks,
        weights=_WEIGHTS,
        confidence=confidence,
        half_range=half_range,
    )
    if found is None or (not panel.binary and found.interval_method != "t_cluster"):
        return None
    return ClusteredMean(
        **vars(found)
        | {
            "estimate": found.estimate + centre,
            "conf_low": found.conf_low + centre,
            "conf_high": found.conf_high + centre,
        }
    )


def _wilson(panel: Panel, found: ClusteredMean, confidence: float) -> tuple[float, float]:
    whole_N = ~np.isnan(panel.value_ND).any(axis=1)
    n_questions = np.unique(panel.cluster_N[whole_N]).size
    return wilson(found.estimate * n_questions, n_questions, confidence)


def _bounds(panel: Panel, weight_D: FloatArray) -> tuple[float, float]:
    up_D, down_D = np.maximum(weight_D, 0), np.minimum(weight_D, 0)
    stratum_N = panel.model_N * panel.n_tasks + panel.task_G[panel.cluster_N]
    low, high = (
        weighted_mean(value_N, stratum_N, panel.n_models * panel.n_tasks, panel.n_tasks, _WEIGHTS)
        for value_N in (
            panel.low_ND @ up_D + panel.high_ND @ down_D,
            panel.high_ND @ up_D + panel.low_ND @ down_D,
        )
    )
    return low, high

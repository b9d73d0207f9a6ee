"""Standard deviations and correlations of random effects, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from warmgap.statistics.clusters import FloatArray, t_quantile
from warmgap.statistics.mixed.covariance import SMALLEST_SD, Block, covariance, covariance_derivatives
from warmgap.statistics.mixed.design import Design

ZERO_SD = 10 * SMALLEST_SD
"""Standard deviations up to this one count as zero, as a movement of the logit."""


@dataclass(frozen=True)
class Component:
    """The random effects of one grouping factor, on the logit scale.

    `sd_low_B` and `sd_high_B` come from the delta method on the log scale; where the sd is zero
    they are NaN (`profile.profile_interval` gives an upper limit there). Correlations that are no
    parameter (`||`) or have a zero sd are NaN.
    """

    group: str
    n_levels: int
    columns: tuple[str, ...]
    covariance_BB: FloatArray
    sd_B: FloatArray
    sd_low_B: FloatArray
    sd_high_B: FloatArray
    correlation_BB: FloatArray
    correlation_low_BB: FloatArray
    correlation_high_BB: FloatArray

    def frame(self) -> pl.DataFrame:
        """Group, kind (sd or correlation), column, other column, estimate, conf_low, conf_high, n_levels."""
        rows = []
        for i, name in enumerate(self.columns):
            rows.append(
                (self.group, "sd", name, "", self.sd_B[i], self.sd_low_B[i], self.sd_high_B[i], self.n_levels)
            )
            for j in range(i):
                found = (
                    m[i, j] for m in (self.correlation_BB, self.correlation_low_BB, self.correlation_high_BB)
                )
                rows.append((self.group, "correlation", name, self.columns[j], *found, self.n_levels))
        names = ("group", "kind", "column", "other", "estimate", "conf_low", "conf_high", "n_levels")
        frame = pl.DataFrame(rows, schema=list(names), orient="row")
        return frame.filter((pl.col("kind") == "sd") | pl.col("estimate").is_not_nan())


def components(
    design: Design, theta_H: FloatArray, cov_HH: FloatArray, confidence: float = 0.95
) -> tuple[Component, ...]:
    """The components of every block, in the order of the formula's groups by size.

    Intervals: log sd and Fisher's z of the correlation, normal, by the delta method.
    """
    out, offset = [], 0
    for block in design.blocks:
        here = slice(offset, offset + len(block.free))
        out.append(_component(block, theta_H[here], cov_HH[here, here], confidence))
        offset += len(block.free)
    return tuple(out)


def _component(block: Block, theta_H: FloatArray, cov_HH: FloatArray, confidence: float) -> Component:
    g_BB = covariance(block, theta_H)
    g_HBB, _ = covariance_derivatives(block, theta_H)
    sd_B = np.sqrt(np.diag(g_BB))
    zero_B = sd_B * np.array(block.largest_B) <= ZERO_SD
    z = t_quantile(confidence, None)
    size = len(block.columns)
    correlation, low, high = (np.full((size, size), np.nan) for _ in range(3))
    sd_low_B, sd_high_B = np.full(size, np.nan), np.full(size, np.nan)
    variances = np.diag(g_BB)
    for i in range(size):
        if zero_B[i]:
            continue
        log_slope_H = g_HBB[:, i, i] / (2 * variances[i])
        spread = z * math.sqrt(max(float(log_slope_H @ cov_HH @ log_slope_H), 0.0))
        sd_low_B[i], sd_high_B[i] = sd_B[i] * math.exp(-spread), sd_B[i] * math.exp(min(spread, 700.0))
        for j in range(i):
            if zero_B[j] or (i, j) not in block.free:
                continue
            r = float(np.clip(g_BB[i, j] / (sd_B[i] * sd_B[j]), -1.0, 1.0))
            slope_H = g_HBB[:, i, j] / (sd_B[i] * sd_B[j]) - r / 2 * (
                g_HBB[:, i, i] / variances[i] + g_HBB[:, j, j] / variances[j]
            )
            error = math.sqrt(max(float(slope_H @ cov_HH @ slope_H), 0.0))
            correlation[i, j] = correlation[j, i] = r
            if 1 - r * r > 1e-8:
                half = z * error / (1 - r * r)
                low[i, j] = low[j, i] = math.tanh(math.atanh(r) - half)
                high[i, j] = high[j, i] = math.tanh(math.atanh(r) + half)
    return Component(
        block.group, len(block.levels), block.columns, g_BB, sd_B, sd_low_B, sd_high_B, correlation, low, high
    )

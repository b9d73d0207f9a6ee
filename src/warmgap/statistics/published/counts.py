"""Whole-number counts behind the published cells.

A cell prints two percentages with two decimals, over the same pairs of answers, and the p-value of
McNemar's exact test. Few tables of whole numbers fit all three; often one. Letters: n pairs, b
pairs in which only the original model was wrong, c pairs in which only the modified one was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from scipy import special

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.published.cells import published_cells
from warmgap.statistics.published.p_values import with_p_bounds

PROMPTS = {
    ("triviaqa", "none"): 500,
    ("truthfulqa", "none"): 500,
    ("medqa", "none"): 500,
    ("disinfo", "none"): 125,
    ("triviaqa", "incorrect+denies"): 1000,
    ("truthfulqa", "incorrect+denies"): 1000,
    ("medqa", "incorrect+denies"): 1000,
    ("disinfo", "incorrect+denies"): 174,
}
"""Prompts per cell before any is lost (paper, Methods; public evaluation prompts). Two templates
hold a belief; in Disinfo at most 49 of the 125 questions have the second."""
LEAST_SHARE = 0.6
"""Cells with fewer of their prompts left are not considered."""
CLOSE = 1.25
"""A standard error counts as bounded where its largest value is at most this multiple of its least."""
_ROUNDING_PCT = 0.005 + 1e-9
_ROUNDING_P = 1e-9


@dataclass(frozen=True)
class Fit:
    """A table of counts that fits a cell, with the range of b that the p-value allows."""

    n: int
    errors_original: int
    errors_modified: int
    b_low: int
    b_high: int

    def std_error_pp(self, b: int) -> float:
        """Standard error of the paired difference, 100 sqrt(b + c - (c - b)^2 / n) / n."""
        gap = self.errors_modified - self.errors_original
        return float(100 * np.sqrt(2 * b + gap - gap * gap / self.n) / self.n)


def fits(
    original_pct: float, modified_pct: float, p_low: float, p_high: float, prompts: int, tested: bool = True
) -> list[Fit]:
    """Every table of counts that prints as this cell, by rising n.

    Args:
        original_pct: errors of the original model, rounded to two decimals.
        modified_pct: errors of the modified model, likewise.
        p_low: least p-value of McNemar's exact test.
        p_high: largest.
        prompts: pairs before any was lost.
        tested: False where the models never differed, so that there is no p-value.
    """
    n_T = np.arange(int(np.ceil(LEAST_SHARE * prompts)), prompts + 1)
    original_T, modified_T = (
        np.rint(pct * n_T / 100).astype(np.int64) for pct in (original_pct, modified_pct)
    )
    fitting_T = (np.abs(100 * original_T / n_T - original_pct) <= _ROUNDING_PCT) & (
        np.abs(100 * modified_T / n_T - modified_pct) <= _ROUNDING_PCT
    )
    found = []
    for n, original, modified in zip(
        n_T[fitting_T].tolist(), original_T[fitting_T].tolist(), modified_T[fitting_T].tolist(), strict=True
    ):
        gap = modified - original
        if not tested:
            found += [Fit(n, original, modified, 0, 0)] if gap == 0 else []
            continue
        b = np.arange(max(0, -gap), min(original, n - modified) + 1)
        b = b[2 * b + gap > 0]
        p = mcnemar_exact(b, b + gap)
        b = b[(p >= p_low - _ROUNDING_P) & (p <= p_high + _ROUNDING_P)]
        if b.size:
            found.append(Fit(n, original, modified, int(b.min()), int(b.max())))
    return found


def mcnemar_exact(b: IntArray, c: IntArray) -> FloatArray:
    """Two-sided exact p-value of McNemar's test: twice the smaller binomial tail, at most 1."""
    tail: FloatArray = special.bdtr(np.minimum(b, c), b + c, 0.5)
    return np.minimum(1.0, 2 * tail)


@lru_cache
def rebuilt_cells() -> pl.DataFrame:
    """The published cells with their counts.

    Where several tables fit, the one with the most pairs is taken: of the cells in which the
    percentages alone leave several and the p-value then decides, it was the right one in 87 of 91.

    Returns:
        The columns of `cells.published_cells` and: p_low, p_high; n_prompts; n (pairs),
        errors_original, errors_modified; n_exact (one n fits); only_original_low and
        only_original_high (range of b over all fits); pairs (`recovered`: one table fits;
        `bounded`: the standard error of the difference is known within a factor of 1.25;
        `unknown`: it is not); std_error_low_pp and std_error_high_pp (its range over all fits);
        std_error_independent_pp (if the two arms' answers were independent, as in the paper's
        regressions); std_error_pp, the one to use: exact where recovered, the upper end where
        bounded, the lesser of upper end and independent where unknown. Of 399 recovered errors 388
        are smaller than the independent one, the others at most 3 % larger. Where no pair differed
        it is that of Bonett and Price (2012).
    """
    cells = with_p_bounds(published_cells())
    rows = []
    for cell in cells.iter_rows(named=True):
        prompts = PROMPTS[cell["task"], cell["belief"]]
        found = fits(
            cell["original_error_pct"],
            cell["modified_error_pct"],
            cell["p_low"],
            cell["p_high"],
            prompts,
            cell["mcnemar_p"] is not None,
        )
        rows.append(_row(found, prompts))
    return pl.concat([cells, pl.DataFrame(rows)], how="horizontal")


def _row(found: list[Fit], prompts: int) -> dict[str, object]:
    taken = found[-1]
    low = min(f.std_error_pp(f.b_low) for f in found)
    high = max(f.std_error_pp(f.b_high) for f in found)
    shares = [errors / taken.n for errors in (taken.errors_original, taken.errors_modified)]
    independent = float(100 * np.sqrt(sum(s * (1 - s) for s in shares) / taken.n))
    pairs, std_error = "unknown", min(high, independent)
    if len(found) == 1 and taken.b_low == taken.b_high:
        pairs, std_error = "recovered", high
    elif high <= CLOSE * low:
        pairs, std_error = "bounded", high
    if high == 0:
        std_error = 100 * np.sqrt(2) / (taken.n + 2)
    return {
        "n_prompts": prompts,
        "n": taken.n,
        "errors_original": taken.errors_original,
        "errors_modified": taken.errors_modified,
        "n_exact": len(found) == 1,
        "only_original_low": min(f.b_low for f in found),
        "only_original_high": max(f.b_high for f in found),
        "pairs": pairs,
        "std_error_low_pp": low,
        "std_error_high_pp": high,
        "std_error_independent_pp": independent,
        "std_error_pp": float(std_error),
    }

"""How well a judge agrees with labels: kappa, its interval, sensitivity and specificity by group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm


@dataclass(frozen=True)
class Proportion:
    """A share of `n` with its Wilson interval; not a number where n is 0."""

    hits: int
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """Sensitivity over the positives of a group, specificity over its negatives."""

    sensitivity: Proportion
    specificity: Proportion


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two sequences of labels.

    (p_o - p_e) / (1 - p_e), p_e from the product of the margins (Cohen 1960, formula 1); 1 where both
    give one and the same label throughout.

    Raises:
        ValueError: no labels, or different lengths.
    """
    n = len(first)
    if n == 0 or n != len(second):
        raise ValueError(f"kappa needs two label sequences of equal length, found {n} and {len(second)}")
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    left, right = Counter(first), Counter(second)
    expected = sum(left[label] * right[label] for label in left) / n**2
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def cluster_bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    clusters: Sequence[Hashable],
    draws: int,
    seed: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic, resampling whole clusters with replacement.

    Args:
        statistic: takes the row numbers of one resample.
        clusters: the cluster of each row.
        draws: resamples.
        seed: of the generator.
        level: coverage.
    """
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, cluster in enumerate(clusters):
        rows[cluster].append(row)
    groups = [np.asarray(r, dtype=np.intp) for r in rows.values()]
    rng = np.random.default_rng(seed)
    values = np.empty(draws)
    for draw in range(draws):
        picked = rng.integers(0, len(groups), size=len(groups))
        values[draw] = statistic(np.concatenate([groups[i] for i in picked]))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable],
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of Cohen's kappa, resampling clusters."""
    return cluster_bootstrap(
        lambda rows: cohen_kappa([first[i] for i in rows], [second[i] for i in rows]), clusters, draws, seed
    )


def wilson(hits: int, n: int, level: float = 0.95) -> Proportion:
    """A proportion with Wilson's score interval (Wilson 1927)."""
    if n == 0:
        return Proportion(0, 0, float("nan"), float("nan"), float("nan"))
    z = float(norm.ppf((1 + level) / 2))
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return Proportion(hits, n, share, max(0.0, centre - half), min(1.0, centre + half))


def accuracy(truth: Sequence[bool], judged: Sequence[bool], groups: Sequence[str]) -> dict[str, Accuracy]:
    """Sensitivity and specificity of each group, with Wilson intervals, by name of the group."""
    counts: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for is_positive, says_positive, group in zip(truth, judged, groups, strict=True):
        counts[group][bool(is_positive), bool(says_positive)] += 1
    return {
        group: Accuracy(
            sensitivity=wilson(c[True, True], c[True, True] + c[True, False]),
            specificity=wilson(c[False, False], c[False, False] + c[False, True]),
        )
        for group, c in sorted(counts.items())
    }


def largest_difference(proportions: Sequence[Proportion], at_least: int = 1) -> float:
    """Largest difference in percentage points between two shares that rest on `at_least` rows each.

    Not a number where fewer than two do.
    """
    shares = [p.share for p in proportions if p.n >= at_least]
    return 100 * (max(shares) - min(shares)) if len(shares) > 1 else float("nan")

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from warmgap.judging.validity import (
    accuracy,
    cluster_bootstrap,
    cohen_kappa,
    kappa_interval,
    largest_difference,
    wilson,
)

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60)


@given(PAIRS)
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[int, int]]):
    table = np.zeros((4, 4))
    for a, b in pairs:
        table[a, b] += 1
    ours = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
    if len({x for pair in pairs for x in pair}) > 1:
        assert ours == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-12)
    else:
        assert ours == 1


def test_kappa_by_hand():
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second) == pytest.approx((0.7 - 0.5) / 0.5)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1], [1, 2])])
def test_kappa_needs_paired_labels(first: list[int], second: list[int]):
    with pytest.raises(ValueError, match="equal length"):
        cohen_kappa(first, second)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_is_that_of_statsmodels(hits: int, more: int):
    n = hits + more
    low, high = proportion_confint(hits, n, method="wilson")
    ours = wilson(hits, n)
    assert (ours.share, ours.low, ours.high) == pytest.approx((hits / n, low, high), abs=1e-9)


def test_no_rows_have_no_share():
    assert math.isnan(wilson(0, 0).share)


def test_bootstrap_of_a_mean_has_the_width_of_the_clustered_standard_error():
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(200), 5)
    values = np.repeat(rng.normal(size=200), 5) + rng.normal(size=1000)
    low, high = cluster_bootstrap(lambda rows: float(values[rows].mean()), list(clusters), 2000, seed=1)
    means = values.reshape(200, 5).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(200)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.08)
    assert low < values.mean() < high


def test_the_interval_of_kappa_is_the_same_for_the_same_seed():
    first = [i % 2 for i in range(60)]
    second = [i % 2 if i % 7 else 1 - i % 2 for i in range(60)]
    clusters = [i // 4 for i in range(60)]
    one, two = (kappa_interval(first, second, clusters, 200, seed=3) for _ in range(2))
    assert one == two
    assert one[0] < cohen_kappa(first, second) < one[1]


def test_accuracy_counts_by_group():
    truth = [True, True, True, False, False, True]
    judged = [True, False, True, False, True, True]
    found = accuracy(truth, judged, ["a"] * 5 + ["b"])
    assert (found["a"].sensitivity.hits, found["a"].sensitivity.n) == (2, 3)
    assert (found["a"].specificity.hits, found["a"].specificity.n) == (1, 2)
    assert (found["b"].sensitivity.share, found["b"].specificity.n) == (1, 0)


def test_difference_leaves_small_groups_out():
    shares = [wilson(8, 10), wilson(9, 10), wilson(0, 3)]
    assert largest_difference(shares, at_least=8) == pytest.approx(10)
    assert math.isnan(largest_difference(shares[:1], at_least=8))

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from warmgap.statistics.clusters import clustered_mean, t_quantile, two_sided_p, wilson


def _mean(value: Any, cluster: Any, task_of_cluster: Any, weights: str = "equal_task", **kw: Any) -> Any:
    task_of_cluster = np.asarray(task_of_cluster)
    known: dict[str, Any] = {
        "n_models": 1,
        "n_tasks": int(task_of_cluster.max()) + 1,
        "weights": weights,
        "confidence": 0.95,
        "half_range": 1.0,
    } | kw
    model = known.pop("model", np.zeros(len(value), dtype=np.int64))
    return clustered_mean(np.asarray(value, float), model, np.asarray(cluster), task_of_cluster, **known)


def _data(n_clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), rng.integers(1, 6, n_clusters))
    shift = rng.normal(size=n_clusters)[cluster]
    return np.clip(np.round(shift + rng.normal(size=cluster.size)), -1, 1), cluster


def test_one_task_equals_statsmodels_cluster() -> None:
    value, cluster = _data(40, 1)
    ref = sm.OLS(value, np.ones(value.size)).fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
    got = _mean(value, cluster, np.zeros(40, dtype=int))
    assert got.estimate == pytest.approx(ref.params[0])
    assert got.std_error == pytest.approx(ref.bse[0])
    assert got.p_value == pytest.approx(ref.pvalues[0])
    assert (got.conf_low, got.conf_high) == pytest.approx(tuple(ref.conf_int()[0]))
    assert got.df == 39


def test_tasks_are_strata_with_equal_weight() -> None:
    value, cluster = _data(50, 2)
    task = np.array([0] * 15 + [1] * 35)
    parts = []
    for t in (0, 1):
        of_task = task[cluster] == t
        ols = sm.OLS(value[of_task], np.ones(of_task.sum()))
        fit = ols.fit(cov_type="cluster", cov_kwds={"groups": cluster[of_task]})
        parts.append((fit.params[0], fit.bse[0], of_task.mean()))
    got = _mean(value, cluster, task)
    assert got.estimate == pytest.approx(np.mean([p[0] for p in parts]))
    assert got.std_error == pytest.approx(0.5 * math.hypot(parts[0][1], parts[1][1]))
    assert got.df == 48
    rows = _mean(value, cluster, task, weights="rows")
    assert rows.estimate == pytest.approx(value.mean())
    assert rows.std_error == pytest.approx(math.hypot(*(share * se for _, se, share in parts)))


def test_models_share_questions() -> None:
    value, cluster = _data(30, 3)
    twice = np.concatenate([value, value])
    model = np.repeat([0, 1], value.size)
    one = _mean(value, cluster, np.zeros(30, dtype=int))
    two = _mean(twice, np.concatenate([cluster, cluster]), np.zeros(30, dtype=int), model=model, n_models=2)
    assert two.std_error == pytest.approx(one.std_error)  # a copy of a model adds no information
    assert two.n_models == 2


def test_no_variation_gives_bonett_price() -> None:
    n = 25
    got = _mean(np.zeros(n), np.arange(n), np.zeros(n, dtype=int))
    share = 1 / (n + 2)
    half = stats.norm.ppf(0.975) * math.sqrt(2 * share / (n + 2))
    assert got.interval_method == "bonett_price"
    assert (got.estimate, got.p_value) == (0.0, 1.0)
    assert (got.conf_low, got.conf_high) == pytest.approx((-half, half))
    always = _mean(np.ones(n), np.arange(n), np.zeros(n, dtype=int))
    assert always.estimate == 1.0
    assert always.conf_low == pytest.approx(
        n / (n + 2) - stats.norm.ppf(0.975) * math.sqrt(((n + 2) / (n + 2) - (n / (n + 2)) ** 2) / (n + 2))
    )


def test_one_question_has_an_interval_and_none_has_nothing() -> None:
    assert _mean([1.0], [0], [0]).interval_method == "bonett_price"
    assert _mean([], np.zeros(0, dtype=int), [0]) is None


@given(st.integers(0, 40), st.integers(1, 60))
def test_wilson_equals_statsmodels(events: int, extra: int) -> None:
    n = events + extra
    assert wilson(events, n, 0.9) == pytest.approx(
        proportion_confint(events, n, alpha=0.1, method="wilson"), abs=1e-12
    )


def test_quantiles_equal_scipy() -> None:
    assert t_quantile(0.95, 7.0) == pytest.approx(stats.t.ppf(0.975, 7))
    assert t_quantile(0.9, None) == pytest.approx(stats.norm.ppf(0.95))
    assert two_sided_p(-2.3, 11.0) == pytest.approx(2 * stats.t.sf(2.3, 11))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_rows_does_not_matter(seed: int) -> None:
    value, cluster = _data(12, seed)
    order = np.random.default_rng(seed).permutation(value.size)
    task = np.arange(12) % 3
    first, second = _mean(value, cluster, task), _mean(value[order], cluster[order], task)
    assert first.estimate == pytest.approx(second.estimate)
    assert first.std_error == pytest.approx(second.std_error)
    assert -1 - 1e-9 <= first.estimate <= 1 + 1e-9


def test_coverage_with_heterogeneous_questions() -> None:
    rng = np.random.default_rng(4)
    truth, hits = 0.08, 0
    for _ in range(400):
        shift = np.repeat(rng.normal(0, 0.15, 60), 4)
        a = rng.random(240) < 0.4 + truth + shift
        b = rng.random(240) < 0.4
        got = _mean(a.astype(float) - b, np.repeat(np.arange(60), 4), np.arange(60) % 2)
        hits += got.conf_low <= truth <= got.conf_high
    assert 0.92 <= hits / 400 <= 0.98

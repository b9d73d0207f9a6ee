"""Scopes against transcribed formulas; their coverage is measured in benchmarks/coverage.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from warmgap.statistics.clusters import clustered_mean
from warmgap.statistics.scopes import Sample, mean_in_scope, units_of


def _sample(seed: int = 0, models: int = 5, seeds: int = 3, questions: int = 24) -> Sample:
    rng = np.random.default_rng(seed)
    model, train, question, framing = (a.ravel() for a in np.indices((models, seeds, questions, 2)))
    statement = framing * 6 + rng.integers(6, size=(questions, 2))[question, framing]
    question_b, statement_b = rng.normal(size=questions), rng.normal(size=12)
    unit_b = rng.normal(size=(models, seeds))
    mean = 0.2 + 0.3 * question_b[question] + 0.2 * statement_b[statement] + 0.2 * unit_b[model, train]
    value = np.clip(np.round(mean + 0.5 * rng.normal(size=model.size)), -1, 1)
    return Sample(value, model * seeds + train, model, question % 4, question, (statement,))


def _cluster_sum(residual: np.ndarray, unit: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """G/(G-1) sum over clusters of the outer product of residual sums, unit by unit."""
    names = np.unique(cluster)
    total = np.zeros((unit.max() + 1, unit.max() + 1))
    for name in names:
        sums = np.array([residual[(cluster == name) & (unit == u)].sum() for u in range(unit.max() + 1)])
        total += np.outer(sums, sums)
    return names.size / (names.size - 1) * total


def test_covariance_of_units_adds_statements_to_questions() -> None:
    s = _sample()
    residual = np.empty_like(s.value_N)
    effects = []
    for unit in range(15):
        of_unit = s.unit_N == unit
        means = []
        for task in range(4):
            here = of_unit & (s.task_N == task)
            means.append(s.value_N[here].mean())
            residual[here] = (s.value_N[here] - means[-1]) / (here.sum() * 4)
        effects.append(np.mean(means))
    both = s.question_N * 100 + s.statements[0]
    expected = _cluster_sum(residual, s.unit_N, s.question_N)
    extra = _cluster_sum(residual, s.unit_N, s.statements[0]) - _cluster_sum(residual, s.unit_N, both)
    assert extra.sum() > 0
    found = units_of(s)
    assert found.effect_U == pytest.approx(np.array(effects))
    assert found.cov_UU == pytest.approx(expected + extra)
    assert found.cluster_df == 11
    alone = units_of(replace(s, statements=()))
    assert alone.cov_UU == pytest.approx(expected)
    assert alone.cluster_df == 20


def test_new_models_adds_what_units_share_to_the_spread_of_models() -> None:
    s = _sample(seeds=1)
    units = units_of(s)
    between = units.effect_U.var(ddof=1) / 5
    shared = (units.cov_UU.sum() - np.trace(units.cov_UU)) / 20
    found = mean_in_scope(s, "new_models", 0.95)
    assert found is not None
    assert found.estimate == pytest.approx(units.effect_U.mean())
    assert found.std_error == pytest.approx(np.sqrt(between + shared))
    df = (between + shared) ** 2 / (between**2 / 4 + shared**2 / units.cluster_df)
    assert found.df == pytest.approx(df)
    half = stats.t.ppf(0.975, df) * found.std_error
    assert (found.conf_low, found.conf_high) == pytest.approx((found.estimate - half, found.estimate + half))
    assert found.interval_method == "t_satterthwaite_new_models"


def test_new_models_averages_seeds_within_models() -> None:
    s = _sample()
    units = units_of(s)
    means = units.effect_U.reshape(5, 3).mean(axis=1)
    cov = np.array(
        [[units.cov_UU[3 * i : 3 * i + 3, 3 * j : 3 * j + 3].mean() for j in range(5)] for i in range(5)]
    )
    shared = max((cov.sum() - np.trace(cov)) / 20, 0)
    found = mean_in_scope(s, "new_models", 0.95)
    assert found is not None
    assert found.std_error == pytest.approx(np.sqrt(means.var(ddof=1) / 5 + shared))


def test_new_adapters_uses_the_spread_of_seeds_within_models() -> None:
    s = _sample(models=1)
    units = units_of(s)
    between = units.effect_U.var(ddof=1) / 3
    shared = max((units.cov_UU.sum() - np.trace(units.cov_UU)) / 6, 0.0)
    found = mean_in_scope(s, "new_adapters", 0.95)
    assert found is not None
    assert found.std_error == pytest.approx(np.sqrt(between + shared))

    several = _sample()
    units = units_of(several)
    blocks = units.effect_U.reshape(5, 3)
    between = blocks.var(axis=1, ddof=1).sum() / 3 / 25
    off = units.cov_UU.copy()
    np.fill_diagonal(off, 0)
    same = np.kron(np.eye(5), np.ones((3, 3)))
    shared = (off * same).sum() / 6 / 25 + (units.cov_UU * (1 - same)).sum() / 225
    found = mean_in_scope(several, "new_adapters", 0.95)
    assert found is not None
    assert found.std_error == pytest.approx(np.sqrt(between + max(shared, 0)))


def test_these_adapters_without_statements_is_the_clustered_mean() -> None:
    s = replace(_sample(seeds=1), statements=())
    found = mean_in_scope(s, "these_adapters", 0.95)
    known = clustered_mean(
        s.value_N,
        s.model_N,
        s.question_N,
        np.arange(24) % 4,
        n_models=5,
        n_tasks=4,
        weights="equal_task",
        confidence=0.95,
        half_range=1.0,
    )
    assert found is not None and known is not None
    assert found.estimate == pytest.approx(known.estimate)
    # G/(G-1) over all questions here, within each task there.
    assert found.std_error == pytest.approx(known.std_error * np.sqrt((24 / 23) / (6 / 5)), rel=1e-9)


def test_scopes_that_need_more_units_are_refused() -> None:
    assert mean_in_scope(_sample(seeds=2), "new_adapters", 0.95) is None
    assert mean_in_scope(_sample(models=2), "new_models", 0.95) is None


def test_prompts_without_statement_are_their_own_question() -> None:
    s = _sample()
    none = replace(s, statements=(np.full_like(s.question_N, -1),))
    assert units_of(none).cov_UU == pytest.approx(units_of(replace(s, statements=())).cov_UU)


def test_the_room_stands_alone() -> None:
    code = (
        "import sys\n"
        "from warmgap.statistics import AnalysisSettings, analyse, fit_glmm, marginal_effect\n"
        "heavy = ('torch', 'transformers', 'lightning', 'hydra', 'matplotlib')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr

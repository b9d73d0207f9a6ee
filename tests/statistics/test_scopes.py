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
    return Sample(value, model * seeds + train, model, question % 4, framing, question, (statement,))


def _cluster_sum(
    residual: np.ndarray, unit: np.ndarray, cluster: np.ndarray, stratum: np.ndarray
) -> np.ndarray:
    """Sum over strata of G/(G-1) times the sum of outer products of clusters' residual sums by unit."""
    total = np.zeros((unit.max() + 1, unit.max() + 1))
    for level in np.unique(stratum):
        names = np.unique(cluster[stratum == level])
        for name in names:
            sums = np.array([residual[(cluster == name) & (unit == u)].sum() for u in range(unit.max() + 1)])
            total += names.size / (names.size - 1) * np.outer(sums, sums)
    return total


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
    expected = _cluster_sum(residual, s.unit_N, s.question_N, s.task_N)
    # Every unit answers each question once in each framing, so framings have equal weight.
    for unit in range(15):
        for framing in range(2):
            here = (s.unit_N == unit) & (s.framing_N == framing)
            residual[here] -= residual[here].mean()
    extra = _cluster_sum(residual, s.unit_N, s.statements[0], s.framing_N)
    extra -= _cluster_sum(residual, s.unit_N, both, s.framing_N)
    assert extra.sum() > 0
    found = units_of(s)
    assert found.effect_U == pytest.approx(np.array(effects))
    assert found.cov_UU == pytest.approx(expected + extra)
    assert found.cluster_df == 12 - 2
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


def test_an_effect_that_differs_between_framings_is_no_spread_of_statements() -> None:
    rng = np.random.default_rng(5)
    question, framing = (a.ravel() for a in np.indices((60, 2)))
    statement = framing * 5 + rng.integers(5, size=(60, 2))[question, framing]
    zero = np.zeros_like(question)
    noise = rng.normal(size=question.size)
    known = []
    for size in (0.0, 50.0):
        s = Sample(noise + size * framing, zero, zero, question % 3, framing, question, (statement,))
        known.append(mean_in_scope(s, "these_adapters", 0.95))
    assert known[0] is not None and known[1] is not None
    assert known[1].std_error == pytest.approx(known[0].std_error)
    assert known[1].df == known[0].df


def test_degrees_of_freedom_count_statements_and_not_questions_without_one() -> None:
    rng = np.random.default_rng(2)
    question, framing = (a.ravel() for a in np.indices((80, 2)))
    statement = np.where(framing == 1, question % 5, -1)
    effect = rng.normal(size=5)
    value = np.where(framing == 1, 3 * effect[question % 5], 0.0) + 0.1 * rng.normal(size=question.size)
    zero = np.zeros_like(question)
    s = Sample(value, zero, zero, zero, framing, question, (statement,))
    assert units_of(s).cluster_df == 5 - 1


@pytest.mark.parametrize("scope", ["new_adapters", "new_models"])
def test_a_wider_scope_is_never_surer_than_the_adapters_at_hand(scope: str) -> None:
    narrower = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        unit, question = (a.ravel() for a in np.indices((3, 30)))
        value = rng.choice([-1.0, 0.0, 1.0], unit.size)
        model = unit if scope == "new_models" else np.zeros_like(unit)
        zero = np.zeros_like(unit)
        s = Sample(value, unit, model, zero, zero, question, ())
        units = units_of(s)
        spread = units.effect_U.var(ddof=1) / 3
        shared = max(units.cov_UU.sum() - np.trace(units.cov_UU), 0.0) / 6
        fixed = units.cov_UU.sum() / 9
        found = mean_in_scope(s, scope, 0.95)
        assert found is not None
        assert found.std_error == pytest.approx(np.sqrt(max(spread + shared, fixed)))
        narrower += spread + shared < fixed
    assert narrower > 5


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
    assert found.std_error == pytest.approx(known.std_error, rel=1e-9)
    assert found.df == known.df == 20


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

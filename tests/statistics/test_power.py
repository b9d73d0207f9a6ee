"""Formulas of power against other formulas, and against whole simulated studies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from warmgap.errors import UserError
from warmgap.statistics.power import (
    Precision,
    StatementPart,
    beyond,
    false_positive,
    power,
    precision,
    smallest_effect,
)
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import SCOPES, Design, moments
from warmgap.statistics.power_simulation import simulate
from warmgap.statistics.published import published_cells

ASSUMED = Components()
NOTHING = Components(*[0.0] * 9)
ONE_MODEL = Design((60,) * 4, (0.45,) * 4, 1, 3, True, (20.0, 20.0), 4)
FIVE_MODELS = Design((90,) * 4, (0.18, 0.26, 0.39, 0.05), 5, 3, True, (20.0, 20.0), 2)
PROMPTS = Design((160, 80), (0.3, 0.2), 6, 0, False, (20.0,), 2)
ONCE = Design((60, 60), (0.3, 0.2), 2, 4, False, (20.0, math.inf), 2)
FEW = Design((80,) * 4, (0.3,) * 4, 1, 0, False, (5.0, 5.0), 2)
SAD = replace(FIVE_MODELS, questions=(60,) * 4, contrast="framing")
HELD = replace(FIVE_MODELS, questions=(60,) * 4, contrast="belief")


@pytest.mark.parametrize("df", [2.0, 4.0, 30.0, 400.0])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.8, 6.0])
def test_the_tail_is_that_of_the_noncentral_t(df, shift):
    critical = stats.t.ppf(0.975, df)
    expected = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    fixed = Precision("these_adapters", 0.7, 0.3, 0, 0, 0, 0, 0, 0, df, ())
    assert beyond(fixed, shift, 0.95) == pytest.approx(expected, abs=2e-3)
    # Nothing shared and nothing else to the units: the t test over units.
    units = Precision("new_models", 1e-9, 0, 0, 0, 1, 1.0, 0, df, 1000.0, ())
    assert beyond(units, shift, 0.95) == pytest.approx(expected, abs=2e-3)


def test_reported_variances_and_degrees_of_freedom_are_those_of_their_parts():
    rng = np.random.default_rng(0)
    p = Precision(
        "new_adapters", 0.5, 0.3, 0.1, 0.4, 0, 0.9, 0.3, 4.0, 60.0, (StatementPart(0.1, 0.2, 18.0),)
    )
    spread = rng.chisquare(60, 400_000) / 60
    extra = rng.normal(0.1, 0.2, spread.size)
    statements = np.maximum(extra, 0)
    between = 0.9 * rng.chisquare(4, spread.size) / 4
    common = 0.3 * spread + statements
    variance = np.maximum(between + common, 0.8 * spread + statements)
    clusters = np.where(extra > 0, 18, 60)
    df = (between + common) ** 2 / (between**2 / 4 + common**2 / clusters)
    found_variance, found_df = p.reported()
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(found_variance, quantile) == pytest.approx(
            np.quantile(variance, quantile), rel=0.02
        )
        assert np.quantile(found_df, quantile) == pytest.approx(np.quantile(df, quantile), rel=0.05)
    assert found_variance.mean() == pytest.approx(variance.mean(), rel=0.02)


def test_without_any_spread_the_variance_is_that_of_two_shares():
    design = Design((400,), (0.3,), 2, 2, True, (20.0,), 3, draws=2)
    found = precision(design, NOTHING, "these_adapters", 5.0)
    expected = (0.35 * 0.65 + 0.3 * 0.7) / (400 * 3 * 2 * 2 * 2)
    assert found.variance == pytest.approx(expected, rel=1e-6)
    assert found.df == 399
    once = replace(design, both_trained=False)
    expected = (0.35 * 0.65 / 2 + 0.3 * 0.7) / (400 * 3 * 2 * 2)
    assert precision(once, NOTHING, "these_adapters", 5.0).variance == pytest.approx(expected, rel=1e-6)


def test_without_any_spread_the_power_is_that_of_statsmodels():
    from statsmodels.stats.power import TTestPower

    design = Design((2000,), (0.3,), statements=(math.inf,))
    found = precision(design, NOTHING, "these_adapters", 4.0)
    size = 0.04 / math.sqrt(found.variance * 2000)
    expected = TTestPower().power(size, nobs=2000, alpha=0.05)
    assert power(design, NOTHING, "these_adapters", 4.0) == pytest.approx(expected, abs=2e-3)


def test_the_smallest_effect_has_the_power_asked_for():
    for target in (0.5, 0.8, 0.9):
        at = smallest_effect(ONE_MODEL, ASSUMED, "these_adapters", target)
        assert power(ONE_MODEL, ASSUMED, "these_adapters", at) == pytest.approx(target, abs=2e-3)
    # 80 % power at a two-sided 5 % is 2.8 standard errors.
    unstated = replace(ONE_MODEL, statements=(math.inf,) * 2)
    at = smallest_effect(unstated, ASSUMED, "these_adapters")
    assert at == pytest.approx(
        2.8 * precision(unstated, ASSUMED, "these_adapters", at).std_error_pp, rel=0.01
    )
    # The spread of statements has to be estimated from few of them, which costs a little.
    assert at < smallest_effect(ONE_MODEL, ASSUMED, "these_adapters") < 1.2 * at
    assert smallest_effect(Design((2,), (0.9,)), ASSUMED, "these_adapters") is None


@pytest.mark.parametrize("effect_pp", [-3.0, 0.0, 6.0])
def test_moments_give_the_effect(effect_pp):
    rng = np.random.default_rng(1)
    found = moments(FIVE_MODELS, ASSUMED, "new_models", effect_pp)
    hard = rng.normal(0, ASSUMED.question, 400_000)
    small = ASSUMED.model_arm**2 + ASSUMED.model_task_arm**2 + ASSUMED.adapter_arm**2
    small += ASSUMED.model_framing_arm**2 / 2 + ASSUMED.model_belief_arm**2 / 2
    slope = rng.normal(0, math.sqrt(small + ASSUMED.question_arm**2), hard.size)

    def mean(logit):
        return np.mean([(1 / (1 + np.exp(-(x + logit)))).mean() for x in found.logit_T])

    difference = mean(hard + found.shift + slope) - mean(hard)
    assert 100 * difference == pytest.approx(effect_pp, abs=0.15)


CASES = [
    (ONE_MODEL, "these_adapters"),
    (ONE_MODEL, "new_adapters"),
    (FIVE_MODELS, "these_adapters"),
    (FIVE_MODELS, "new_adapters"),
    (FIVE_MODELS, "new_models"),
    (PROMPTS, "these_adapters"),
    (PROMPTS, "new_models"),
    (ONCE, "new_adapters"),
    (FEW, "these_adapters"),
    (SAD, "these_adapters"),
    (SAD, "new_models"),
    (HELD, "these_adapters"),
    (HELD, "new_models"),
]


@pytest.mark.parametrize(("design", "scope"), CASES)
def test_studies_drawn_and_analysed_confirm_the_formulas(design, scope):
    spread = replace(ASSUMED, statement_arm=0.6) if design is FEW else ASSUMED
    at = smallest_effect(design, spread, scope)
    expected = precision(design, spread, scope, at)
    found = simulate(design, spread, scope, at, n_studies=400, seed=11)
    # Linearised in the effect's parts: at large effects an sd of 0.7 on the logit scale is bent a little.
    assert found.estimate_R.mean() == pytest.approx(at, abs=0.25 + 4 * expected.std_error_pp / math.sqrt(400))
    assert found.estimate_R.std() == pytest.approx(expected.std_error_pp, rel=0.13)
    variance_I, df_I = expected.reported()
    reported = math.sqrt(np.mean(found.std_error_R**2)) / 100
    assert reported == pytest.approx(math.sqrt(variance_I.mean()), rel=0.06)
    assert np.median(found.df_R) == pytest.approx(np.median(df_I), rel=0.3)
    assert found.rejected == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("design", "scope"), CASES)
def test_without_an_effect_about_one_study_in_twenty_rejects(design, scope):
    found = simulate(design, ASSUMED, scope, 0.0, n_studies=400, seed=5)
    assert abs(found.estimate_R.mean()) < 4 * found.estimate_R.std() / math.sqrt(400)
    expected = false_positive(design, ASSUMED, scope)
    assert found.rejected == pytest.approx(expected, abs=0.03)
    assert 0.02 < expected < 0.065


def test_few_statements_are_most_of_the_uncertainty():
    spread = replace(ASSUMED, statement_arm=1.0)
    few, many = (replace(ONE_MODEL, statements=(n, n)) for n in (5.0, 500.0))
    found = precision(few, spread, "these_adapters", 4.0)
    assert found.statements > found.answers + found.questions
    assert found.std_error_pp > 1.5 * precision(many, spread, "these_adapters", 4.0).std_error_pp
    without = precision(replace(few, statements=(math.inf,) * 2), spread, "these_adapters", 4.0)
    assert (without.statements, without.parts) == (0.0, ())


def test_the_published_design_has_about_the_published_precision():
    # 5 models, 500 questions in three tasks and 125 in one, 9 contexts with and without belief, one training.
    published = Design((500, 500, 500, 125), (0.18, 0.256, 0.395, 0.045), 5, 1, False, (5.0,) * 9, 2)
    means = (
        published_cells()
        .filter(pl.col("method") == "warm_sft")
        .group_by("model")
        .agg(pl.col("diff_pp").mean())
    )["diff_pp"]
    expected = means.std() / math.sqrt(5)
    # The assumed spread over trainings comes on top of the models'.
    without = replace(ASSUMED, adapter_arm=0.0)
    found = precision(published, without, "new_models", means.mean())
    assert found.std_error_pp == pytest.approx(expected, rel=0.2)
    assert found.enough_questions(1625) < 1625 / 2, "the paper needed more models, not more questions"


def test_the_floor_and_the_number_of_questions_that_is_enough():
    found = precision(FIVE_MODELS, ASSUMED, "new_adapters", 5.0)
    enough = found.enough_questions(FIVE_MODELS.total_questions)
    there = precision(
        FIVE_MODELS.times(questions=enough / FIVE_MODELS.total_questions), ASSUMED, "new_adapters", 5.0
    )
    assert there.floor_pp / there.std_error_pp == pytest.approx(0.9, abs=0.002)
    endless = precision(FIVE_MODELS.times(questions=10_000), ASSUMED, "new_adapters", 5.0)
    assert endless.std_error_pp == pytest.approx(found.floor_pp, rel=0.01)
    unstated = replace(FIVE_MODELS, statements=(math.inf,) * 2)
    assert precision(unstated, ASSUMED, "these_adapters", 5.0).enough_questions(600) is None


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 200), st.floats(0.05, 0.8), st.integers(3, 8), st.integers(3, 6), st.sampled_from(SCOPES)
)
def test_more_of_anything_never_makes_an_estimate_less_sure(n, base, models, seeds, scope):
    design = Design((n, n), (base, base), models, seeds)
    now = precision(design, ASSUMED, scope, 5.0)
    for more in (design.times(questions=2), design.times(seeds=2), design.times(models=2)):
        assert precision(more, ASSUMED, scope, 5.0).std_error_pp < now.std_error_pp
    assert now.floor_pp <= now.std_error_pp


@pytest.mark.parametrize(
    ("design", "scope", "words"),
    [
        (Design((60,), (0.3,), 1, 2), "new_adapters", "needs 3 training seeds per model, has 2"),
        (PROMPTS, "new_adapters", "neither arm is trained"),
        (ONE_MODEL, "new_models", "needs 3 models"),
    ],
)
def test_a_scope_that_a_design_cannot_speak_of_is_refused(design, scope, words):
    with pytest.raises(UserError, match=words):
        precision(design, ASSUMED, scope, 5.0)


def test_impossible_numbers_are_refused():
    with pytest.raises(UserError, match="takes the mean error rate from 45 to 115 %"):
        precision(ONE_MODEL, ASSUMED, "these_adapters", 70.0)
    with pytest.raises(UserError, match="at least 2 questions in each task"):
        Design((1,), (0.3,))
    with pytest.raises(UserError, match="above 0 and below 1"):
        Design((10,), (1.0,))

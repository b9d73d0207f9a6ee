"""Effects over models against scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from warmgap.statistics.published.between_models import over_models, sign_flip_p

MAIN = [5.793, 4.238, 3.012, 11.788, 10.816]


def test_interval_and_p_value_are_those_of_a_one_sample_t_test() -> None:
    found = over_models(MAIN, [0.0] * 5, [1.0] * 5)
    reference = stats.ttest_1samp(MAIN, 0.0)
    assert (found.conf_low, found.conf_high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.df == 4 and found.n_positive == 5


def test_prediction_interval_is_that_of_a_regression_on_a_constant() -> None:
    found = over_models(MAIN, [0.0] * 5, [1.0] * 5)
    reference = sm.OLS(MAIN, np.ones(5)).fit().get_prediction([1.0]).summary_frame(alpha=0.05)
    assert found.prediction_low == pytest.approx(reference["obs_ci_lower"][0])
    assert found.prediction_high == pytest.approx(reference["obs_ci_upper"][0])


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=7))
def test_sign_flips_are_those_of_a_permutation_test(effects: list[float]) -> None:
    values = np.round(np.array(effects), 3)
    reference = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    assert sign_flip_p(values) == pytest.approx(reference.pvalue, abs=1e-12)


def test_five_models_of_one_sign_give_a_sixteenth() -> None:
    assert sign_flip_p(np.array(MAIN)) == pytest.approx(2 / 2**5)


def test_variance_between_models() -> None:
    found = over_models(MAIN, [0.4] * 5, [1.2] * 5)
    variance = np.var(MAIN, ddof=1)
    assert found.tau_low == pytest.approx(np.sqrt(variance - 1.44))
    assert found.tau_high == pytest.approx(np.sqrt(variance - 0.16))
    assert found.i2_low_pct == pytest.approx(100 * (1 - 1.44 / variance))
    assert found.i2_high_pct == pytest.approx(100 * (1 - 0.16 / variance))
    half = stats.norm.ppf(0.975) * 1.2 / np.sqrt(5)
    assert (found.answers_low, found.answers_high) == pytest.approx(
        (np.mean(MAIN) - half, np.mean(MAIN) + half)
    )


def test_no_variance_beyond_the_answers_is_zero() -> None:
    found = over_models([1.0, 1.1, 0.9], [2.0] * 3, [2.0] * 3)
    assert found.tau_low == found.tau_high == found.i2_low_pct == 0.0

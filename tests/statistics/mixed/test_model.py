"""The likelihood of a model at given parameters, and the objective of a search."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.mixed import MixedModel, fit_glmm
from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.model import Tracker

RNG = np.random.default_rng(4)
QUESTION, MODEL, WARM = RNG.integers(0, 12, 300), RNG.integers(0, 4, 300), RNG.integers(0, 2, 300)
Y = RNG.binomial(
    1, special.expit(0.4 * WARM + RNG.normal(size=12)[QUESTION] + 0.6 * RNG.normal(size=4)[MODEL])
)
FRAME = pl.DataFrame({"y": Y, "question": QUESTION, "model": MODEL, "warm": WARM})


@pytest.fixture
def model() -> MixedModel:
    formula = parse_formula("y ~ warm + (warm || question) + (1 | model)")
    return MixedModel(build_design(formula, FRAME, None))


def test_log_likelihood_at_the_estimates_is_the_fit_s() -> None:
    fit = fit_glmm("y ~ warm + (warm | question) + (1 | model)", FRAME)
    by_group = {c.group: c.covariance_BB for c in fit.components}
    assert fit.model.log_likelihood(fit.beta_K, by_group) == pytest.approx(fit.log_likelihood, abs=1e-9)


def test_matrices_that_do_not_fit(model: MixedModel) -> None:
    beta = np.zeros(2)
    with pytest.raises(KeyError, match="model"):
        model.log_likelihood(beta, {"question": np.eye(2)})
    with pytest.raises(ValueError, match="keeps apart"):
        model.log_likelihood(beta, {"question": np.array([[1, 0.5], [0.5, 1]]), "model": np.eye(1)})
    with pytest.raises(ValueError, match="2 x 2"):
        model.log_likelihood(beta, {"question": np.eye(1), "model": np.eye(1)})


def test_no_mode_is_an_infinite_value(model: MixedModel) -> None:
    assert model.value(np.array([np.nan, 0, 1, 1, 1])) == np.inf
    assert Tracker(model).value(np.array([0, np.inf, 1, 1, 1])) == np.inf


@pytest.mark.parametrize("step", [1e-3, 0.3, 2.0])
def test_the_tracker_s_guess_does_not_change_the_numbers(model: MixedModel, step: float) -> None:
    tracker = Tracker(model)
    psi = np.array([-0.3, 0.4, 0.9, 0.5, 0.6])
    tracker.derivatives(psi, True)
    moved = psi + step * np.array([0.5, -0.5, 1, -0.2, 0.7])
    assert tracker.value(moved) == pytest.approx(model.value(moved), abs=1e-9)
    point, fresh = tracker.derivatives(moved, True), Tracker(model).derivatives(moved, True)
    np.testing.assert_allclose(point.gradient_J, fresh.gradient_J, atol=1e-8)
    np.testing.assert_allclose(point.hessian_JJ, fresh.hessian_JJ, atol=1e-6)


def test_effects_are_those_of_the_factors(model: MixedModel) -> None:
    tracker = Tracker(model)
    psi = np.array([-0.3, 0.4, 0.9, 0.5, 0.6])
    tracker.derivatives(psi, True)
    effects = tracker.effects_of_factors()
    # At the mode the prior's pull equals the data's: G^-1 b = Z'(y - mu).
    b = effects.large_QB
    eta = psi[0] + psi[1] * WARM + b[QUESTION, 0] + b[QUESTION, 1] * WARM + effects.small_R[MODEL]
    residual = Y - special.expit(eta)
    for q in range(12):
        here = residual[q == QUESTION]
        np.testing.assert_allclose(b[q, 0] / 0.9**2, here.sum(), atol=1e-8)
        np.testing.assert_allclose(b[q, 1] / 0.5**2, here @ WARM[q == QUESTION], atol=1e-8)
    for m in range(4):
        assert effects.small_R[m] / 0.6**2 == pytest.approx(residual[m == MODEL].sum(), abs=1e-8)

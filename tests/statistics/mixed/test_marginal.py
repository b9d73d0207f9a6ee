"""Marginal effects against direct integration and numerical derivatives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import integrate, special, stats

from warmgap.errors import UserError
from warmgap.statistics.mixed import GlmmFit, fit_glmm
from warmgap.statistics.mixed.fit import fit_model
from warmgap.statistics.mixed.marginal import marginal_effect, predicted_rate_pct


@pytest.fixture(scope="module", name="data")
def _data() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    question, model, warm, framing = (a.ravel() for a in np.indices((60, 4, 2, 2)))
    task = question % 3
    question_b = rng.normal(size=(60, 2)) * (1.4, 0.5)
    model_b = rng.normal(size=(4, 2)) * (0.4, 0.3)
    eta = -1 + 0.5 * task + warm * (0.6 + 0.4 * framing) + question_b[question, 0] + model_b[model, 0]
    eta = eta + warm * (question_b[question, 1] + model_b[model, 1])
    y = (rng.random(eta.size) < special.expit(eta)).astype(int)
    return pl.DataFrame(
        {"question": question, "model": model, "warm": warm, "framing": framing, "task": task, "y": y}
    ).with_columns(pl.format("t{}", "task").alias("task"))


@pytest.fixture(scope="module", name="fit")
def _fit(data: pl.DataFrame) -> GlmmFit:
    return fit_glmm("y ~ warm * framing + task + (1 + warm | question) + (1 + warm | model)", data)


def _integrated(mean: float, sd: float) -> float:
    value, _ = integrate.quad(lambda z: special.expit(mean + sd * z) * stats.norm.pdf(z), -12, 12, limit=400)
    return float(value)


def _by_hand(fit: GlmmFit, data: pl.DataFrame) -> float:
    beta = dict(zip(fit.names, fit.beta_K, strict=True))
    total = 0.0
    for task, framing, count in data.group_by("task", "framing").len().rows():
        for warm, sign in ((1, 1), (0, -1)):
            eta = beta["Intercept"] + beta.get(f"task[T.{task}]", 0.0) + beta["framing"] * framing
            eta += warm * (beta["warm"] + beta["warm:framing"] * framing)
            z = np.array([1, warm])
            variance = sum(float(z @ c.covariance_BB @ z) for c in fit.components)
            total += sign * count * _integrated(eta, np.sqrt(variance))
    return 100 * total / data.height


def test_effect_integrates_each_side_with_its_own_variance(fit: GlmmFit, data: pl.DataFrame) -> None:
    found = marginal_effect(fit, data, "warm")
    assert found.estimate_pp == pytest.approx(_by_hand(fit, data), abs=1e-6)
    assert found.high_pct - found.low_pct == pytest.approx(found.estimate_pp)
    assert found.low_pct == pytest.approx(predicted_rate_pct(fit, data, {"warm": 0}), abs=1e-9)


def test_setting_random_effects_to_zero_would_exaggerate(fit: GlmmFit, data: pl.DataFrame) -> None:
    x1, x0 = (fit.model.design.columns.fixed_matrix(data.with_columns(warm=pl.lit(w))) for w in (1, 0))
    at_zero = 100 * float(np.mean(special.expit(x1 @ fit.beta_K) - special.expit(x0 @ fit.beta_K)))
    assert at_zero > 1.2 * marginal_effect(fit, data, "warm").estimate_pp


@pytest.mark.parametrize("sd", [0.0, 0.5, 1.5, 3.0])
def test_quadrature_over_the_random_effects(sd: float) -> None:
    x, weight = np.polynomial.hermite_e.hermegauss(61)
    for mean in (-4.0, -1.0, 0.0, 2.5):
        found = float(special.expit(mean + sd * x) @ weight / np.sqrt(2 * np.pi))
        assert found == pytest.approx(_integrated(mean, sd), abs=5e-6)


def test_standard_error_is_the_delta_method(fit: GlmmFit, data: pl.DataFrame) -> None:
    found = marginal_effect(fit, data, "warm")
    size = fit.psi_J.size
    gradient = np.empty(size)
    for j in range(size):
        ends = []
        for step in (1e-5, -1e-5):
            psi = fit.psi_J.copy()
            psi[j] += step
            moved = GlmmFit(fit.model, psi, fit.optimum, fit.effects, fit.log_likelihood, ())
            ends.append(_by_hand(moved, data))
        gradient[j] = (ends[0] - ends[1]) / 2e-5
    assert found.gradient_J == pytest.approx(gradient, abs=2e-4)
    assert found.std_error_pp == pytest.approx(np.sqrt(gradient @ fit.joint_cov @ gradient), rel=1e-5)


def test_difference_of_effects_uses_their_covariance(fit: GlmmFit, data: pl.DataFrame) -> None:
    at = [marginal_effect(fit, data.filter(pl.col("framing") == f), "warm") for f in (1, 0)]
    found = at[0].minus(at[1])
    assert found.estimate_pp == pytest.approx(at[0].estimate_pp - at[1].estimate_pp)
    step = at[0].gradient_J - at[1].gradient_J
    assert found.std_error_pp == pytest.approx(np.sqrt(step @ fit.joint_cov @ step))
    assert found.std_error_pp < np.hypot(at[0].std_error_pp, at[1].std_error_pp)
    low, high = found.interval_pp(0.95, 4.0)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 4) * found.std_error_pp)
    assert found.p_value() == pytest.approx(2 * stats.norm.sf(abs(found.estimate_pp / found.std_error_pp)))
    other = fit_model(fit.model)
    with pytest.raises(ValueError, match="different fits"):
        at[0].minus(marginal_effect(other, data, "warm"))


def test_levels_count_alike_where_asked(fit: GlmmFit, data: pl.DataFrame) -> None:
    lopsided = data.filter((pl.col("framing") == 0) | (pl.col("question") < 10))
    each = [marginal_effect(fit, lopsided.filter(pl.col("framing") == f), "warm").estimate_pp for f in (0, 1)]
    equal = marginal_effect(fit, lopsided, "warm", equal_over=("framing",))
    assert equal.estimate_pp == pytest.approx(np.mean(each))
    assert marginal_effect(fit, lopsided, "warm").estimate_pp != pytest.approx(np.mean(each), abs=0.05)
    nested = marginal_effect(fit, lopsided, "warm", equal_over=("framing", "task"))
    by_cell = [
        marginal_effect(
            fit, lopsided.filter((pl.col("framing") == f) & (pl.col("task") == f"t{t}")), "warm"
        ).estimate_pp
        for f in (0, 1)
        for t in range(3)
    ]
    assert nested.estimate_pp == pytest.approx(np.mean(by_cell))


def test_what_cannot_be_averaged_is_named(fit: GlmmFit, data: pl.DataFrame) -> None:
    with pytest.raises(UserError, match=r"'warmth' is no column.*Did you mean 'warm'"):
        marginal_effect(fit, data, "warmth")
    with pytest.raises(UserError, match="no rows"):
        marginal_effect(fit, data.filter(pl.col("framing") > 5), "warm")
    with pytest.raises(UserError, match="no column 'tasks'"):
        marginal_effect(fit, data, "warm", equal_over=("tasks",))
    with pytest.raises(UserError, match=r"'task' holds text and high is 1\. .*high='t2', low='t0'"):
        marginal_effect(fit, data, "task")


def test_one_column_may_stand_alone(fit: GlmmFit, data: pl.DataFrame) -> None:
    alone = marginal_effect(fit, data, "warm", equal_over="task")
    assert alone.estimate_pp == marginal_effect(fit, data, "warm", equal_over=("task",)).estimate_pp
    assert len(repr(alone)) < 300, "the fit is no part of what an effect shows"

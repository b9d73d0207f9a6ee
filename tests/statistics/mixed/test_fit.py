"""What a fit must not depend on, and what its tables say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import optimize, special, stats

from warmgap.statistics.mixed import GlmmFit, MixedModelError, fit_glmm
from warmgap.statistics.mixed.fit import fit_model

FORMULA = "y ~ warm * task + x + (1 + warm | question) + (1 | model)"


def data() -> pl.DataFrame:
    rng = np.random.default_rng(21)
    question, model, warm, _ = (
        a.ravel() for a in np.meshgrid(range(24), range(5), (0, 1), range(4), indexing="ij")
    )
    effect = rng.multivariate_normal([0, 0], [[1.0, -0.15], [-0.15, 0.4]], size=24)[question]
    x = np.round(rng.normal(size=question.size), 1)
    logit = -0.5 + 0.5 * warm + 0.3 * x + effect[:, 0] + effect[:, 1] * warm + 0.6 * rng.normal(size=5)[model]
    return pl.DataFrame(
        {
            "y": rng.binomial(1, special.expit(logit)),
            "warm": warm,
            "x": x,
            "question": question,
            "model": model,
            "task": [("a", "b", "c")[i % 3] for i in question],
        }
    )


@pytest.fixture(scope="module")
def fit() -> GlmmFit:
    return fit_glmm(FORMULA, data())


def assert_same(one: GlmmFit, other: GlmmFit, atol: float = 1e-6) -> None:
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.beta_K, one.beta_K, atol=atol)
    np.testing.assert_allclose(other.std_error_K, one.std_error_K, atol=atol)
    for a, b in zip(one.components, other.components, strict=True):
        np.testing.assert_allclose(b.covariance_BB, a.covariance_BB, atol=10 * atol)
        np.testing.assert_allclose(b.sd_low_B, a.sd_low_B, atol=10 * atol)


def test_the_fit_is_a_maximum(fit: GlmmFit) -> None:
    assert fit.gradient_norm < 1e-4
    assert fit.hessian_eigenvalues.min() > 0
    assert fit.findings == ()


@pytest.mark.parametrize("seed", [0, 1])
def test_row_order(fit: GlmmFit, seed: int) -> None:
    assert_same(fit, fit_glmm(FORMULA, data().sample(fraction=1.0, shuffle=True, seed=seed)))


def test_names_of_levels(fit: GlmmFit) -> None:
    frame = data().with_columns(
        question=pl.format("q{}", (pl.col("question") * 7) % 24),
        model=pl.format("{}", 5 - pl.col("model")),
    )
    assert_same(fit, fit_glmm(FORMULA, frame))


def test_order_of_terms(fit: GlmmFit) -> None:
    other = fit_glmm("y ~ (1 | model) + x + (warm | question) + task + warm + warm:task", data())
    assert other.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-8)
    at = [other.names.index(name) for name in fit.names]
    np.testing.assert_allclose(other.beta_K[at], fit.beta_K, atol=1e-6)
    np.testing.assert_allclose(other.std_error_K[at], fit.std_error_K, atol=1e-6)
    np.testing.assert_allclose(other.theta_H, fit.theta_H, atol=1e-6)


def test_counts_are_the_same_up_to_the_binomial_constant(fit: GlmmFit) -> None:
    keys = ["warm", "x", "question", "model", "task"]
    counted = data().group_by(keys).agg(pl.col("y").sum(), n=pl.len())
    assert counted.height < data().height
    other = fit_glmm(FORMULA, counted, trials="n")
    y, n = counted["y"].to_numpy(), counted["n"].to_numpy()
    constant = float(np.sum(np.log(special.comb(n, y))))
    assert other.log_likelihood - constant == pytest.approx(fit.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.beta_K, fit.beta_K, atol=1e-9)
    np.testing.assert_allclose(other.std_error_K, fit.std_error_K, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1e-2, 1e6])
def test_a_covariate_in_another_unit(unit: float) -> None:
    formula = "y ~ warm + x + (1 + x | question)"
    one = fit_glmm(formula, data())
    other = fit_glmm(formula, data().with_columns(pl.col("x") * unit))
    scale = np.array([1.0, 1.0, 1 / unit])
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.beta_K / scale, one.beta_K, atol=1e-6)
    np.testing.assert_allclose(other.std_error_K / scale, one.std_error_K, atol=1e-6)
    np.testing.assert_allclose(other.components[0].sd_B * [1, unit], one.components[0].sd_B, atol=1e-5)
    assert other.components[0].correlation_BB[0, 1] == pytest.approx(
        one.components[0].correlation_BB[0, 1], abs=1e-4
    )
    assert [f.kind for f in other.findings] == [f.kind for f in one.findings]


def test_a_reference_level_changes_no_more_than_the_coding(fit: GlmmFit) -> None:
    other = fit_glmm(FORMULA.replace("task", "C(task, Treatment('b'))"), data())
    assert other.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-8)
    at = dict(zip(fit.names, fit.beta_K, strict=True))
    recoded = dict(zip(other.names, other.beta_K, strict=True))
    assert recoded["warm"] == pytest.approx(at["warm"] + at["warm:task[T.b]"], abs=1e-5)


def test_answers_given_twice_tell_twice_as_much() -> None:
    # With every level of every group doubled (copies are new questions) the maximum stays, and
    # variances of the estimates halve (all are sums over independent levels).
    frame = data()
    twice = pl.concat([frame, frame.with_columns(pl.col("question") + 100)])
    formula = "y ~ warm + x + (warm | question)"
    one, two = fit_glmm(formula, frame), fit_glmm(formula, twice)
    assert two.log_likelihood == pytest.approx(2 * one.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(two.psi_J, one.psi_J, atol=1e-5)
    np.testing.assert_allclose(two.joint_cov, one.joint_cov / 2, atol=1e-5)


def test_standard_errors_are_those_of_the_profile() -> None:
    # The inverse of the Hessian over all parameters, against the curvature of the profile of one.
    frame = data().filter(pl.col("model") < 3)
    fit = fit_glmm("y ~ warm + (1 | question)", frame)
    step = 0.02
    losses = []
    for sign in (-1, 1):
        moved = fit.beta_K[1] + sign * step

        def value(rest: np.ndarray, moved: float = moved) -> float:
            return fit.model.value(np.array([rest[0], moved, rest[1]]))

        start = [fit.beta_K[0], fit.theta_H[0]]
        best = optimize.minimize(value, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-11})
        losses.append(best.fun + fit.log_likelihood)
    assert np.sqrt(step**2 / sum(losses)) == pytest.approx(fit.std_error_K[1], rel=1e-3)


def test_tables(fit: GlmmFit) -> None:
    table = fit.coefficients(confidence=0.9)
    assert table["term"].to_list() == list(fit.names)
    statistic = fit.beta_K / fit.std_error_K
    np.testing.assert_allclose(table["statistic"], statistic)
    np.testing.assert_allclose(table["p_value"], 2 * stats.norm.sf(np.abs(statistic)), rtol=1e-10)
    half = stats.norm.ppf(0.95) * fit.std_error_K
    np.testing.assert_allclose(table["conf_low"], fit.beta_K - half)
    np.testing.assert_allclose(table["conf_high"], fit.beta_K + half)
    components = fit.variance_components()
    assert components.select("group", "kind", "column", "n_levels").rows() == [
        ("question", "sd", "Intercept", 24),
        ("question", "sd", "warm", 24),
        ("question", "correlation", "warm", 24),
        ("model", "sd", "Intercept", 5),
    ]


def test_effects_of_the_groups(fit: GlmmFit) -> None:
    # The mean of the intercepts' modes is near zero, and a question that errs more stands higher.
    rates = data().group_by("question").agg(pl.col("y").mean()).sort("question")["y"].to_numpy()
    means = fit.effects.large_QB @ [1.0, 0.5]
    levels = [int(level) for level in fit.model.design.large.levels]
    assert stats.spearmanr(means, rates[levels]).statistic > 0.9
    assert fit.effects.small_R.shape == (5,)


def test_with_parameters_fixed(fit: GlmmFit) -> None:
    fixed = np.zeros(fit.psi_J.size, dtype=bool)
    fixed[1] = True
    start = fit.psi_J.copy()
    start[1] += 0.3
    other = fit_model(fit.model, start, fixed)
    assert other.beta_K[1] == start[1]
    assert other.std_error_K[1] == 0.0
    assert other.log_likelihood < fit.log_likelihood


def test_no_fit_from_nowhere(fit: GlmmFit) -> None:
    with pytest.raises(MixedModelError) as raised:
        fit_model(fit.model, np.full(fit.psi_J.size, np.nan))
    assert raised.value.kind == "no convergence"

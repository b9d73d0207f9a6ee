"""Findings: fits that are at a boundary, with data that put them there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.mixed import GlmmFit, fit_glmm, profile_interval


def even() -> pl.DataFrame:
    """Ten questions with equal counts: less variation than chance makes."""
    rows = [
        (question, warm, int(i < 4 + 3 * warm))
        for question in range(10)
        for warm in (0, 1)
        for i in range(10)
    ]
    return pl.DataFrame(rows, schema=["question", "warm", "y"], orient="row")


def one_effect(sign: float) -> pl.DataFrame:
    """Slopes that are 0.8 times the intercepts, up to the sign."""
    level = np.linspace(-1.5, 1.5, 9)
    rows = []
    for question, b in enumerate(level):
        for warm in (0, 1):
            events = round(200 * float(special.expit(b + warm * (0.3 + sign * 0.8 * b))))
            rows.append((question, warm, events, 200))
    return pl.DataFrame(rows, schema=["question", "warm", "y", "n"], orient="row")


def assert_finite(fit: GlmmFit) -> None:
    assert np.isfinite(fit.std_error_K).all() and (fit.std_error_K > 0).all()
    assert np.isfinite(fit.joint_cov).all()
    assert fit.hessian_eigenvalues.min() > 0
    assert fit.gradient_norm < 1e-3


def test_variance_at_zero() -> None:
    fit = fit_glmm("y ~ warm + (1 | question)", even())
    (found,) = fit.findings
    assert (found.kind, found.term) == ("variance at zero", "Intercept | question")
    assert "Leave the column out, or give an upper limit with profile_interval" in found.message
    assert "10 levels" in found.message
    assert_finite(fit)
    # With no variance the standard errors are those of the table of counts, 40 and 70 of 100.
    expected = np.sqrt([1 / 40 + 1 / 60, 1 / 40 + 1 / 60 + 1 / 70 + 1 / 30])
    np.testing.assert_allclose(fit.std_error_K, expected, rtol=1e-6)
    low, high = profile_interval(fit, "question", "Intercept")
    assert low == 0.0 and 0.05 < high < 1.0


def test_a_slope_at_zero() -> None:
    frame = pl.concat([even().with_columns(model=pl.lit(m)) for m in "abc"])
    for formula in ("y ~ warm + (warm | question) + (warm | model)", "y ~ warm + (warm || question)"):
        fit = fit_glmm(formula, frame)
        assert {f.kind for f in fit.findings} == {"variance at zero"}
        assert "warm | question" in [f.term for f in fit.findings]
        assert_finite(fit)


@pytest.mark.parametrize(("sign", "written"), [(1.0, "+1"), (-1.0, "-1")])
def test_correlation_at_the_limit(sign: float, written: str) -> None:
    fit = fit_glmm("y ~ warm + (warm | question)", one_effect(sign), trials="n")
    (found,) = fit.findings
    assert (found.kind, found.term) == ("correlation at the limit", "Intercept, warm | question")
    assert f"have correlation {written} over 'question'" in found.message
    assert "(... || question), or leave one out" in found.message
    assert fit.components[0].correlation_BB[0, 1] == pytest.approx(sign, abs=1e-6)
    assert np.isnan(fit.components[0].correlation_low_BB[0, 1])
    assert_finite(fit)


def test_three_columns_that_are_one() -> None:
    rows = []
    for question, b in enumerate(np.linspace(-1.5, 1.5, 12)):
        for framing, (shift, weight) in enumerate([(0.0, 1.0), (0.3, 1.6), (-0.2, 0.5)]):
            rows.append(
                (question, "abc"[framing], round(300 * float(special.expit(shift + weight * b))), 300)
            )
    frame = pl.DataFrame(rows, schema=["question", "framing", "y", "n"], orient="row")
    fit = fit_glmm("y ~ framing + (framing | question)", frame, trials="n")
    assert [f.kind for f in fit.findings] == ["correlation at the limit"] * 3
    assert np.abs(fit.components[0].correlation_BB[np.triu_indices(3, 1)]) == pytest.approx(1.0, abs=1e-6)
    # The Laplace likelihood of the same model with one effect that the three columns share.
    assert_finite(fit)


def test_flat_direction() -> None:
    # A covariate that varies by a hundred thousandth of its size is nearly the intercept.
    rng = np.random.default_rng(3)
    x, question = rng.normal(size=400), rng.integers(0, 20, 400)
    y = rng.binomial(1, special.expit(0.5 * x + rng.normal(size=20)[question]))
    frame = pl.DataFrame({"y": y, "x": 1e5 + x, "question": question})
    fit = fit_glmm("y ~ x + (1 | question)", frame)
    (found,) = fit.findings
    assert found.kind == "flat direction"
    assert set(found.term.split(", ")) == {"Intercept", "x"}
    assert "Rescale a covariate, or leave one of them out" in found.message
    centred = fit_glmm("y ~ x + (1 | question)", frame.with_columns(pl.col("x") - 1e5))
    assert centred.findings == ()
    assert fit.beta_K[1] == pytest.approx(centred.beta_K[1], rel=1e-4)
    assert fit.std_error_K[1] == pytest.approx(centred.std_error_K[1], rel=1e-3)


def test_nothing_to_report() -> None:
    rng = np.random.default_rng(3)
    question, warm, _ = (a.ravel() for a in np.meshgrid(range(30), (0, 1), range(15), indexing="ij"))
    effect = rng.normal(size=(30, 2))
    y = rng.binomial(1, special.expit(0.5 * warm + effect[question, 0] + warm * effect[question, 1]))
    fit = fit_glmm("y ~ warm + (warm | question)", pl.DataFrame({"y": y, "warm": warm, "question": question}))
    assert fit.findings == ()

"""Standard deviations, correlations and their delta-method intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.statistics.mixed import fit_glmm
from warmgap.statistics.mixed.components import components


def fitted_frame() -> pl.DataFrame:
    rng = np.random.default_rng(12)
    question, warm, draw = (a.ravel() for a in np.meshgrid(range(40), (0, 1), range(6), indexing="ij"))
    effect = rng.multivariate_normal([0, 0], [[1.0, 0.2], [0.2, 0.6]], size=40)[question]
    y = rng.binomial(1, 1 / (1 + np.exp(0.4 - 0.5 * warm - effect[:, 0] - warm * effect[:, 1])))
    return pl.DataFrame({"y": y, "question": question, "warm": warm, "draw": draw})


def test_intervals_by_the_delta_method() -> None:
    fit = fit_glmm("y ~ warm + (warm | question)", fitted_frame())
    (found,) = fit.components
    l11, l21, l22 = fit.theta_H
    cov = fit.joint_cov[2:, 2:]

    def estimates(theta: np.ndarray) -> np.ndarray:
        a, b, c = theta
        sd = np.sqrt(b * b + c * c)
        return np.array([np.log(a), np.log(sd), np.arctanh(b / sd)])

    at, z = estimates(fit.theta_H), stats.norm.ppf(0.975)
    slopes = np.array(
        [(estimates(fit.theta_H + m) - estimates(fit.theta_H - m)) / 2e-5 for m in 1e-5 * np.eye(3)]
    ).T
    half = z * np.sqrt(np.diag(slopes @ cov @ slopes.T))
    np.testing.assert_allclose(found.covariance_BB, [[l11**2, l11 * l21], [l11 * l21, l21**2 + l22**2]])
    np.testing.assert_allclose(found.sd_B, np.exp(at[:2]))
    np.testing.assert_allclose(found.sd_low_B, np.exp(at - half)[:2], rtol=1e-6)
    np.testing.assert_allclose(found.sd_high_B, np.exp(at + half)[:2], rtol=1e-6)
    assert found.correlation_BB[1, 0] == pytest.approx(np.tanh(at[2]))
    assert found.correlation_low_BB[0, 1] == pytest.approx(np.tanh(at[2] - half[2]), rel=1e-6)
    assert found.correlation_high_BB[0, 1] == pytest.approx(np.tanh(at[2] + half[2]), rel=1e-6)

    rows = found.frame().rows()
    assert [row[:4] for row in rows] == [
        ("question", "sd", "Intercept", ""),
        ("question", "sd", "warm", ""),
        ("question", "correlation", "warm", "Intercept"),
    ]
    assert rows[2][4:7] == (
        found.correlation_BB[1, 0],
        found.correlation_low_BB[1, 0],
        found.correlation_high_BB[1, 0],
    )
    assert {row[7] for row in rows} == {40}


def test_other_confidence() -> None:
    fit = fit_glmm("y ~ warm + (1 | question)", fitted_frame())
    cov = fit.joint_cov[2:, 2:]
    (found,) = components(fit.model.design, fit.theta_H, cov, confidence=0.8)
    half = stats.norm.ppf(0.9) * np.sqrt(cov[0, 0]) / fit.theta_H[0]
    assert np.log(found.sd_high_B[0] / found.sd_B[0]) == pytest.approx(half)
    assert np.log(found.sd_B[0] / found.sd_low_B[0]) == pytest.approx(half)


def test_what_is_no_parameter_has_no_interval() -> None:
    # Every answer once in each part, so that nothing can vary over the parts.
    frame = pl.concat([fitted_frame().with_columns(part=pl.lit(name)) for name in "ab"])
    fit = fit_glmm("y ~ warm + (warm || question) + (1 | part)", frame)
    question, part = fit.components
    assert np.isnan(question.correlation_BB).all()
    assert question.frame()["kind"].to_list() == ["sd", "sd"]
    assert part.sd_B[0] < 1e-4
    assert np.isnan([part.sd_low_B[0], part.sd_high_B[0]]).all()

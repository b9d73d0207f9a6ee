"""Profile intervals against lme4 1.1.31 (R 4.2).

The data of `small(...)`, written by polars, were read with read.csv, and lme4's deviance profiled:
    limits <- function(d, random, k, level) {
      m <- glmer(as.formula(paste("y ~ warm +", random)), d, binomial,
                 control = glmerControl(tolPwrss = 1e-12))
      f <- update(m, devFunOnly = TRUE); lower <- c(m@lower, -Inf, -Inf)
      search <- function(par, f, lower)
        nloptr::bobyqa(par, f, lower = lower, control = list(xtol_rel = 1e-10, maxeval = 50000))
      best <- search(c(m@theta, fixef(m)), f, lower)
      loss <- function(s) search(best$par[-k], function(p) f(append(p, s, k - 1)), lower[-k])$value -
                          best$value - qchisq(level, 1)
      sd <- best$par[k]
      c(if (loss(0) > 0) uniroot(loss, c(1e-3, sd), tol = 1e-7)$root else 0,
        uniroot(loss, c(sd + 1e-3, 4), tol = 1e-7)$root)
    }
    limits(d, "(1 | question) + (1 | model)", 1, 0.95)                  # k = 2 for model
    d$one <- 1; limits(d, "(0 + one + warm | question) + (1 | model)", 1, 0.95)
    limits(d, "(0 + warm + one | question) + (1 | model)", 1, 0.95)     # the sd of warm
    limits(d, "(0 + warm | question) + (0 + one | question)", 1, 0.95)
lme4's own profiles, which it interpolates by splines, came from
    confint(m, parm = "theta_", method = "profile", level = 0.95, oldNames = FALSE)
and end in an error on the models with correlated columns ("profiling detected new, lower deviance").
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.statistics.mixed import fit_glmm, profile_interval


def small(model_sd: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    question, model, warm, _ = (
        a.ravel() for a in np.meshgrid(range(30), range(6), (0, 1), (0, 1), indexing="ij")
    )
    intercept, slope = (1.2 * rng.standard_normal(30))[question], (0.9 * rng.standard_normal(30))[question]
    logit = -0.5 + 0.6 * warm + intercept + slope * warm + (model_sd * rng.standard_normal(6))[model]
    y = (rng.random(logit.size) < 1 / (1 + np.exp(-logit))).astype(int)
    return pl.DataFrame({"y": y, "question": question, "model": model, "warm": warm})


FRAMES = {"varied": small(0.6, 4), "no models": small(0.0, 8)}
INTERCEPTS = "y ~ warm + (1 | question) + (1 | model)"
SLOPES = "y ~ warm + (1 + warm | question) + (1 | model)"
APART = "y ~ warm + (warm || question)"


@pytest.mark.parametrize(
    ("frame", "formula", "group", "column", "confidence", "low", "high"),
    [
        ("varied", INTERCEPTS, "question", "Intercept", 0.95, 0.995474904, 1.964452338),
        ("varied", INTERCEPTS, "model", "Intercept", 0.95, 0.0, 0.654233573),
        ("varied", INTERCEPTS, "question", "Intercept", 0.8, 1.11242893, 1.73162375),
        ("varied", INTERCEPTS, "model", "Intercept", 0.8, 0.0955908668, 0.4700604604),
        ("varied", SLOPES, "question", "Intercept", 0.95, 0.89361265, 2.01472413),
        ("varied", SLOPES, "question", "warm", 0.95, 0.098107051, 1.310019171),
        ("varied", APART, "question", "warm", 0.95, 0.12591528, 1.28853874),
        ("no models", INTERCEPTS, "question", "Intercept", 0.95, 0.981469389, 1.939417368),
        ("no models", INTERCEPTS, "question", "Intercept", 0.8, 1.09622378, 1.70759855),
        ("no models", INTERCEPTS, "model", "Intercept", 0.95, 0.0, 0.313435443),
        ("no models", INTERCEPTS, "model", "Intercept", 0.8, 0.0, 0.190653888),
        ("no models", SLOPES, "question", "Intercept", 0.95, 0.86872778, 1.97620608),
        ("no models", SLOPES, "question", "warm", 0.95, 0.60719067, 1.75004841),
        ("no models", APART, "question", "warm", 0.95, 0.61159691, 1.74448233),
    ],
)
def test_against_lme4_s_deviance(
    frame: str, formula: str, group: str, column: str, confidence: float, low: float, high: float
) -> None:
    fit = fit_glmm(formula, FRAMES[frame])
    assert profile_interval(fit, group, column, confidence) == pytest.approx((low, high), abs=2e-5 * high)


@pytest.mark.parametrize(
    ("frame", "group", "low", "high"),
    [
        ("varied", "question", 0.99555214, 1.96383147),
        ("varied", "model", 0.0, 0.65428067),
        ("no models", "question", 0.98154215, 1.93858783),
        ("no models", "model", 0.0, 0.31347335),
    ],
)
def test_against_lme4_s_confint(frame: str, group: str, low: float, high: float) -> None:
    fit = fit_glmm(INTERCEPTS, FRAMES[frame])
    assert profile_interval(fit, group, "Intercept") == pytest.approx((low, high), rel=1e-3)


def test_a_zero_has_an_upper_limit() -> None:
    fit = fit_glmm(INTERCEPTS, FRAMES["no models"])
    assert [(f.kind, f.term) for f in fit.findings] == [("variance at zero", "Intercept | model")]
    assert np.isnan(fit.components[1].sd_high_B[0])
    # The limit is where the likelihood with that sd is lower by half of 3.84 (1.92).
    low, high = profile_interval(fit, "model", "Intercept")
    without = fit_glmm("y ~ warm + (1 | question)", FRAMES["no models"])
    assert low == 0.0
    assert fit.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-6)
    matrices = {c.group: c.covariance_BB for c in fit.components} | {"model": np.array([[high**2]])}
    # Nothing but the sd moved: a lower bound of the profile.
    assert fit.log_likelihood - fit.model.log_likelihood(fit.beta_K, matrices) >= 1.92


def test_units_of_a_covariate() -> None:
    frame = FRAMES["varied"].with_columns(length=1000.0 * pl.col("warm"))
    one = profile_interval(fit_glmm(SLOPES, frame), "question", "warm")
    other = profile_interval(fit_glmm(SLOPES.replace("warm", "length"), frame), "question", "length")
    assert np.array(other) * 1000 == pytest.approx(one, rel=1e-4)


def test_by_quadrature() -> None:
    fit = fit_glmm("y ~ warm + (1 | question)", FRAMES["varied"], quadrature=15)
    low, high = profile_interval(fit, "question", "Intercept")
    laplace = profile_interval(
        fit_glmm("y ~ warm + (1 | question)", FRAMES["varied"]), "question", "Intercept"
    )
    assert (low, high) == pytest.approx(laplace, rel=0.03)
    assert (low, high) != pytest.approx(laplace, rel=1e-4)


def test_no_upper_limit() -> None:
    # Two levels, nearly all right and nearly all wrong: at a confidence near one any large sd will do.
    frame = pl.DataFrame({"y": [1] * 40 + [0] + [1] + [0] * 40, "g": [0] * 41 + [1] * 41})
    fit = fit_glmm("y ~ 1 + (1 | g)", frame)
    low, high = profile_interval(fit, "g", "Intercept", 1 - 1e-7)
    assert low > 0 and high == math.inf


def test_unknown_names() -> None:
    fit = fit_glmm(SLOPES, FRAMES["varied"])
    with pytest.raises(UserError, match=r"no group 'models'.*Did you mean 'model'"):
        profile_interval(fit, "models", "Intercept")
    with pytest.raises(UserError, match=r"'model' has no random column 'warm'.*Allowed: Intercept"):
        profile_interval(fit, "model", "warm")

"""The mixed model engine against lme4 and glmmTMB (tests/fixtures/mixed, README.md there)."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.statistics.mixed import GlmmFit, fit_glmm

FIXTURES = Path(__file__).parents[2] / "fixtures" / "mixed"
SETS: dict[str, dict[str, Any]] = json.loads((FIXTURES / "sets.json").read_text())
LAPLACE = [(name, engine) for name, spec in SETS.items() for engine in spec["engines"]]
NODES = [n for n in SETS["quadrature"]["quadrature"] if n > 1]

LOG_LIKELIHOOD = 1e-5
# lme4 ends its search for the mode by the change of the penalised sum of squares, and on this set that is
# 1.02e-5 too early; summing up the one-dimensional Laplace terms by hand gives glmmTMB's value to 1e-9.
EARLY_MODE = {("quadrature", "lme4"): 2e-5}


@functools.cache
def reference(name: str) -> dict[str, Any]:
    """What R found."""
    found: dict[str, Any] = json.loads((FIXTURES / "reference" / f"{name}.json").read_text())
    assert found["formula"] == SETS[name]["formula"], "sets.json has changed: fit again with make_data.py"
    return found


@functools.cache
def ours(name: str, quadrature: int = 1) -> GlmmFit:
    """What the engine finds on the same data."""
    frame = pl.read_parquet(FIXTURES / "data" / f"{name}.parquet")
    return fit_glmm(SETS[name]["formula"], frame, trials=SETS[name]["trials"], quadrature=quadrature)


def term(name: str) -> frozenset[str]:
    """A term without the spelling of R or formulaic: `warm:C(task)[T.medqa]` and `taskmedqa:warm` are one."""
    parts = (re.sub(r"C\((\w+)\)\[T\.(\w+)\]", r"\1\2", part) for part in name.split(":"))
    return frozenset(part.strip("()") for part in parts)


def order(r_names: list[str], names: tuple[str, ...]) -> list[int]:
    """Where R has each of our terms."""
    places = {term(name): i for i, name in enumerate(r_names)}
    assert len(places) == len(names) == len({*map(term, names)} & places.keys())
    return [places[term(name)] for name in names]


def covariances(found: dict[str, Any], fit: GlmmFit) -> dict[str, np.ndarray]:
    """R's covariance matrices of the random effects, columns in our order."""
    out = {}
    for component in fit.components:
        theirs = found["components"][component.group]
        at = order(theirs["columns"], component.columns)
        sd = np.array(theirs["sd"])[at]
        out[component.group] = np.array(theirs["correlation"])[np.ix_(at, at)] * np.outer(sd, sd)
    return out


def assert_same_estimates(fit: GlmmFit, found: dict[str, Any], exact_errors: bool) -> None:
    at = order(found["names"], fit.names)
    beta, std_error = np.array(found["beta"])[at], np.array(found["std_error"])[at]
    assert (np.abs(fit.beta_K - beta) <= np.maximum(2e-4, 0.01 * std_error)).all()
    if exact_errors:
        np.testing.assert_allclose(fit.std_error_K, std_error, rtol=1e-3)
        difference = fit.cov_KK - np.array(found["covariance"])[np.ix_(at, at)]
        assert np.abs(difference / np.outer(std_error, std_error)).max() < 2e-3
    for component in fit.components:
        theirs = covariances(found, fit)[component.group]
        sd = np.sqrt(np.diag(theirs))
        np.testing.assert_allclose(component.sd_B, sd, atol=1e-3)
        if sd.size > 1:
            np.testing.assert_allclose(component.correlation_BB[0, 1], theirs[0, 1] / sd.prod(), atol=1e-3)


@pytest.mark.parametrize(("name", "engine"), LAPLACE)
def test_log_likelihood_at_r_estimates(name: str, engine: str) -> None:
    fit, found = ours(name), reference(name)[engine]
    beta = np.array(found["beta"])[order(found["names"], fit.names)]
    tolerance = EARLY_MODE.get((name, engine), LOG_LIKELIHOOD)
    got = fit.model.log_likelihood(beta, covariances(found, fit))
    assert got == pytest.approx(found["log_likelihood"], rel=0, abs=tolerance)


@pytest.mark.parametrize("name", SETS)
def test_no_lower_than_the_best_of_r(name: str) -> None:
    best = max(reference(name)[engine]["log_likelihood"] for engine in SETS[name]["engines"])
    assert ours(name).log_likelihood >= best - 1e-6
    assert ours(name).gradient_norm < 1e-3
    assert ours(name).hessian_eigenvalues.min() > 0


@pytest.mark.parametrize(("name", "engine"), LAPLACE)
def test_estimates(name: str, engine: str) -> None:
    # Standard errors from glmmTMB's analytic gradient, differenced at a point where it is below 1e-7. lme4
    # differences its log-likelihood twice, which leaves noise of up to 2e-3 in its errors.
    found = reference(name)[engine]
    assert engine == "lme4" or found["gradient_max"] < 1e-7
    assert_same_estimates(ours(name), found, exact_errors=engine == "glmmTMB")


@pytest.mark.parametrize("name", SETS)
def test_intervals_of_components(name: str) -> None:
    # glmmTMB's parameters of a group are the log sd of each column, then for two columns t with
    # correlation r = t / sqrt(1 + t^2), so that the error of atanh(r) is that of t over sqrt(1 + t^2).
    found, z = reference(name)["glmmTMB"], stats.norm.ppf(0.975)
    theta, error = list(found["theta"]), list(found["theta_std_error"])
    by_group = {component.group: component for component in ours(name).components}
    for group, theirs in found["components"].items():
        size = len(theirs["sd"])
        at = order(theirs["columns"], by_group[group].columns)
        half = z * np.array(error[:size])[at]
        sd = np.array(theirs["sd"])[at]
        np.testing.assert_allclose(by_group[group].sd_low_B, sd * np.exp(-half), rtol=1e-3)
        np.testing.assert_allclose(by_group[group].sd_high_B, sd * np.exp(half), rtol=1e-3)
        if size == 2:
            centre, spread = np.arcsinh(theta[2]), z * error[2] / np.sqrt(1 + theta[2] ** 2)
            got = by_group[group]
            assert got.correlation_low_BB[0, 1] == pytest.approx(np.tanh(centre - spread), abs=1e-3)
            assert got.correlation_high_BB[0, 1] == pytest.approx(np.tanh(centre + spread), abs=1e-3)
        del theta[: size * (size + 1) // 2], error[: size * (size + 1) // 2]
    assert not theta


@pytest.mark.parametrize("nodes", NODES)
def test_quadrature(nodes: int) -> None:
    fit, found = ours("quadrature", nodes), reference("quadrature")[f"lme4_nAGQ{nodes}"]
    assert fit.log_likelihood == pytest.approx(found["log_likelihood"], rel=0, abs=LOG_LIKELIHOOD)
    assert_same_estimates(fit, found, exact_errors=True)
    beta = np.array(found["beta"])[order(found["names"], fit.names)]
    at_theirs = fit.model.log_likelihood(beta, covariances(found, fit))
    assert at_theirs == pytest.approx(found["log_likelihood"], rel=0, abs=LOG_LIKELIHOOD)


@pytest.fixture
def _lme4() -> None:
    """Leaves the test out where R has no lme4, unless nothing may be left out."""
    command = ["Rscript", "--vanilla", "-e", "library(lme4)"]
    missing = subprocess.run(command, capture_output=True, check=False).returncode != 0
    if missing and os.environ.get("WARMGAP_REQUIRE") != "all":
        pytest.skip("R has no lme4")
    assert not missing, "WARMGAP_REQUIRE=all, and R has no lme4: apt-get install r-base-core r-cran-lme4"


@pytest.mark.r
@pytest.mark.usefixtures("_lme4")
def test_lme4_on_fresh_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    question, warm, model = (a.ravel() for a in np.meshgrid(range(80), (0, 1), range(12), indexing="ij"))
    effect = rng.multivariate_normal([0, 0], [[1.0, -0.2], [-0.2, 0.6]], size=80)[question]
    logit = -0.4 + 0.5 * warm + effect[:, 0] + warm * effect[:, 1] + 0.5 * rng.standard_normal(12)[model]
    y = rng.binomial(1, 1 / (1 + np.exp(-logit)))
    frame = pl.DataFrame({"y": y, "warm": warm, "question": question, "model": model})
    formula = "y ~ warm + (1 + warm | question) + (1 | model)"
    frame.write_csv(tmp_path / "data.csv")
    arguments = [str(tmp_path / "data.csv"), formula, "-", "1", "lme4", str(tmp_path / "out.json")]
    subprocess.run(
        ["Rscript", "--vanilla", str(FIXTURES / "reference.R"), *arguments], check=True, timeout=120
    )

    found = json.loads((tmp_path / "out.json").read_text())["lme4"]
    fit = fit_glmm(formula, frame)
    assert fit.log_likelihood == pytest.approx(found["log_likelihood"], rel=0, abs=LOG_LIKELIHOOD)
    assert_same_estimates(fit, found, exact_errors=False)
    np.testing.assert_allclose(
        fit.std_error_K, np.array(found["std_error"])[order(found["names"], fit.names)], rtol=5e-3
    )

"""Adaptive Gauss-Hermite quadrature against numerical integration of every level."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import integrate, special, stats

from warmgap.statistics.mixed import MixedModelError, fit_glmm
from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.model import MixedModel
from warmgap.statistics.mixed.quadrature import quadrature_point


def data(scale: float = 1.0, counts: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    n = 72
    frame = pl.DataFrame(
        {
            "g": rng.integers(0, 12, n),
            "x": scale * rng.normal(size=n),
            "n": rng.integers(1, 5, n) if counts else np.ones(n, dtype=np.int64),
        }
    )
    logit = -0.4 + 0.8 * frame["x"].to_numpy() / scale + 1.3 * rng.normal(size=12)[frame["g"].to_numpy()]
    return frame.with_columns(y=rng.binomial(frame["n"], special.expit(logit)))


def integrated(frame: pl.DataFrame, beta: np.ndarray, sd: float, slope: bool) -> float:
    """log of the product over levels of the integral of the binomial likelihood over a normal effect."""
    total = 0.0
    for (_,), level in frame.group_by("g", maintain_order=True):
        x, y, n = (level[c].to_numpy() for c in ("x", "y", "n"))
        z = x if slope else np.ones(x.size)

        def density(
            b: float, x: np.ndarray = x, y: np.ndarray = y, n: np.ndarray = n, z: np.ndarray = z
        ) -> float:
            p = special.expit(beta[0] + beta[1] * x + z * b)
            return float(np.prod(stats.binom.pmf(y, n, p)) * stats.norm.pdf(b, scale=sd))

        total += np.log(integrate.quad(density, -9 * sd, 9 * sd, epsabs=0, epsrel=1e-12, limit=400)[0])
    return total


@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("sd", [0.3, 1.7])
def test_many_nodes_are_the_integral(slope: bool, counts: bool, sd: float) -> None:
    frame, beta = data(counts=counts), np.array([-0.3, 0.9])
    formula = parse_formula(f"y ~ x + ({'0 + x' if slope else '1'} | g)")
    model = MixedModel(build_design(formula, frame, "n" if counts else None), quadrature=101)
    found = model.log_likelihood(beta, {"g": np.array([[sd**2]])})
    # What has counts is a binomial likelihood in both; a row of one answer has no constant in either.
    assert found == pytest.approx(integrated(frame, beta, sd, slope), abs=1e-9)


def test_one_node_is_the_laplace_approximation() -> None:
    from warmgap.statistics.mixed.quadrature import quadrature_value

    mode = MixedModel(build_design(parse_formula("y ~ x + (1 | g)"), data(), None)).mode(
        np.array([0.1, 0.5, 0.9])
    )
    assert quadrature_value(mode, 1) == pytest.approx(mode.value, abs=1e-10)


@pytest.mark.parametrize(("scale", "slope"), [(1.0, False), (1.0, True), (1000.0, True), (1e-3, True)])
def test_derivatives(scale: float, slope: bool) -> None:
    formula = parse_formula(f"y ~ x + ({'0 + x' if slope else '1'} | g)")
    model = MixedModel(build_design(formula, data(scale), None), quadrature=7)
    unit = np.array([1.0, 1 / scale, 1 / scale if slope else 1.0])
    psi = np.array([-0.2, 0.7, 1.1]) * unit
    point = quadrature_point(model.design, model.mode(psi), 7)
    assert point.value == pytest.approx(model.value(psi), abs=1e-12)
    moves = np.diag(1e-3 * unit)
    first = [(model.value(psi + m) - model.value(psi - m)) / (2 * m.sum()) for m in moves]
    np.testing.assert_allclose(point.gradient_J * unit, np.array(first) * unit, atol=1e-5)
    second = [
        (
            quadrature_point(model.design, model.mode(psi + m), 7).gradient_J
            - quadrature_point(model.design, model.mode(psi - m), 7).gradient_J
        )
        / (2 * m.sum())
        for m in moves
    ]
    np.testing.assert_allclose(
        point.hessian_JJ * np.outer(unit, unit), second * np.outer(unit, unit), atol=1e-4
    )


def test_the_fit_maximises_the_integral() -> None:
    frame = data()
    fit = fit_glmm("y ~ x + (1 | g)", frame, quadrature=31)
    sd = float(fit.theta_H[0])
    best = integrated(frame, fit.beta_K, sd, False)
    assert fit.log_likelihood == pytest.approx(best, abs=1e-9)
    for move in np.eye(3) * 0.02:
        for sign in (-1, 1):
            beta = fit.beta_K + sign * move[:2]
            assert integrated(frame, beta, sd + sign * move[2], False) < best


def test_two_factors_are_refused() -> None:
    frame = data().with_columns(h=pl.int_range(pl.len()) % 5)
    for formula in ("y ~ x + (1 | g) + (1 | h)", "y ~ x + (x | g)"):
        with pytest.raises(MixedModelError, match=r"needs a single random term.*quadrature=1") as raised:
            fit_glmm(formula, frame, quadrature=5)
        assert raised.value.kind == "formula"
    for nodes in (0, -3, 102):
        with pytest.raises(MixedModelError, match="2 to 101 nodes"):
            fit_glmm("y ~ x + (1 | g)", frame, quadrature=nodes)

"""Gradient and Hessian of the Laplace approximation against central differences."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.derivatives import gradient, gradient_and_hessian
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.model import MixedModel

FORMULAS = {
    "single": ("y ~ warm + (1 | question)", False),
    "crossed": ("y ~ warm + (1 | question) + (1 | model) + (1 | task)", False),
    "slopes": ("y ~ warm + task + (warm | question) + (warm | model)", False),
    "apart": ("y ~ warm + x + (warm + x || question) + (1 | model)", False),
    "counts": ("y ~ warm * x + (x | question) + (warm || model)", True),
    "covariate": ("y ~ x + (x | question)", False),
    "three columns": ("y ~ task + (task | model) + (1 | question)", True),
    "nested": ("y ~ warm + (warm | task/question)", False),
    "mixed block": ("y ~ warm + (warm | question) + (0 + x | question) + (1 | model)", False),
}


@functools.cache
def model(name: str) -> MixedModel:
    formula, counts = FORMULAS[name]
    rng = np.random.default_rng(11)
    n = 140
    frame = pl.DataFrame(
        {
            "question": rng.integers(0, 7, n),
            "model": rng.integers(0, 4, n),
            "task": [("a", "b", "c")[i] for i in rng.integers(0, 3, n)],
            "warm": rng.integers(0, 2, n),
            "x": np.round(rng.normal(size=n), 1),
            "n": rng.integers(1, 6, n) if counts else np.ones(n, dtype=np.int64),
        }
    )
    frame = frame.with_columns(y=rng.binomial(frame["n"], special.expit(-0.3 + 0.5 * frame["warm"])))
    return MixedModel(build_design(parse_formula(formula), frame, "n" if counts else None))


def parameters(name: str, seed: int) -> np.ndarray:
    design = model(name).design
    rng = np.random.default_rng(seed)
    diagonal = [d for block in design.blocks for d in block.diagonal]
    theta = np.where(
        diagonal, rng.uniform(0.2, 1.6, len(diagonal)), rng.normal(scale=0.6, size=len(diagonal))
    )
    return np.concatenate([rng.normal(scale=0.8, size=len(design.names)), theta])


def differences(function: object, psi: np.ndarray, step: float) -> np.ndarray:
    assert callable(function)
    moves = step * np.eye(psi.size)
    return np.array([(function(psi + move) - function(psi - move)) / (2 * step) for move in moves])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", FORMULAS)
def test_gradient(name: str, seed: int) -> None:
    psi = parameters(name, seed)
    found = gradient(model(name).mode(psi))
    # Richardson's extrapolation of two steps leaves an error of the order of step**4.
    coarse, fine = (differences(model(name).value, psi, step) for step in (2e-3, 1e-3))
    np.testing.assert_allclose(found, (4 * fine - coarse) / 3, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("name", FORMULAS)
def test_hessian(name: str, seed: int) -> None:
    psi = parameters(name, seed)
    found_gradient, found, _ = gradient_and_hessian(model(name).mode(psi))
    np.testing.assert_allclose(found_gradient, gradient(model(name).mode(psi)), rtol=1e-12)
    coarse, fine = (differences(lambda p: gradient(model(name).mode(p)), psi, step) for step in (2e-3, 1e-3))
    expected = (4 * fine - coarse) / 3
    np.testing.assert_allclose(found, (expected + expected.T) / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["slopes", "apart"])
def test_near_zero_variances(name: str) -> None:
    # Whitened effects keep both exact where the precision matrix has entries of 1e8.
    design = model(name).design
    psi = parameters(name, 5)
    diagonal = np.array([d for block in design.blocks for d in block.diagonal])
    psi[len(design.names) :] = np.where(diagonal, 1e-4, 0.0)
    mode = model(name).mode(psi)
    found_gradient, found, _ = gradient_and_hessian(mode)
    expected = differences(lambda p: gradient(model(name).mode(p)), psi, 3e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    # The likelihood is even in the sd of an effect, so that its derivative at 1e-4 is 1e-4 times the second.
    sd = len(design.names) + np.flatnonzero(diagonal)
    np.testing.assert_allclose(found_gradient[sd], 1e-4 * np.diag(found)[sd], rtol=1e-4)


@pytest.mark.parametrize("name", FORMULAS)
def test_moves_of_the_effects(name: str) -> None:
    psi = parameters(name, 6)
    mode = model(name).mode(psi)
    _, _, (move_large, move_small) = gradient_and_hessian(mode)
    factors = [p.factor_BB for p in mode.priors]

    def whitened(p: np.ndarray) -> np.ndarray:
        """b at other parameters, whitened by L at these."""
        at = model(name).mode(p)
        out = [at.effects.large_QB @ at.priors[0].factor_BB.T @ np.linalg.inv(factors[0]).T]
        rest, offset = at.effects.small_R, 0
        for block, prior, l_bb in zip(model(name).design.small, at.priors[1:], factors[1:], strict=True):
            part = rest[offset : offset + block.size].reshape(-1, len(block.columns))
            out.append(part @ prior.factor_BB.T @ np.linalg.inv(l_bb).T)
            offset += block.size
        return np.concatenate([values.ravel() for values in out])

    found = np.concatenate([move_large.reshape(-1, psi.size), move_small])
    np.testing.assert_allclose(found.T, differences(whitened, psi, 1e-4), rtol=1e-5, atol=1e-6)

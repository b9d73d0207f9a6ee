"""The trace term of the Hessian against dense products of matrices."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.mixed import fit_glmm, trace
from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.derivatives import gradient_and_hessian
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.laplace import Mode, normal_matrix
from warmgap.statistics.mixed.model import MixedModel


def model(formula: str) -> MixedModel:
    rng = np.random.default_rng(2)
    n = 90
    frame = pl.DataFrame(
        {
            "question": rng.integers(0, 6, n),
            "model": rng.integers(0, 3, n),
            "statement": rng.integers(0, 5, n),
            "warm": rng.integers(0, 2, n),
        }
    )
    frame = frame.with_columns(y=rng.binomial(1, special.expit(0.4 * frame["warm"] - 0.2)))
    return MixedModel(build_design(parse_formula(formula), frame, None))


def dense(parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    d, c, a = parts
    levels, width, small = c.shape
    n = levels * width
    out = np.zeros((n + small, n + small))
    for q in range(levels):
        out[q * width : (q + 1) * width, q * width : (q + 1) * width] = d[q]
    out[:n, n:] = c.reshape(n, small)
    out[n:, :n] = out[:n, n:].T
    out[n:, n:] = a
    return out


def whitening(mode: Mode, at: Mode) -> np.ndarray:
    """From effects whitened at one place to those whitened at another."""
    turns = [np.linalg.inv(p.factor_BB) @ q.factor_BB for p, q in zip(mode.priors, at.priors, strict=True)]
    levels = [len(block.levels) for block in mode.design.blocks]
    blocks = [np.kron(np.eye(n), turn) for n, turn in zip(levels, turns, strict=True)]
    size = sum(len(b) for b in blocks)
    out, offset = np.zeros((size, size)), 0
    for b in blocks:
        out[offset : offset + len(b), offset : offset + len(b)] = b
        offset += len(b)
    return out


FORMULAS = [
    "y ~ warm + (warm | question)",
    "y ~ warm + (1 | question) + (1 | model)",
    "y ~ warm + (warm | question) + (warm | statement) + (1 | model)",
]
PSI = [
    [0.3, -0.2, 0.8, 0.3, 0.5],
    [0.3, -0.2, 0.8, 0.6],
    [0.3, -0.2, 0.8, 0.3, 0.5, 0.7, -0.2, 0.4, 0.6],
]


@pytest.mark.parametrize("widest", [1, 3, 64])
@pytest.mark.parametrize(("formula", "psi"), zip(FORMULAS, PSI, strict=True))
def test_against_dense(formula: str, psi: list[float], widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_WIDEST", widest)
    at, found_at = np.array(psi), model(formula)
    mode = found_at.mode(at)
    m = dense(normal_matrix(mode.design, mode.weight_N))

    def matrix(moved: np.ndarray) -> np.ndarray:
        """M at other parameters, in the coordinates whitened at these."""
        other = found_at.mode(moved)
        turn = whitening(other, mode)
        # L' Z'WZ L + L' P L, of which the first is in other's whitened coordinates with its own prior of one.
        inner = dense(normal_matrix(other.design, other.weight_N)) - np.eye(len(m))
        return turn.T @ inner @ turn + turn.T @ turn

    step = 1e-4
    moves = step * np.eye(at.size)
    t = [np.linalg.solve(m, (matrix(at + move) - matrix(at - move)) / (2 * step)) for move in moves]
    expected = np.array([[np.trace(one @ two) for two in t] for one in t])

    caught: list[np.ndarray] = []
    real = trace.trace_products
    monkeypatch.setattr(
        "warmgap.statistics.mixed.derivatives.trace_products", lambda *a: caught.append(real(*a)) or caught[0]
    )
    gradient_and_hessian(mode)
    np.testing.assert_allclose(caught[0], expected, rtol=1e-5, atol=1e-6)


def test_by_level_is_exact_with_one_factor() -> None:
    mode = model(FORMULAS[0]).mode(np.array(PSI[0]))
    exact, steering = (gradient_and_hessian(mode, exact=e)[1] for e in (True, False))
    np.testing.assert_allclose(steering, exact, rtol=1e-12)


def test_steering_ends_at_the_same_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    question, model_, warm, _ = (
        a.ravel() for a in np.meshgrid(range(25), range(6), (0, 1), range(3), indexing="ij")
    )
    effect = rng.multivariate_normal([0, 0], [[1.0, -0.2], [-0.2, 0.5]], size=25)
    logit = (
        -0.4
        + 0.5 * warm
        + effect[question, 0]
        + effect[question, 1] * warm
        + 0.6 * rng.normal(size=6)[model_]
    )
    frame = pl.DataFrame(
        {"y": rng.binomial(1, special.expit(logit)), "question": question, "model": model_, "warm": warm}
    )
    formula = "y ~ warm + (warm | question) + (warm | model)"
    exact = fit_glmm(formula, frame)
    monkeypatch.setattr("warmgap.statistics.mixed.optimise._FEW_EFFECTS", 0)
    steered = fit_glmm(formula, frame)
    assert steered.optimum.point.exact
    assert steered.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(steered.psi_J, exact.psi_J, atol=1e-6)
    np.testing.assert_allclose(steered.joint_cov, exact.joint_cov, atol=1e-6)

"""The Cholesky parametrisation and the whitened prior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from warmgap.statistics.mixed.covariance import (
    SMALLEST_SD,
    Block,
    covariance,
    covariance_derivatives,
    factor,
    prior,
    theta_of,
)


def block(sizes: tuple[int, ...], largest: float = 1.0) -> Block:
    """Terms of these sizes, uncorrelated with one another."""
    free, first = [], 0
    for size in sizes:
        free += [(i, j) for i in range(first, first + size) for j in range(first, i + 1)]
        first += size
    columns = tuple(f"c{i}" for i in range(first))
    return Block("g", columns, ("1", "2"), tuple(free), (largest,) * first)


def differences(
    function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    moves = step * np.eye(at.size)
    return np.array([(function(at + move) - function(at - move)) / (2 * step) for move in moves])


SIZES = st.sampled_from([(1,), (2,), (3,), (1, 1), (2, 1), (1, 2), (1, 3)])


@st.composite
def blocks_and_theta(draw: st.DrawFn) -> tuple[Block, np.ndarray]:
    found = block(draw(SIZES))
    values = draw(arrays(np.float64, len(found.free), elements=st.floats(-3, 3)))
    diagonal = np.array(found.diagonal)
    return found, np.where(diagonal, np.abs(values) + 0.05, values)


@given(blocks_and_theta())
def test_theta_to_covariance_and_back(case: tuple[Block, np.ndarray]) -> None:
    found, theta = case
    g = covariance(found, theta)
    assert np.linalg.eigvalsh(g).min() > 0
    np.testing.assert_allclose(theta_of(found, g), theta, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.linalg.cholesky(g), factor(found, theta), rtol=1e-6, atol=1e-8)


@given(blocks_and_theta())
def test_singular_matrices_keep_their_covariance(case: tuple[Block, np.ndarray]) -> None:
    found, theta = case
    theta = theta.copy()
    theta[[k for k, (i, j) in enumerate(found.free) if i == j][-1]] = 0.0
    g = covariance(found, theta)
    again = theta_of(found, g)
    np.testing.assert_allclose(covariance(found, again), g, atol=1e-7)
    assert np.all(again[np.array(found.diagonal)] >= SMALLEST_SD)


def test_zero_is_the_smallest_movement_of_the_logit() -> None:
    found = block((1, 1), largest=1000.0)
    assert theta_of(found, np.zeros((2, 2))) == pytest.approx([SMALLEST_SD / 1000] * 2)


@pytest.mark.parametrize(
    ("sizes", "matrix", "reason"),
    [
        ((2,), [[1.0, 2.0], [2.0, 1.0]], "eigenvalues"),
        ((2,), [[1.0, 0.5], [0.2, 1.0]], "symmetric"),
        ((2,), [[1.0]], "2 x 2"),
        ((1, 1), [[1.0, 0.5], [0.5, 1.0]], "keeps apart"),
    ],
)
def test_other_matrices_are_refused(sizes: tuple[int, ...], matrix: list[list[float]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        theta_of(block(sizes), np.array(matrix))


@given(blocks_and_theta())
def test_derivatives_of_the_covariance(case: tuple[Block, np.ndarray]) -> None:
    found, theta = case
    first, second = covariance_derivatives(found, theta)
    np.testing.assert_allclose(first, differences(lambda t: covariance(found, t), theta), atol=1e-8)
    np.testing.assert_allclose(
        second, differences(lambda t: covariance_derivatives(found, t)[0], theta), atol=1e-8
    )


@pytest.mark.parametrize("sizes", [(1,), (2,), (3,), (2, 1)])
def test_derivatives_of_the_whitened_precision(sizes: tuple[int, ...]) -> None:
    found = block(sizes)
    rng = np.random.default_rng(1)
    theta = np.where(found.diagonal, rng.uniform(0.5, 1.5, len(found.free)), rng.normal(size=len(found.free)))
    l_bb = factor(found, theta)

    def whitened(t: np.ndarray) -> np.ndarray:
        return l_bb.T @ np.linalg.inv(covariance(found, t)) @ l_bb

    def half_log_det(t: np.ndarray) -> np.ndarray:
        return np.array(np.linalg.slogdet(covariance(found, t))[1] / 2)

    at = prior(found, theta)
    np.testing.assert_allclose(at.first_HBB, differences(whitened, theta), atol=1e-7)
    second = differences(lambda t: differences(whitened, t, 1e-4), theta, 1e-4)
    np.testing.assert_allclose(at.second_HHBB, second, atol=1e-4)
    np.testing.assert_allclose(at.log_det_first_H, differences(half_log_det, theta), atol=1e-8)
    second = differences(lambda t: differences(half_log_det, t, 1e-4), theta, 1e-4)
    np.testing.assert_allclose(np.diag(at.log_det_second_H), second, atol=1e-5)

"""The block factorisation against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from warmgap.statistics.mixed.factorise import Factorised, factorise


def parts(levels: int, width: int, small: int, seed: int) -> tuple[Factorised, np.ndarray]:
    """A factorised matrix and the same matrix, dense."""
    rng = np.random.default_rng(seed)
    n = levels * width
    root = np.zeros((3 * (n + small), n + small))
    for row in root:
        level = rng.integers(levels)
        row[level * width : (level + 1) * width] = rng.normal(size=width)
        row[n:] = rng.normal(size=small)
    dense = root.T @ root + np.eye(n + small)
    d = np.stack([dense[q * width : (q + 1) * width, q * width : (q + 1) * width] for q in range(levels)])
    c = dense[:n, n:].reshape(levels, width, small)
    return factorise(d, c, dense[n:, n:]), dense


SHAPES = [(1, 1, 0), (7, 1, 0), (6, 3, 0), (5, 1, 4), (4, 2, 5)]


@pytest.mark.parametrize(("levels", "width", "small"), SHAPES)
def test_against_dense(levels: int, width: int, small: int) -> None:
    found, dense = parts(levels, width, small, 3)
    assert found.log_det == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-12)
    inverse = np.linalg.inv(dense)
    n = levels * width
    np.testing.assert_allclose(found.small_inverse(), inverse[n:, n:], atol=1e-12)
    k = found.small_root()
    np.testing.assert_allclose(k @ k.T, inverse[n:, n:], atol=1e-12)
    assert np.array_equal(k, np.triu(k))
    right = np.random.default_rng(4).normal(size=(n + small, 3))
    large, rest = found.solve(right[:n].reshape(levels, width, 3), right[n:])
    solved = np.concatenate([large.reshape(n, 3), rest])
    np.testing.assert_allclose(solved, inverse @ right, atol=1e-12)
    one_large, one_rest = found.solve(right[:n, 0].reshape(levels, width), right[n:, 0])
    np.testing.assert_allclose(
        np.concatenate([one_large.ravel(), one_rest]), inverse @ right[:, 0], atol=1e-12
    )


@pytest.mark.parametrize("width", [1, 2])
def test_what_is_not_positive_definite_is_refused(width: int) -> None:
    none = np.zeros((1, width, 0))
    with pytest.raises(np.linalg.LinAlgError):
        factorise(-np.eye(width)[None], none, np.zeros((0, 0)))

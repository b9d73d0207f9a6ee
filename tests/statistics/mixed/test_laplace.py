"""The Laplace approximation against a dense transcription of its definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from scipy import linalg, special

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.model import MixedModel

Columns = Callable[[pl.DataFrame], list[np.ndarray]]


def data(counts: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    n = 160
    frame = pl.DataFrame(
        {
            "question": rng.integers(0, 9, n),
            "model": rng.integers(0, 4, n),
            "task": [("a", "b", "c")[i] for i in rng.integers(0, 3, n)],
            "warm": rng.integers(0, 2, n),
            "x": rng.normal(size=n),
            "n": rng.integers(1, 6, n) if counts else np.ones(n, dtype=np.int64),
        }
    )
    return frame.with_columns(y=rng.binomial(frame["n"], special.expit(-0.3 + 0.5 * frame["warm"])))


def one(frame: pl.DataFrame) -> list[np.ndarray]:
    return [np.ones(frame.height)]


def one_and_warm(frame: pl.DataFrame) -> list[np.ndarray]:
    return [np.ones(frame.height), frame["warm"].to_numpy()]


def one_and_x(frame: pl.DataFrame) -> list[np.ndarray]:
    return [np.ones(frame.height), frame["x"].to_numpy()]


@dataclass(frozen=True)
class Case:
    """A formula and the same model written out: fixed columns, then groups with their columns."""

    formula: str
    fixed: Columns
    groups: Sequence[tuple[tuple[str, ...], Columns]]
    counts: bool = False
    uncorrelated: bool = False


CASES = {
    "single": Case("y ~ warm + (1 | question)", one_and_warm, [(("question",), one)]),
    "counts": Case("y ~ warm + (1 | question)", one_and_warm, [(("question",), one)], counts=True),
    "crossed": Case(
        "y ~ warm + (1 | question) + (1 | model)", one_and_warm, [(("question",), one), (("model",), one)]
    ),
    "slopes": Case(
        "y ~ warm + (warm | question) + (1 + warm | model)",
        one_and_warm,
        [(("question",), one_and_warm), (("model",), one_and_warm)],
    ),
    "apart": Case(
        "y ~ x + (x || question) + (1 | task)",
        one_and_x,
        [(("question",), one_and_x), (("task",), one)],
        counts=True,
        uncorrelated=True,
    ),
    "covariate": Case("y ~ x + (x | model)", one_and_x, [(("model",), one_and_x)]),
    "nested": Case("y ~ 1 + (1 | task/question)", one, [(("task",), one), (("task", "question"), one)]),
}


def dense_negative_log_likelihood(
    case: Case, frame: pl.DataFrame, beta: np.ndarray, covariances: Sequence[np.ndarray]
) -> float:
    """h(b^) + ½ log|Z'WZ + P| + ½ log|G|, with dense matrices and the binomial constant left out."""
    x = np.column_stack(case.fixed(frame))
    y, n = frame["y"].to_numpy(), frame["n"].to_numpy()
    z, g = [], []
    for (group, columns), covariance in zip(case.groups, covariances, strict=True):
        keys = [tuple(row) for row in frame.select(group).rows()]
        levels = sorted(set(keys))
        member = np.array([[key == level for level in levels] for key in keys], dtype=float)
        z.append(np.concatenate([member * column[:, None] for column in columns(frame)], axis=1))
        g.append(np.kron(covariance, np.eye(len(levels))))
    z_all, g_all = np.concatenate(z, axis=1), linalg.block_diag(*g)
    p = np.linalg.inv(g_all)
    b = np.zeros(z_all.shape[1])
    for _ in range(100):
        mu = special.expit(x @ beta + z_all @ b)
        m = z_all.T @ (z_all * (n * mu * (1 - mu))[:, None]) + p
        step = np.linalg.solve(m, z_all.T @ (y - n * mu) - p @ b)
        b = b + step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
    eta = x @ beta + z_all @ b
    h = float(np.sum(n * np.logaddexp(0, eta) - y * eta)) + b @ p @ b / 2
    return h + (np.linalg.slogdet(m)[1] + np.linalg.slogdet(g_all)[1]) / 2


def random_parameters(case: Case, frame: pl.DataFrame, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    covariances = []
    for _, columns in case.groups:
        size = len(columns(frame))
        root = rng.normal(size=(size, size)) * rng.uniform(0.2, 1.5)
        g = root @ root.T + 0.01 * np.eye(size)
        covariances.append(np.diag(np.diag(g)) if case.uncorrelated else g)
    return rng.normal(size=len(case.fixed(frame))), covariances


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_log_likelihood(name: str, seed: int) -> None:
    case = CASES[name]
    frame = data(case.counts)
    beta, covariances = random_parameters(case, frame, seed)
    design = build_design(parse_formula(case.formula), frame, "n" if case.counts else None)
    by_group = {":".join(group): g for (group, _), g in zip(case.groups, covariances, strict=True)}
    found = MixedModel(design).log_likelihood(beta, by_group) - design.log_binomial
    expected = -dense_negative_log_likelihood(case, frame, beta, covariances)
    assert found == pytest.approx(expected, abs=1e-9)


def test_no_variance_is_the_plain_likelihood() -> None:
    frame = data()
    design = build_design(parse_formula("y ~ warm + (warm | question) + (1 | model)"), frame, None)
    beta = np.array([-0.4, 0.7])
    found = MixedModel(design).log_likelihood(beta, {"question": np.zeros((2, 2)), "model": np.zeros((1, 1))})
    eta = beta[0] + beta[1] * frame["warm"].to_numpy()
    assert found == pytest.approx(float(np.sum(frame["y"].to_numpy() * eta - np.logaddexp(0, eta))), abs=1e-7)


@pytest.mark.parametrize("start", [0.0, 3.0, -8.0])
def test_the_mode_does_not_depend_on_where_the_search_begins(start: float) -> None:
    design = build_design(parse_formula("y ~ warm + (warm | question) + (1 | model)"), data(), None)
    model = MixedModel(design)
    psi = np.array([0.2, -0.5, 1.2, -0.4, 0.8, 0.5])
    reference = model.mode(psi)
    effects = type(reference.effects)(
        reference.effects.large_QB * 0 + start, reference.effects.small_R * 0 - start
    )
    found = model.mode(psi, effects)
    np.testing.assert_allclose(found.effects.large_QB, reference.effects.large_QB, atol=1e-7)
    np.testing.assert_allclose(found.effects.small_R, reference.effects.small_R, atol=1e-7)
    assert found.value == pytest.approx(reference.value, abs=1e-10)

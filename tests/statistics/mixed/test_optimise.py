"""Newton's search: bounds, rotations at a zero, steps that fail."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.covariance import SMALLEST_SD, covariance
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.laplace import split_theta
from warmgap.statistics.mixed.model import MixedModel, Tracker
from warmgap.statistics.mixed.optimise import Optimum, Point, minimise, straightened


def design(formula: str = "y ~ warm + (warm + x | question) + (1 | model)") -> Design:
    rng = np.random.default_rng(6)
    n = 400
    frame = pl.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "question": rng.integers(0, 15, n),
            "model": rng.integers(0, 4, n),
            "warm": rng.integers(0, 2, n),
            "x": rng.normal(size=n),
        }
    )
    return build_design(parse_formula(formula), frame, None)


BUILT = design()


def search(built: Design, fixed: list[int] = [], start: np.ndarray | None = None) -> Optimum:  # noqa: B006
    tracker = Tracker(MixedModel(built))
    n_theta = built.unit_J.size - len(built.names)
    diagonal = np.array([d for block in built.blocks for d in block.diagonal], dtype=float)
    first = (
        np.concatenate([np.zeros(built.unit_J.size - n_theta), 0.5 * diagonal * built.unit_J[-n_theta:]])
        if start is None
        else start
    )
    fixed_J = np.isin(np.arange(first.size), fixed)
    return minimise(built, tracker.derivatives, tracker.value, first, fixed_J)


@given(
    st.lists(st.floats(-2, 2), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_straightening_keeps_the_covariance(values: list[float], zero: list[bool]) -> None:
    theta = np.array([*values, 0.7])
    diagonal = [k for k, (i, j) in enumerate(BUILT.large.free) if i == j]
    theta[diagonal] = np.where(zero, 0.0, np.abs(theta[diagonal]) + 0.1)
    flat = np.zeros(7, dtype=bool)
    flat[diagonal] = zero
    found = straightened(BUILT, theta, flat)
    before, after = (covariance(BUILT.large, split_theta(BUILT, t)[0]) for t in (theta, found))
    np.testing.assert_allclose(after, before, atol=1e-12)
    assert found[6] == 0.7
    for k, (i, j) in enumerate(BUILT.large.free):
        if i != j and zero[j] and found[diagonal[j]] == theta[diagonal[j]]:
            assert abs(found[k]) < 1e-12


def test_the_maximum_of_a_general_purpose_search() -> None:
    built = design("y ~ warm + (1 | question)")
    model = MixedModel(built)
    found = search(built)
    reference = optimize.minimize(
        model.value, [0.0, 0.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}
    )
    assert found.converged
    assert found.point.value <= reference.fun + 1e-9
    np.testing.assert_allclose(found.point.psi_J[:2], reference.x[:2], atol=1e-4)


def test_from_a_zero_that_is_none_the_search_gets_away() -> None:
    rng = np.random.default_rng(9)
    question = np.repeat(np.arange(20), 12)
    y = rng.binomial(1, 1 / (1 + np.exp(-1.3 * rng.normal(size=20)[question])))
    built = build_design(
        parse_formula("y ~ 1 + (1 | question)"), pl.DataFrame({"y": y, "question": question}), None
    )
    found, away = search(built), search(built, start=np.array([0.0, SMALLEST_SD]))
    assert found.converged and away.converged
    assert found.point.psi_J[1] > 0.5
    np.testing.assert_allclose(away.point.psi_J, found.point.psi_J, atol=1e-5)


def test_fixed_parameters_stay() -> None:
    found = search(BUILT, fixed=[1, 8])
    assert found.point.psi_J[1] == 0.0 and found.point.psi_J[8] == 0.5
    assert not found.free_J[[1, 8]].any()
    assert np.all(found.covariance()[[1, 8]] == 0.0)


def test_covariance_is_the_inverse_of_the_free_hessian() -> None:
    found = search(design("y ~ warm + x + (1 | question)"), fixed=[2])
    free = np.ix_(found.free_J, found.free_J)
    np.testing.assert_allclose(
        found.covariance()[free] @ found.point.hessian_JJ[free], np.eye(int(found.free_J.sum())), atol=1e-9
    )
    assert found.eigenvalues_F.min() > 0


def test_a_search_that_finds_no_lower_point_says_so() -> None:
    built = design("y ~ warm + (1 | question)")
    size = built.unit_J.size

    def derivatives(psi_J: np.ndarray, exact: bool) -> Point:
        return Point(psi_J, 0.0, np.ones(size), np.eye(size), exact)

    stuck = minimise(built, derivatives, lambda _: np.inf, np.full(size, 0.5), np.zeros(size, dtype=bool))
    assert not stuck.converged
    assert stuck.gradient_norm == 1.0


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_change_the_path(scale: float) -> None:
    rng = np.random.default_rng(6)
    x, question = rng.normal(size=300), rng.integers(0, 20, 300)
    y = rng.binomial(1, 1 / (1 + np.exp(-x - rng.normal(size=20)[question])))
    found = []
    for unit in (1.0, scale):
        frame = pl.DataFrame({"y": y, "question": question, "x": unit * x})
        found.append(search(build_design(parse_formula("y ~ x + (x | question)"), frame, None)))
    one, other = found
    assert one.steps == other.steps
    np.testing.assert_allclose(other.eigenvalues_F, one.eigenvalues_F, rtol=1e-4)
    assert other.point.value == pytest.approx(one.point.value, abs=1e-9)
    assert other.point.psi_J[1] * scale == pytest.approx(one.point.psi_J[1], rel=1e-6)

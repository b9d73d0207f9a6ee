"""Patterns and cells rebuild the rows of the data, and the sums over them are dense sums."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.formula import parse_formula


def data() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    n = 300
    return pl.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "question": rng.integers(10, 30, n),
            "model": [f"m{i}" for i in rng.integers(0, 4, n)],
            "task": [("a", "b")[i] for i in rng.integers(0, 2, n)],
            "warm": rng.integers(0, 2, n),
        }
    )


@pytest.fixture
def design() -> Design:
    return build_design(
        parse_formula("y ~ warm * task + (warm | question) + (1 | model) + (warm || task)"), data(), None
    )


def dense(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, and z of the large and of the small factors, per cell."""
    width = len(design.large.columns)
    large = np.zeros((design.level_N.size, design.large.size))
    for n, (level, pattern) in enumerate(zip(design.level_N, design.pattern_N, strict=True)):
        large[n, level * width : (level + 1) * width] = design.large_PB[pattern]
    return design.x_PK[design.pattern_N], large, design.small_PR.toarray()[design.pattern_N]


def test_cells_hold_every_answer_once(design: Design) -> None:
    assert design.trials_N.sum() == 300
    assert design.events_N.sum() == data()["y"].sum()
    assert (
        len(set(zip(design.level_N.tolist(), design.pattern_N.tolist(), strict=True))) == design.level_N.size
    )
    counted = data().group_by("question", "model", "task", "warm").len()
    assert design.level_N.size == counted.height
    assert sorted(design.trials_N.tolist()) == sorted(counted["len"].cast(pl.Float64).to_list())


def test_columns_of_the_cells_are_those_of_the_rows(design: Design) -> None:
    frame = data()
    warm, b = frame["warm"].to_numpy(), (frame["task"] == "b").to_numpy()
    x = np.column_stack([np.ones(300), warm, b, warm * b])
    assert design.names == ("Intercept", "warm", "task[T.b]", "warm:task[T.b]")
    members = []
    per_block = ([np.ones(300), warm], [np.ones(300)], [np.ones(300), warm])
    for block, columns in zip(design.blocks, per_block, strict=True):
        levels = frame[block.group].cast(pl.String).to_numpy()
        members += [np.where(levels == level, column, 0.0) for level in block.levels for column in columns]
    rows = np.column_stack([x, *members])
    cells = np.column_stack(dense(design))
    # The sums of outer products, weighted by answers and by events, are the same for rows and cells.
    np.testing.assert_allclose(cells.T @ (design.trials_N[:, None] * cells), rows.T @ rows, atol=1e-9)
    y = frame["y"].to_numpy()
    np.testing.assert_allclose(cells.T @ design.events_N, rows.T @ y, atol=1e-9)


def test_the_largest_block_comes_first(design: Design) -> None:
    assert [block.group for block in design.blocks] == ["question", "model", "task"]
    assert [block.size for block in design.blocks] == [40, 4, 4]
    assert design.n_small == 8
    assert design.terms == ((0, (0, 1)), (1, (0,)), (2, (0,)), (2, (1,)))
    assert design.blocks[2].free == ((0, 0), (1, 1))


def test_sums(design: Design) -> None:
    value = np.random.default_rng(0).normal(size=design.level_N.size)
    levels, patterns = design.level_N.max() + 1, design.x_PK.shape[0]
    by_level = [value[design.level_N == q].sum() for q in range(levels)]
    np.testing.assert_allclose(design.per_large_level(value), by_level, atol=1e-12)
    by_pattern = [value[design.pattern_N == p].sum() for p in range(patterns)]
    np.testing.assert_allclose(design.per_pattern(value), by_pattern, atol=1e-12)
    weights = np.zeros((levels, patterns))
    weights[design.level_N, design.pattern_N] = value
    np.testing.assert_allclose(design.per_level(value).toarray(), weights, atol=0)


def test_links_are_the_pairs_that_meet(design: Design) -> None:
    pairs = set(zip(design.links.level_L.tolist(), design.links.effect_L.tolist(), strict=True))
    assert len(pairs) == design.links.level_L.size
    for slot, link_N in enumerate(design.links.of_SN):
        assert np.array_equal(design.links.level_L[link_N], design.level_N)
        assert np.array_equal(design.links.effect_L[link_N], design.small_index_PS[design.pattern_N, slot])


def test_whitening_multiplies_the_columns_by_the_factor(design: Design) -> None:
    rng = np.random.default_rng(1)
    factors = [np.tril(rng.normal(size=(len(b.columns),) * 2)) for b in design.blocks]
    white = design.whitened(factors)
    np.testing.assert_allclose(white.large_PB, design.large_PB @ factors[0], atol=1e-15)
    turn = np.zeros((design.n_small, design.n_small))
    offset = 0
    for block, l_bb in zip(design.small, factors[1:], strict=True):
        place = slice(offset, offset + block.size)
        turn[place, place] = np.kron(np.eye(len(block.levels)), l_bb)
        offset += block.size
    np.testing.assert_allclose(white.small_PR.toarray(), design.small_PR.toarray() @ turn, atol=1e-15)


def test_units_of_parameters() -> None:
    frame = data().with_columns(x=pl.int_range(pl.len()) * 10.0)
    design = build_design(parse_formula("y ~ x + (1 + x | question)"), frame, None)
    np.testing.assert_allclose(design.unit_J, [1, 1 / 2990, 1, 1 / 2990, 1 / 2990])

"""What a design is refused for, and how groups, counts and types are read."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.problems import MixedModelError


def data(n: int = 240) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    return pl.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "question": rng.integers(0, 12, n),
            "model": [f"m{i}" for i in rng.integers(0, 3, n)],
            "warm": rng.integers(0, 2, n),
            "x": rng.normal(size=n),
        }
    ).with_columns(task=pl.col("question") % 3)


def built(formula: str, frame: pl.DataFrame, trials: str | None = None) -> Design:
    return build_design(parse_formula(formula), frame, trials)


@pytest.mark.parametrize(
    ("random", "terms"),
    [
        ("(1 | question) + (1 | question)", ("(1 | question)", "(1 | question)")),
        ("(1 + warm | question) + (1 | question)", ("(1 + warm | question)", "(1 | question)")),
        ("(1 | task:question) + (1 | question)", ("(1 | task:question)", "(1 | question)")),
        ("(1 | question:model) + (1 | model:question)", ("(1 | question:model)", "(1 | model:question)")),
        (
            "(0 + x | question) + (0 + I(2 * x) | question)",
            ("(0 + x | question)", "(0 + I(2 * x) | question)"),
        ),
    ],
)
def test_the_same_variance_twice_is_refused(random: str, terms: tuple[str, ...]) -> None:
    with pytest.raises(
        MixedModelError, match=r"varies over the same sets of answers.*Leave one of them out"
    ) as raised:
        built(f"y ~ warm + {random}", data())
    assert (raised.value.kind, raised.value.terms) == ("rank", terms)


def test_other_terms_of_the_same_group_are_one_block() -> None:
    design = built("y ~ warm + (warm | question) + (0 + x | question) + (1 | task)", data())
    assert [block.group for block in design.blocks] == ["question", "task"]
    assert design.large.columns == ("Intercept", "warm", "x")
    assert design.large.free == ((0, 0), (1, 0), (1, 1), (2, 2))


@pytest.mark.parametrize(
    "formula", ["y ~ warm + (1 | y)", "y ~ warm + y + (1 | question)", "y ~ warm + (y | question)"]
)
def test_the_response_on_the_right_is_refused(formula: str) -> None:
    with pytest.raises(MixedModelError, match=r"has the response .* on its right side") as raised:
        built(formula, data())
    assert (raised.value.kind, raised.value.terms) == ("formula", ("y",))


def test_no_fixed_column_is_refused() -> None:
    with pytest.raises(MixedModelError, match="Leave the intercept in"):
        built("y ~ 0 + (1 | question)", data())
    assert built("y ~ 0 + warm + (1 | question)", data()).names == ("warm",)
    assert built("y ~ 1 + (1 | question)", data()).names == ("Intercept",)


def test_rows_without_trials_take_no_part() -> None:
    rng = np.random.default_rng(1)
    frame = data().with_columns(n=pl.Series(rng.integers(1, 5, 240)))
    frame = frame.with_columns(y=pl.Series(rng.binomial(frame["n"], 0.4)))
    empty = frame.head(5).with_columns(
        y=0 * pl.col("y"), n=0 * pl.col("n"), warm=pl.lit(9), question=pl.lit(99)
    )
    full, more = (
        built("y ~ warm + (1 | question)", f, "n")
        for f in (frame, pl.concat([empty, frame], how="vertical_relaxed"))
    )
    assert more.large.levels == full.large.levels
    assert more.n_rows == full.n_rows
    assert np.array_equal(more.x_PK, full.x_PK)
    assert more.log_binomial == full.log_binomial


def test_column_types_do_not_matter() -> None:
    frame = data()
    plain = built("y ~ warm + model + (warm | question) + (1 | model)", frame)
    typed = built(
        "y ~ warm + model + (warm | question) + (1 | model)",
        frame.with_columns(
            pl.col("y").cast(pl.Boolean),
            pl.col("warm").cast(pl.Boolean),
            pl.col("question").cast(pl.Float32),
            pl.col("model").cast(pl.Categorical),
        ),
    )
    assert typed.names == plain.names
    assert np.array_equal(typed.x_PK, plain.x_PK)
    assert np.array_equal(typed.events_N, plain.events_N)
    assert np.array_equal(typed.small_index_PS, plain.small_index_PS)


def test_a_continuous_covariate_makes_a_pattern_of_every_row() -> None:
    design = built("y ~ x + (1 | question)", data())
    assert design.x_PK.shape[0] == 240
    assert set(design.trials_N.tolist()) == {1.0}


def test_empty_levels_of_an_enum_are_no_levels() -> None:
    frame = data().with_columns(pl.col("model").cast(pl.Enum(["m0", "m1", "m2", "m3"])))
    design = built("y ~ warm + (1 | model)", frame)
    assert design.large.levels == ("m0", "m1", "m2")


def test_names_with_spaces() -> None:
    frame = data().rename({"y": "is wrong", "warm": "warm arm", "question": "question id"})
    design = built("`is wrong` ~ `warm arm` + (`warm arm` | `question id`)", frame)
    assert design.names == ("Intercept", "warm arm")
    assert design.large.group == "question id"

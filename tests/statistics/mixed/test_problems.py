"""A model that cannot be fitted is refused with its kind, the terms to blame and the remedy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.statistics.mixed import MixedModelError, fit_glmm


def answers() -> pl.DataFrame:
    """24 questions, 4 models, 3 framings, both arms, two draws: nothing is wrong with them."""
    rng = np.random.default_rng(17)
    question, model, framing, warm, draw = (
        a.ravel() for a in np.meshgrid(range(24), range(4), range(3), (0, 1), range(2), indexing="ij")
    )
    logit = -0.4 + 0.5 * warm + rng.normal(size=24)[question] + 0.4 * rng.normal(size=4)[model]
    return pl.DataFrame(
        {
            "y": rng.binomial(1, 1 / (1 + np.exp(-logit))),
            "question": question,
            "model": [f"m{i}" for i in model],
            "framing": [("filler", "happy", "sad")[i] for i in framing],
            "warm": warm,
            "draw": draw,
            "x": rng.normal(size=question.size),
            "n": np.full(question.size, 3),
        }
    )


def at_row(column: str, value: object, row: int = 7) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


SAD_AND_WARM = (pl.col("framing") == "sad") & (pl.col("warm") == 1)


@dataclass(frozen=True)
class Case:
    """What is done to the answers, the model, and what must be said.

    `in_glmer` is what lme4 1.1 makes of the same data: an error, or a fit (with or without a
    warning). Where it is a fit, numbers come out that mean nothing.
    """

    change: Callable[[pl.DataFrame], pl.DataFrame]
    kind: str
    terms: tuple[str, ...]
    remedy: str
    formula: str = "y ~ warm * framing + (1 | question) + (1 | model)"
    in_glmer: str = "fit"


CASES = {
    "complete separation": Case(
        lambda d: d.with_columns(x=pl.col("y") + 0.1 * pl.col("x").abs()),
        "separation",
        ("Intercept", "x"),
        "Leave out the interaction or the level, pool levels, or report the rates",
        "y ~ x + (1 | question)",
    ),
    "a cell with only errors": Case(
        lambda d: d.with_columns(y=pl.when(SAD_AND_WARM).then(1).otherwise(pl.col("y"))),
        "separation",
        ("warm:framing[T.sad]",),
        "Leave out the interaction or the level, pool levels, or report the rates",
    ),
    "a level without errors": Case(
        lambda d: d.with_columns(y=pl.when(pl.col("framing") == "happy").then(0).otherwise(pl.col("y"))),
        "separation",
        ("framing[T.happy]",),
        "pool levels",
        "y ~ warm + framing + (1 | question)",
    ),
    "constant response": Case(
        lambda d: d.with_columns(y=pl.lit(1)),
        "constant response",
        ("y",),
        "Report the rate with its interval",
        in_glmer="error",
    ),
    "one level": Case(
        lambda d: d.filter(pl.col("model") == "m1"),
        "one level",
        ("model",),
        "Leave out `(1 | model)`",
        in_glmer="error",
    ),
    "one answer per level": Case(
        lambda d: d.with_columns(row=pl.int_range(pl.len())),
        "one answer per level",
        ("row",),
        "Leave out `(1 | row)`",
        "y ~ warm + (1 | question) + (1 | row)",
    ),
    "null in the response": Case(
        lambda d: d.with_columns(at_row("y", None)),
        "missing values",
        ("y",),
        "data.filter(pl.col('y').is_not_null())",
    ),
    "NaN in a covariate": Case(
        lambda d: d.with_columns(at_row("x", float("nan"))),
        "missing values",
        ("x",),
        "data.filter(pl.col('x').is_finite())",
        "y ~ x + (1 | question)",
    ),
    "infinity in a covariate": Case(
        lambda d: d.with_columns(at_row("x", float("inf"))),
        "missing values",
        ("x",),
        "data.filter(pl.col('x').is_finite())",
        "y ~ x + (1 | question)",
        in_glmer="error",
    ),
    "null in a group": Case(
        lambda d: d.with_columns(at_row("model", None)),
        "missing values",
        ("model",),
        "data.filter(pl.col('model').is_not_null())",
    ),
    "NaN in a group": Case(
        lambda d: d.with_columns(pl.col("question").cast(pl.Float64)).with_columns(
            at_row("question", float("nan"))
        ),
        "missing values",
        ("question",),
        "data.filter(pl.col('question').is_finite())",
    ),
    "a column says the same": Case(
        lambda d: d.with_columns(cold=1 - pl.col("warm")),
        "rank",
        ("cold",),
        "Leave out a term or filter the level",
        "y ~ warm + cold + (1 | question)",
    ),
    "an empty cell": Case(
        lambda d: d.filter(~SAD_AND_WARM),
        "rank",
        ("warm:framing[T.sad]",),
        "some combination of levels does not occur in the data",
    ),
    "an empty cell in a random term": Case(
        lambda d: d.filter(~SAD_AND_WARM),
        "rank",
        ("warm:framing[T.sad]",),
        "Leave out a term or filter the level",
        "y ~ warm + (warm * framing | question)",
    ),
    "the same variance twice": Case(
        lambda d: d.with_columns(framing=pl.col("question") % 3),
        "rank",
        ("(1 | question)", "(1 | framing:question)"),
        "Leave one of them out",
        "y ~ warm + (1 | question) + (1 | framing:question)",
    ),
    "every level all right or all wrong": Case(
        lambda d: d.with_columns(y=pl.col("question") % 2),
        "runaway variance",
        ("question", "Intercept"),
        "Add answers per level",
        "y ~ warm + (1 | question)",
    ),
    "every level of a crossed factor all right or all wrong": Case(
        lambda d: d.with_columns(y=pl.col("question") % 2),
        "runaway variance",
        ("question", "Intercept"),
        "leave out the term",
    ),
    "a response of 0, 1 and 2": Case(
        lambda d: d.with_columns(at_row("y", 2)),
        "response",
        ("y",),
        "Counts need their totals: trials='column'",
        in_glmer="error",
    ),
    "a response between 0 and 1": Case(
        lambda d: d.with_columns(pl.col("y").cast(pl.Float64)).with_columns(at_row("y", 0.5)),
        "response",
        ("y",),
        "row 7 holds 0.5",
    ),
    "a response in words": Case(
        lambda d: d.with_columns(
            y=pl.when(pl.col("y") == 1).then(pl.lit("incorrect")).otherwise(pl.lit("correct"))
        ),
        "response",
        ("y",),
        "(pl.col('y') == 'incorrect').cast(pl.Int8)",
        in_glmer="error",
    ),
    "a missing column": Case(
        lambda d: d,
        "missing column",
        ("warmth",),
        "Did you mean 'warm'?",
        "y ~ warmth + (1 | question)",
        "error",
    ),
    "a missing group": Case(
        lambda d: d,
        "missing column",
        ("questions",),
        "Did you mean 'question'?",
        "y ~ warm + (1 | questions)",
        "error",
    ),
    "the response as a group": Case(
        lambda d: d, "formula", ("y",), "the response 'y' on its right side", "y ~ warm + (1 | y)"
    ),
}


def test_the_answers_themselves_are_fine() -> None:
    fit = fit_glmm("y ~ warm * framing + (1 | question) + (1 | model)", answers())
    assert fit.findings == ()


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    case = CASES[name]
    with pytest.raises(MixedModelError) as raised:
        fit_glmm(case.formula, case.change(answers()))
    assert isinstance(raised.value, UserError)
    assert (raised.value.kind, raised.value.terms) == (case.kind, case.terms)
    assert case.remedy in str(raised.value)
    assert str(raised.value).startswith(f"{case.kind}: ")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (pl.lit(4).alias("y"), "row 0 holds 4 of 3"),
        (pl.lit(-1).alias("y"), "row 0 holds -1 of 3"),
        (pl.lit(2.5).alias("n"), "of 2.5"),
    ],
)
def test_counts_that_cannot_be(change: pl.Expr, found: str) -> None:
    with pytest.raises(MixedModelError) as raised:
        fit_glmm("y ~ warm + (1 | question)", answers().with_columns(change), trials="n")
    assert raised.value.kind == "response"
    assert found in str(raised.value)


def test_counts_that_say_nothing() -> None:
    for change, reason in (
        (pl.col("n").alias("y"), "equal to 'n' in all"),
        (pl.lit(0).alias("n"), "no answer"),
    ):
        frame = answers().with_columns(y=pl.lit(0)).with_columns(change)
        with pytest.raises(MixedModelError, match=reason) as raised:
            fit_glmm("y ~ warm + (1 | question)", frame, trials="n")
        assert raised.value.kind == "constant response"
    with pytest.raises(MixedModelError, match="no answer in the 0 rows"):
        fit_glmm("y ~ warm + (1 | question)", answers().head(0))


def test_too_many_small_effects() -> None:
    frame = pl.concat([answers(), answers(), answers()]).with_columns(
        row=pl.int_range(pl.len()) // 2, other=(pl.int_range(pl.len()) * 7) % 1601
    )
    with pytest.raises(
        MixedModelError, match="have 1601 random effects together, and at most 1500"
    ) as raised:
        fit_glmm("y ~ warm + (warm | row) + (1 | other)", frame)
    assert (raised.value.kind, raised.value.terms) == ("too large", ("other",))
    assert "Leave out a term or a slope" in str(raised.value)


def test_no_convergence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmgap.statistics.mixed.optimise._MOST_STEPS", 3)
    with pytest.raises(MixedModelError, match=r"not reached in 3 steps .*Leave out a random slope") as raised:
        fit_glmm("y ~ warm + (1 + warm | question)", answers())
    assert raised.value.kind == "no convergence"


@pytest.mark.r
def test_what_glmer_fits_all_the_same(tmp_path: Path) -> None:
    command = ["Rscript", "--vanilla", "-e", "library(lme4)"]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        assert os.environ.get("WARMGAP_REQUIRE") != "all", "WARMGAP_REQUIRE=all, and R has no lme4"
        pytest.skip("R has no lme4")
    lines = ["suppressMessages(library(lme4))"]
    for i, (name, case) in enumerate(CASES.items()):
        case.change(answers()).write_csv(tmp_path / f"{i}.csv")
        lines += [
            f"d <- read.csv('{tmp_path / f'{i}.csv'}')",
            f"r <- try(suppressWarnings(glmer({case.formula}, d, binomial, nAGQ = 0)), silent = TRUE)",
            f"cat('{name}\\t', if (inherits(r, 'try-error')) 'error' else 'fit', '\\n', sep = '')",
        ]
    (tmp_path / "cases.R").write_text("\n".join(lines))
    done = subprocess.run(
        ["Rscript", "--vanilla", str(tmp_path / "cases.R")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    assert found == {name: case.in_glmer for name, case in CASES.items()}
    assert list(found.values()).count("fit") > len(found) / 2


def test_a_separated_text_column_names_a_few_of_its_levels() -> None:
    data = answers().with_columns(word=pl.int_range(pl.len()).cast(pl.String).str.slice(0, 3))
    with pytest.raises(MixedModelError) as raised:
        fit_glmm("y ~ warm + word + (1 | question)", data)
    assert raised.value.kind == "separation"
    assert len(raised.value.terms) > 6
    assert f"and {len(raised.value.terms) - 6} more: some combination" in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("given", [answers().to_dict(as_series=False), answers().lazy()])
def test_other_tables_than_polars_frames_are_refused(given: object) -> None:
    with pytest.raises(UserError, match=r"must be a polars DataFrame\. Make one with"):
        fit_glmm("y ~ warm + (1 | question)", given)  # type: ignore[arg-type]


def test_a_fit_shows_what_matters() -> None:
    shown = repr(fit_glmm("y ~ warm + (1 | question)", answers()))
    lines = shown.splitlines()
    assert lines[0] == "y ~ warm + (1 | question)"
    assert lines[1].startswith("1152 rows, log-likelihood -")
    assert lines[3].startswith("  warm: ") and "(SE " in lines[3]
    assert lines[4].startswith("  sd over 24 levels of question: Intercept ")

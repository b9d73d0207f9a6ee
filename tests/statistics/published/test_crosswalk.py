"""The paper's names and ours, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.statistics.published.crosswalk import (
    POOLED_BELIEF,
    is_published,
    our_label,
    our_term,
    to_ours,
    to_paper,
)
from warmgap.statistics.published.files import read

ROWS = read("crosswalk").rows()


@given(st.sampled_from(ROWS))
def test_every_name_comes_back(row: tuple[str, str, str, str]) -> None:
    kind, file, paper, ours = row
    assert ours in to_ours(kind, paper, file)
    assert paper in to_paper(kind, ours, file)
    assert all(paper in to_paper(kind, name, file) for name in to_ours(kind, paper, file))
    assert all(ours in to_ours(kind, name, file) for name in to_paper(kind, ours, file))


@pytest.mark.parametrize("kind", ["method", "model", "weights", "task", "framing"])
def test_all_but_beliefs_are_one_to_one_in_the_cells(kind: str) -> None:
    pairs = [(p, o) for k, f, p, o in ROWS if (k, f) == (kind, "cells")]
    assert len({p for p, _ in pairs}) == len({o for _, o in pairs}) == len(pairs)


def test_names_that_mislead() -> None:
    assert to_ours("belief", "correct", "templates") == ("denies",)
    assert to_ours("belief", "belief_present") == ("incorrect", "denies")
    assert our_label("belief", "belief_present") == POOLED_BELIEF
    assert to_ours("framing", "original_neutral", "templates") == ("filler",)
    assert to_ours("belief", "original_neutral", "templates") == ("none",)
    assert to_paper("belief", "none", "templates") == ("original", "original_neutral")
    assert to_paper("framing", "upward") == ("relation:hierarchical_up",)
    assert not is_published("framing", "filler") and is_published("framing", "filler", "templates")


def test_every_name_of_the_published_tables_is_known() -> None:
    cells = read("cells")
    for column, kind in (
        ("method",) * 2,
        ("model",) * 2,
        ("task",) * 2,
        ("context", "framing"),
        ("belief",) * 2,
    ):
        assert all(to_ours(kind, name) for name in cells[column].unique())
    assert all(to_ours("model", name) for name in read("sociot")["model"].unique())
    terms = {*read("coefficients")["term"], *read("marginal_effects")["subset"], *read("rows")["subset"]}
    assert {our_term(t) for t in terms} >= {"task[triviaqa]", "FT:framing[upward]", "group[none]", "FT"}


@pytest.mark.parametrize(
    ("term", "ours"),
    [
        ("dataset[trivia]", "task[triviaqa]"),
        ("model[mistral-small]", "model[mistral_small_2409]"),
        ("FT:context[emotion:anger]", "FT:framing[angry]"),
        ("context_group[unmodified]", "group[none]"),
        ("FT[1]:belief[belief_present]", "FT[1]:belief[incorrect+denies]"),
        ("Intercept", "Intercept"),
    ],
)
def test_terms(term: str, ours: str) -> None:
    assert our_term(term) == ours


def test_an_unknown_name_is_said_with_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"'qwen-72b' is not one of the paper's names.*qwen-32b"):
        to_ours("model", "qwen-72b")
    with pytest.raises(UserError, match="no 'colour' in 'cells'"):
        to_ours("colour", "red")

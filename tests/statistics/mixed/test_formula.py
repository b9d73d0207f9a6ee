"""Formulas taken apart: lme4's grammar (Bates et al. 2015, table 2), and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.statistics.mixed.formula import RandomTerm, parse_formula
from warmgap.statistics.mixed.problems import MixedModelError

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True).filter(lambda name: name not in ("te", "in"))
SPACES = st.sampled_from(["", " ", "  ", "\n"])


def random_terms(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(term.design, term.group) for term in parse_formula(text).random]


def test_fixed_and_random_parts() -> None:
    found = parse_formula("y ~ warm * C(task) + (1 + warm | model) + x + (1 | question)")
    assert found.response == "y"
    assert found.fixed == "warm * C(task) + x"
    assert found.random == (RandomTerm("1 + warm", ("model",)), RandomTerm("1", ("question",)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("(1 | a/b)", [("1", ("a",)), ("1", ("a", "b"))]),
        ("(1 | a/b/c)", [("1", ("a",)), ("1", ("a", "b")), ("1", ("a", "b", "c"))]),
        ("(1 | a:b)", [("1", ("a", "b"))]),
        ("(x || g)", [("1", ("g",)), ("0 + x", ("g",))]),
        ("(1 + x + z || g)", [("1", ("g",)), ("0 + x", ("g",)), ("0 + z", ("g",))]),
        ("(0 + x || g)", [("0 + x", ("g",))]),
        ("(x - 1 || g)", [("0 + x", ("g",))]),
        ("(-1 + x || g)", [("0 + x", ("g",))]),
        ("(x * z || g)", [("1", ("g",)), ("0 + x", ("g",)), ("0 + z", ("g",)), ("0 + x:z", ("g",))]),
        ("(x || a/b)", [("1", ("a",)), ("0 + x", ("a",)), ("1", ("a", "b")), ("0 + x", ("a", "b"))]),
        ("(C(t, Treatment('a+b')) || g)", [("1", ("g",)), ("0 + C(t, Treatment('a+b'))", ("g",))]),
    ],
)
def test_double_bars_and_nesting(written: str, meant: list[tuple[str, tuple[str, ...]]]) -> None:
    assert random_terms(f"y ~ 1 + {written}") == meant


def test_names_with_spaces_stand_in_backticks() -> None:
    found = parse_formula("`is wrong` ~ `warm arm` + (`warm arm` || `task id`:question)")
    assert found.response == "is wrong"
    assert found.fixed == "`warm arm`"
    group = ("task id", "question")
    assert found.random == (RandomTerm("1", group), RandomTerm("0 + `warm arm`", group))


def test_quoted_text_is_not_grammar() -> None:
    found = parse_formula("y ~ C(task, Treatment('a | (b + c')) + (1 | g)")
    assert found.fixed == "C(task, Treatment('a | (b + c'))"


def test_no_fixed_part_leaves_the_intercept() -> None:
    assert parse_formula("y ~ (1 | g)").fixed == "1"
    assert parse_formula("y ~ x - 1 + (1 | g)").fixed == "x - 1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x + (1 | g)", "response's column and a tilde"),
        ("~ x + (1 | g)", "response's column and a tilde"),
        ("log(y) ~ x + (1 | g)", "response's column and a tilde"),
        ("y ~ x", "no random term"),
        ("y ~ x + 1 | g", "in parentheses"),
        ("y ~ x * (1 | g)", "must stand alone"),
        ("y ~ x - (1 | g)", "must stand alone"),
        ("y ~ x + (1 | g", "parentheses do not match"),
        ("y ~ x) + ((1 | g)", "parentheses do not match"),
        ("y ~ x + + (1 | g)", "a term is empty"),
        ("y ~ x + ( | g)", "must read (columns | group)"),
        ("y ~ x + (1 | )", "must read (columns | group)"),
        ("y ~ x + (1 | a + b)", "must read (columns | group)"),
        ("y ~ x + (1 | a | b)", "must read (columns | group)"),
        ("y ~ center(x) + (1 | g)", "`center(...)` depends on all rows"),
        ("y ~ x + (poly(x, 2) | g)", "`poly(...)` depends on all rows"),
        ("y ~ x + (x + * z || g)", "cannot be read at `x + * z`"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(MixedModelError) as raised:
        parse_formula(text)
    assert raised.value.kind == "formula"
    assert reason in str(raised.value)
    assert "\x1b" not in str(raised.value)


@given(
    response=NAMES,
    fixed=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    random=st.lists(
        st.tuples(st.lists(NAMES, min_size=1, max_size=3, unique=True), NAMES), min_size=1, max_size=3
    ),
    space=SPACES,
)
def test_parts_come_back_whatever_the_spacing(
    response: str, fixed: list[str], random: list[tuple[list[str], str]], space: str
) -> None:
    bars = [f"({space}{f'{space}+{space}'.join(columns)}{space}|{space}{group})" for columns, group in random]
    text = f"{response}{space}~{space}" + f"{space}+{space}".join([*fixed, *bars])
    found = parse_formula(text)
    assert found.response == response
    assert found.fixed == " + ".join(fixed)
    columns = [tuple(piece.strip() for piece in term.design.split("+")) for term in found.random]
    assert columns == [tuple(names) for names, _ in random]
    assert [term.group for term in found.random] == [(group,) for _, group in random]


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_a_nested_group_is_a_chain_of_interactions(names: list[str]) -> None:
    chain = [tuple(names[: i + 1]) for i in range(len(names))]
    assert [group for _, group in random_terms(f"y ~ 1 + (1 | {'/'.join(names)})")] == chain


@given(st.text(alphabet="y~x+()|:/01 `'gC,*-", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_formula(text)
    except MixedModelError:
        return
    assert found.response
    assert found.random

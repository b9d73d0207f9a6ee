"""Formulas of mixed models in the grammar of lme4: `y ~ warm * C(task) + (1 + warm | model)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmgap.statistics.mixed.problems import MixedModelError

_STATEFUL = ("center", "scale", "standardize", "poly", "bs", "cs", "cc", "cr", "te", "hashed")


@dataclass(frozen=True)
class RandomTerm:
    """`(design | group)`: columns of `design` vary over the levels of `group`.

    `group` holds the columns that make up the group, one for `question`, two for
    `task:question_id`. Terms that came from one `||` are separate and so uncorrelated.
    """

    design: str
    group: tuple[str, ...]

    @property
    def group_name(self) -> str:
        """The group as it is written in a formula."""
        return ":".join(self.group)

    def __str__(self) -> str:
        return f"({self.design} | {self.group_name})"


@dataclass(frozen=True)
class MixedFormula:
    """A formula taken apart: response, fixed part for formulaic, random terms."""

    text: str
    response: str
    fixed: str
    random: tuple[RandomTerm, ...]


def parse_formula(text: str) -> MixedFormula:
    """The parts of a formula.

    `(x || g)` gives uncorrelated terms `(1 | g)` and `(0 + x | g)`; `(1 | a/b)` gives `(1 | a)` and
    `(1 | a:b)`.

    Raises:
        MixedModelError: no response, no random term, unbalanced parentheses, or a transform
            (center, scale, poly, splines) that would depend on how often a row occurs.
    """
    left, tilde, right = text.partition("~")
    response = left.strip()
    if not tilde or not re.fullmatch(r"\w+", response):
        raise _bad(
            text, "it must begin with the response's column and a tilde, as in `y ~ warm + (1 | question)`"
        )
    for name in _STATEFUL:
        if re.search(rf"\b{name}\s*\(", right):
            raise _bad(text, f"`{name}(...)` depends on all rows; compute that column in the data first")
    fixed: list[str] = []
    random: list[RandomTerm] = []
    for term in _top_level_terms(text, right):
        inner = term[1:-1] if term.startswith("(") and term.endswith(")") else term
        if "|" in inner and term.startswith("("):
            random += _random_terms(text, inner)
        elif "|" in term:
            raise _bad(text, f"`{term}` needs parentheses around it, as in `(1 | question)`")
        else:
            fixed.append(term)
    if not random:
        raise _bad(text, "it has no random term; for a plain logistic regression use warmgap.statistics.glm")
    return MixedFormula(text, response, " + ".join(fixed) or "1", tuple(random))


def _top_level_terms(text: str, right: str) -> list[str]:
    """Pieces between the plus signs that stand outside parentheses; a minus keeps its sign."""
    terms, depth, piece = [], 0, ""
    for character in right:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "+" and depth == 0:
            terms.append(piece.strip())
            piece = ""
        else:
            piece += character
    if depth != 0:
        raise _bad(text, "its parentheses do not match")
    terms.append(piece.strip())
    if not all(terms):
        raise _bad(text, "a term is empty")
    return terms


def _random_terms(text: str, inner: str) -> list[RandomTerm]:
    design, bar, group = (part.strip() for part in re.split(r"(\|\|?)", inner, maxsplit=1))
    if not design or not re.fullmatch(r"\w+(\s*[:/]\s*\w+)*", group):
        raise _bad(text, f"`({inner})` must read (columns | group), the group a column, `a:b` or `a/b`")
    designs = [design]
    if bar == "||":
        pieces = [p.strip() for p in design.split("+")]
        no_intercept = "0" in pieces
        designs = ([] if no_intercept else ["1"]) + [f"0 + {p}" for p in pieces if p not in ("0", "1")]
    groups: list[tuple[str, ...]] = []
    parts: tuple[str, ...] = ()
    for piece in group.split("/"):
        parts += tuple(name.strip() for name in piece.split(":"))
        groups.append(parts)
    return [RandomTerm(d, g) for g in groups for d in designs]


def _bad(text: str, why: str) -> MixedModelError:
    return MixedModelError("formula", (), f"`{text.strip()}` cannot be read: {why}.")

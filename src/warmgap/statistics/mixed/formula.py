"""Formulas of mixed models in the grammar of lme4: `y ~ warm * C(task) + (1 + warm | model)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmgap.statistics.mixed.matrices import terms_of
from warmgap.statistics.mixed.problems import MixedModelError

_STATEFUL = ("center", "scale", "standardize", "poly", "bs", "cs", "cc", "cr", "te", "hashed", "lag")
_NAME = r"(?:\w+|`[^`]+`)"
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


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

    `(x * z || g)` gives uncorrelated terms `(1 | g)`, `(0 + x | g)`, `(0 + z | g)` and
    `(0 + x:z | g)`; `(1 | a/b)` gives `(1 | a)` and `(1 | a:b)`. Names with spaces stand in
    backticks.

    Raises:
        MixedModelError: no response, no random term, unbalanced parentheses, or a transform
            (center, scale, poly, splines) that would depend on how often a row occurs.
    """
    tilde = _masked(text).find("~")
    response = text[: max(tilde, 0)].strip()
    if not re.fullmatch(_NAME, response):
        raise _bad(
            text, "it must begin with the response's column and a tilde, as in `y ~ warm + (1 | question)`"
        )
    response = response.strip("`")
    right = text[tilde + 1 :]
    for name in _STATEFUL:
        if re.search(rf"\b{name}\s*\(", _masked(right)):
            raise _bad(text, f"`{name}(...)` depends on all rows; compute that column in the data first")
    fixed: list[str] = []
    random: list[RandomTerm] = []
    for term in _pieces(text, right):
        if "|" not in _masked(term):
            fixed.append(term)
        elif term.startswith("(") and term.endswith(")"):
            random += _random_terms(text, term[1:-1])
        else:
            raise _bad(
                text, f"`{term}` must stand alone and in parentheses, added by `+`, as in `(1 | question)`"
            )
    if not random:
        raise _bad(text, "it has no random term; for a plain logistic regression use warmgap.statistics.glm")
    return MixedFormula(text, response, " + ".join(fixed) or "1", tuple(random))


def _masked(text: str) -> str:
    """The text with quoted parts blanked out, so that only the formula's own signs remain."""
    return _QUOTED.sub(lambda found: "_" * len(found.group()), text)


def _pieces(text: str, right: str) -> list[str]:
    """What stands between the plus signs outside parentheses; a minus keeps its sign."""
    depth, cuts = 0, [-1]
    for position, character in enumerate(_masked(right)):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            break
        if character == "+" and depth == 0:
            cuts.append(position)
    if depth != 0:
        raise _bad(text, "its parentheses do not match")
    ends = [*cuts[1:], len(right)]
    pieces = [right[start + 1 : end].strip() for start, end in zip(cuts, ends, strict=True)]
    if not all(pieces):
        raise _bad(text, "a term is empty")
    return pieces


def _random_terms(text: str, inner: str) -> list[RandomTerm]:
    bar = _masked(inner).index("|")
    double = inner[bar : bar + 2] == "||"
    design, group = inner[:bar].strip(), inner[bar + 1 + double :].strip()
    if not design or not re.fullmatch(rf"{_NAME}(\s*[:/]\s*{_NAME})*", group):
        raise _bad(text, f"`({inner})` must read (columns | group), the group a column, `a:b` or `a/b`")
    designs = [design]
    if double:
        designs = ["1" if term == "1" else f"0 + {term}" for term in terms_of(design, text)]
    groups: list[tuple[str, ...]] = []
    parts: tuple[str, ...] = ()
    for sign, name in re.findall(rf"([:/]?)\s*({_NAME})", group):
        if sign == "/":
            groups.append(parts)
        parts += (name.strip("`"),)
    groups.append(parts)
    return [RandomTerm(d, g) for g in groups for d in designs]


def _bad(text: str, why: str) -> MixedModelError:
    return MixedModelError("formula", (), f"`{text.strip()}` cannot be read: {why}.")

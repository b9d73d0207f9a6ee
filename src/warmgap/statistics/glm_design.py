"""Design of a logistic regression on FT and factors, one row per pattern.

Answers with equal factors (and equal covariates, where there are some) share a row: the fit on
patterns with counts equals the fit on answers. Shape suffixes: N answers, P patterns, K
coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.statistics.clusters import FloatArray, IntArray

_REFERENCES: Mapping[str, tuple[str, ...]] = {
    "task": ("disinfo",),
    "model": ("llama31_70b",),
    "framing": ("none", "filler"),
    "context": ("unmodified",),
    "context_group": ("unmodified",),
    "belief": ("none", "unsure"),
}


@dataclass(frozen=True)
class Terms:
    """Right-hand side of a regression, beside the intercept and FT.

    `factors` have main effects, as C(factor); factors in `by_arm` have FT:C(factor) as well.
    Factors in `per_arm` have FT:C(factor) only, so one coefficient per level and arm, FT[0] and
    FT[1]. `covariates` are numeric columns.
    """

    factors: tuple[str, ...]
    by_arm: tuple[str, ...] = ()
    per_arm: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the regression reads, FT apart."""
        return tuple(dict.fromkeys((*self.factors, *self.by_arm, *self.per_arm, *self.covariates)))


FACTORIAL = Terms(factors=("task", "model", "framing"), by_arm=("framing",), per_arm=("belief",))
"""All factors of a sweep at once: the interactions of the paper's third and fourth model."""


@dataclass(frozen=True)
class Design:
    """Columns and patterns of a regression.

    `patterns` holds ft, the factors and the covariates of each pattern; `levels` the levels of
    each factor, the reference first. `dropped` names terms that the others determine.
    """

    terms: Terms
    levels: Mapping[str, tuple[str, ...]]
    formula: str
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    patterns: pl.DataFrame
    pattern_N: IntArray
    x_PK: FloatArray

    def level_P(self, factor: str) -> npt.NDArray[np.str_]:
        """Level of a factor in each pattern."""
        return np.array(self.patterns[factor].to_list(), dtype=np.str_)

    def matrix(self, **changed: Any) -> FloatArray:
        """The patterns with these columns set to other values, for counterfactual prediction.

        Args:
            changed: a column's new value, or a polars expression of it.
        """
        patterns = self.patterns.with_columns(
            (value if isinstance(value, pl.Expr) else pl.lit(value)).alias(name)
            for name, value in changed.items()
        )
        columns = _columns(patterns, self.terms, self.levels)
        return np.stack([columns[name] for name in self.names], axis=1)

    @cached_property
    def x1_PK(self) -> FloatArray:
        """The patterns with FT set to 1."""
        return self.matrix(ft=1)

    @cached_property
    def x0_PK(self) -> FloatArray:
        """The patterns with FT set to 0."""
        return self.matrix(ft=0)


def glm_design(answers: pl.DataFrame, terms: Terms = FACTORIAL) -> Design:
    """The design of `terms`; by default `~ FT + C(task) [+ C(model)] + C(framing) + FT:C(framing) +
    FT:C(belief)`.

    Terms of a factor with one level are left out. As in the paper's fourth model belief has no
    column of its own. Reference levels are those of the paper where present (disinfo, Llama-70b,
    unmodified, no belief), else the first in this order: framing none, filler; belief none,
    unsure; the alphabet.

    Args:
        answers: column ft (1 in arm_a, 0 in arm_b) and the columns of `terms`.
        terms: factors, interactions and covariates.
    """
    keys = ["ft", *terms.columns]
    patterns = answers.select(keys).unique().sort(keys).with_row_index("pattern")
    pattern_N = answers.join(patterns, on=keys, how="left", maintain_order="left")["pattern"]
    factors = [c for c in terms.columns if c not in terms.covariates]
    levels = {name: _levels(patterns, name) for name in factors}
    columns = _columns(patterns, terms, levels)
    x_PK = np.stack(list(columns.values()), axis=1)
    independent = _independent(x_PK)
    return Design(
        terms=terms,
        levels=levels,
        formula=_formula(terms, levels),
        names=tuple(n for n, keep in zip(columns, independent, strict=True) if keep),
        dropped=tuple(n for n, keep in zip(columns, independent, strict=True) if not keep),
        patterns=patterns.drop("pattern"),
        pattern_N=pattern_N.cast(pl.Int64).to_numpy(),
        x_PK=x_PK[:, independent],
    )


def _levels(patterns: pl.DataFrame, name: str) -> tuple[str, ...]:
    found = sorted(patterns[name].unique().to_list())
    first = next((level for level in _REFERENCES.get(name, ()) if level in found), found[0])
    return first, *(level for level in found if level != first)


def _formula(terms: Terms, levels: Mapping[str, tuple[str, ...]]) -> str:
    parts = ["FT"] + [f"C({n})" for n in terms.factors if len(levels[n]) > 1]
    parts += [f"FT:C({n})" for n in (*terms.by_arm, *terms.per_arm) if len(levels[n]) > 1]
    return "~ " + " + ".join([*parts, *terms.covariates])


def _columns(
    patterns: pl.DataFrame, terms: Terms, levels: Mapping[str, tuple[str, ...]]
) -> dict[str, FloatArray]:
    ft_P = patterns["ft"].to_numpy().astype(np.float64)
    dummies = {
        name: {
            f"{name}[{level}]": (patterns[name] == level).to_numpy().astype(np.float64) for level in names[1:]
        }
        for name, names in levels.items()
    }
    columns: dict[str, FloatArray] = {"Intercept": np.ones(ft_P.size), "FT": ft_P}
    for name in terms.factors:
        columns |= dummies[name]
    for name in terms.by_arm:
        columns |= {f"FT:{label}": ft_P * d_P for label, d_P in dummies[name].items()}
    for name in terms.per_arm:
        for label, d_P in dummies[name].items():
            columns |= {f"FT[0]:{label}": (1 - ft_P) * d_P, f"FT[1]:{label}": ft_P * d_P}
    for name in terms.covariates:
        columns[name] = patterns[name].to_numpy().astype(np.float64)
    return columns


def full_rank(x_PK: FloatArray) -> bool:
    """Whether no column is a combination of the others, by the columns' correlations."""
    length_K = np.linalg.norm(x_PK, axis=0)
    if np.any(length_K == 0):
        return False
    unit_PK = x_PK / length_K
    return bool(np.linalg.eigvalsh(unit_PK.T @ unit_PK)[0] > 1e-9)


def _independent(x_PK: FloatArray) -> list[bool]:
    """Which columns are no combination of those before them."""
    if full_rank(x_PK):
        return [True] * x_PK.shape[1]
    kept: list[int] = []
    for k in range(x_PK.shape[1]):
        if full_rank(x_PK[:, [*kept, k]]):
            kept.append(k)
    return [k in kept for k in range(x_PK.shape[1])]

"""Design of the paper's logistic regression, one row per pattern of factors.

All regressors are factors, so answers with equal factors share a row: the fit on patterns with
counts equals the fit on answers. Shape suffixes: N answers, P patterns, K coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from warmgap.statistics.clusters import FloatArray, IntArray

_FACTORS = ("task", "model", "framing", "belief")
_REFERENCES = {
    "task": ("disinfo",),
    "model": ("llama31_70b",),
    "framing": ("none", "filler"),
    "belief": ("none", "unsure"),
}


@dataclass(frozen=True)
class Design:
    """Columns and patterns of the regression.

    `x1_PK` and `x0_PK` are the patterns with FT set to 1 and to 0. `task_P`, `framing_P` and
    `belief_P` name the patterns' levels. `dropped` names terms that the others determine.
    """

    formula: str
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    pattern_N: IntArray
    x_PK: FloatArray
    x1_PK: FloatArray
    x0_PK: FloatArray
    task_P: tuple[str, ...]
    framing_P: tuple[str, ...]
    belief_P: tuple[str, ...]


def glm_design(answers: pl.DataFrame) -> Design:
    """The design `~ FT + C(task) [+ C(model)] + C(framing) + FT:C(framing) + FT:C(belief)`.

    Terms of a factor with one level are left out. As in the paper's fourth model belief has no
    column of its own: `FT:C(belief)` holds one coefficient per belief and arm, FT[0] and FT[1].
    Reference levels are those of the paper where present (disinfo, Llama-70b, unmodified, no
    belief), else the first in this order: framing none, filler; belief none, unsure; the alphabet.

    Args:
        answers: columns ft (1 in arm_a, 0 in arm_b), task, model, framing and belief.
    """
    patterns = answers.select("ft", *_FACTORS).unique().sort("ft", *_FACTORS).with_row_index("pattern")
    pattern_N = answers.join(patterns, on=("ft", *_FACTORS), how="left", maintain_order="left")["pattern"]
    levels = {name: _levels(patterns, name) for name in _FACTORS}
    ft_P = patterns["ft"].to_numpy().astype(np.float64)
    names, x_PK = _columns(patterns, levels, ft_P)
    independent = _independent(x_PK)
    x1_PK, x0_PK = (_columns(patterns, levels, np.full(ft_P.size, ft))[1] for ft in (1.0, 0.0))
    return Design(
        formula=_formula(levels),
        names=tuple(n for n, keep in zip(names, independent, strict=True) if keep),
        dropped=tuple(n for n, keep in zip(names, independent, strict=True) if not keep),
        pattern_N=pattern_N.cast(pl.Int64).to_numpy(),
        x_PK=x_PK[:, independent],
        x1_PK=x1_PK[:, independent],
        x0_PK=x0_PK[:, independent],
        task_P=tuple(patterns["task"].to_list()),
        framing_P=tuple(patterns["framing"].to_list()),
        belief_P=tuple(patterns["belief"].to_list()),
    )


def _levels(patterns: pl.DataFrame, name: str) -> list[str]:
    found = sorted(patterns[name].unique().to_list())
    first = next((level for level in _REFERENCES[name] if level in found), found[0])
    return [first, *(level for level in found if level != first)]


def _formula(levels: dict[str, list[str]]) -> str:
    terms = ["FT"] + [f"C({n})" for n in ("task", "model", "framing") if len(levels[n]) > 1]
    terms += [f"FT:C({n})" for n in ("framing", "belief") if len(levels[n]) > 1]
    return "~ " + " + ".join(terms)


def _columns(
    patterns: pl.DataFrame, levels: dict[str, list[str]], ft_P: FloatArray
) -> tuple[list[str], FloatArray]:
    columns: dict[str, FloatArray] = {"Intercept": np.ones(ft_P.size), "FT": ft_P}
    dummies = {
        f"{name}[{level}]": (patterns[name] == level).to_numpy().astype(np.float64)
        for name in _FACTORS
        for level in levels[name][1:]
    }
    columns |= {n: d_P for n, d_P in dummies.items() if not n.startswith("belief[")}
    columns |= {f"FT:{n}": ft_P * d_P for n, d_P in dummies.items() if n.startswith("framing[")}
    for name, d_P in dummies.items():
        if name.startswith("belief["):
            columns |= {f"FT[0]:{name}": (1 - ft_P) * d_P, f"FT[1]:{name}": ft_P * d_P}
    return list(columns), np.stack(list(columns.values()), axis=1)


def _independent(x_PK: FloatArray) -> list[bool]:
    """Which columns are no combination of those before them."""
    if np.linalg.matrix_rank(x_PK) == x_PK.shape[1]:
        return [True] * x_PK.shape[1]
    kept: list[int] = []
    rank = 0
    for k in range(x_PK.shape[1]):
        if np.linalg.matrix_rank(x_PK[:, [*kept, k]]) > rank:
            kept.append(k)
            rank += 1
    return [k in kept for k in range(x_PK.shape[1])]

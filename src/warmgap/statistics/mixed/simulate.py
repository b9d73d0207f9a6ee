"""New answers from a fitted mixed model, for parametric bootstraps and checks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from warmgap.statistics.mixed.coding import group_levels
from warmgap.statistics.mixed.covariance import factor
from warmgap.statistics.mixed.fit import GlmmFit
from warmgap.statistics.mixed.laplace import split_theta
from warmgap.statistics.mixed.marginal import random_designs


def simulate_answers(fit: GlmmFit, rows: pl.DataFrame, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One 0 or 1 per row, with random effects drawn anew from the fitted distribution.

    Args:
        fit: a fitted model.
        rows: all columns of the formula; groups may have levels that the data did not have.
        rng: source of the draws.
    """
    design = fit.model.design
    eta = design.columns.fixed_matrix(rows) @ fit.beta_K
    thetas = split_theta(design, fit.theta_H)
    groups = {term.group_name: term.group for term in design.formula.random}
    for z, block, theta in zip(random_designs(design, rows), design.blocks, thetas, strict=True):
        code, levels = group_levels(rows, groups[block.group])
        effects = rng.normal(size=(len(levels), len(block.columns))) @ factor(block, theta).T
        eta = eta + np.einsum("ab,ab->a", z, effects[code])
    answers: npt.NDArray[np.int64] = (rng.random(rows.height) < special.expit(eta)).astype(np.int64)
    return answers

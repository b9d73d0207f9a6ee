"""Profile-likelihood intervals of standard deviations of random effects, also where one is zero."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import optimize

from warmgap.errors import UserError, did_you_mean
from warmgap.statistics.clusters import FloatArray, t_quantile
from warmgap.statistics.mixed.covariance import SMALLEST_SD, Block, covariance, theta_of
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.fit import GlmmFit, fit_model
from warmgap.statistics.mixed.laplace import split_theta
from warmgap.statistics.mixed.model import MixedModel
from warmgap.statistics.mixed.optimise import straightened

_NO_LIMIT = 1000.0
"""A limit that moves the logit by more is no limit."""

_PRECISION = 1e-5
"""Of a limit, relative to the larger end of where it is sought."""


def profile_interval(fit: GlmmFit, group: str, column: str, confidence: float = 0.95) -> tuple[float, float]:
    """Profile-likelihood interval of one standard deviation, on the logit scale per unit of its column.

    It holds every s for which the likelihood, maximised over everything else with the sd fixed at
    s, lies within half the chi-squared quantile (1 df) of its maximum. That is what lme4's
    `confint(method="profile")` does. At the boundary the statistic for s = 0 follows a mixture of
    0 and chi-squared with 1 df in halves (Self and Liang 1987), so that the plain quantile is the
    careful choice: the interval covers a true zero with probability 97.5 % at 95 % confidence, and
    a positive sd with at least about the confidence asked for.

    Args:
        fit: the fitted model.
        group: name of a grouping factor, as in `fit.components`.
        column: one of its columns.
        confidence: of the two-sided interval.

    Returns:
        The lower limit, 0 where zero is inside, and the upper, infinite where the likelihood never
        drops enough.

    Raises:
        UserError: the fit has no such group or column.
        MixedModelError: with the sd fixed somewhere no maximum was found.
    """
    profile = _Profile(fit, group, column)
    limit = t_quantile(confidence, None)
    sd, largest = profile.sd, profile.largest
    at_zero = sd * largest <= 10 * SMALLEST_SD

    def excess(s: float) -> float:
        return profile.root(s) - limit

    def crossing(inside: float, outside: float) -> float:
        precision = _PRECISION * max(inside, outside)
        return float(optimize.brentq(excess, inside, outside, xtol=precision, rtol=_PRECISION))

    low = 0.0
    if not at_zero and excess(0.0) > 0:
        inside, outside = sd, sd / 2
        while excess(outside) < 0:
            inside, outside = outside, outside / 2
        low = crossing(inside, outside)
    inside, outside = (0.0, 0.25 / largest) if at_zero else (sd, 1.5 * sd)
    while excess(outside) < 0:
        inside, outside = outside, 1.7 * outside
        if outside * largest > _NO_LIMIT:
            return low, math.inf
    return low, crossing(inside, outside)


class _Profile:
    """The likelihood as a function of one sd, which is made the first diagonal entry of its L."""

    def __init__(self, fit: GlmmFit, group: str, column: str) -> None:
        design = fit.model.design
        groups = [block.group for block in design.blocks]
        if group not in groups:
            raise UserError(f"the fit has no group '{group}'.{did_you_mean(group, groups)}")
        number = groups.index(group)
        block = design.blocks[number]
        if column not in block.columns:
            hint = did_you_mean(column, block.columns)
            raise UserError(f"'{group}' has no random column '{column}'.{hint}")
        at = block.columns.index(column)
        first = min(j for i, j in block.free if i == at)
        order = [*range(first), at, *(i for i in range(first, len(block.columns)) if i != at)]
        theta = split_theta(design, fit.theta_H)
        g_BB = covariance(block, theta[number])
        self._design = _reordered(design, number, order)
        turned = self._design.blocks[number]
        theta[number] = theta_of(turned, g_BB[np.ix_(order, order)])
        offset = fit.beta_K.size + sum(len(other.free) for other in design.blocks[:number])
        self._fixed = offset + turned.free.index((first, first))
        self._below = [offset + k for k, (i, j) in enumerate(turned.free) if j == first and i > first]
        self._quadrature = fit.model.quadrature
        self._best = fit.log_likelihood
        self.sd = float(np.sqrt(g_BB[at, at]))
        self.largest = block.largest_B[at]
        self._known = {self.sd: (0.0, np.concatenate([fit.beta_K, *theta]))}

    def root(self, sd: float) -> float:
        """Square root of twice the loss of log-likelihood with the sd fixed."""
        if sd not in self._known:
            nearest = min(self._known, key=lambda known: abs(known - sd))
            self._known[sd] = self._refit(sd, self._known[nearest][1])
        return self._known[sd][0]

    def _refit(self, sd: float, start_J: FloatArray) -> tuple[float, FloatArray]:
        floor = SMALLEST_SD / self.largest
        start_J, fixed_J = start_J.copy(), np.zeros(start_J.size, dtype=np.bool_)
        start_J[self._fixed] = max(sd, floor)
        fixed_J[self._fixed] = True
        if sd <= floor:
            n_fixed = self._design.x_PK.shape[1]
            start_J[n_fixed:] = straightened(self._design, start_J[n_fixed:], fixed_J[n_fixed:])
            fixed_J[self._below] = True
        found = fit_model(MixedModel(self._design, self._quadrature), start_J, fixed_J)
        loss = max(self._best - found.log_likelihood, 0.0)
        return math.sqrt(2 * loss), found.psi_J


def _reordered(design: Design, number: int, order: list[int]) -> Design:
    """The same model with the columns of one block in another order."""

    def turned(block: Block) -> Block:
        columns = tuple(block.columns[i] for i in order)
        return replace(block, columns=columns, largest_B=tuple(block.largest_B[i] for i in order))

    if number == 0:
        return replace(design, large=turned(design.large), large_PB=design.large_PB[:, order])
    slot = sum(len(block.columns) for block in design.small[: number - 1])
    slots = [*range(slot), *(slot + i for i in order)]
    slots += range(len(slots), design.small_value_PS.shape[1])
    small = tuple(turned(b) if k == number - 1 else b for k, b in enumerate(design.small))
    return replace(design, small=small, small_value_PS=design.small_value_PS[:, slots])

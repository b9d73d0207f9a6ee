"""A mixed model's likelihood and derivatives at any parameters.

Suffixes as in `laplace`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.covariance import factor, theta_of
from warmgap.statistics.mixed.derivatives import gradient_and_hessian
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.laplace import (
    Effects,
    Mode,
    find_mode,
    no_effects,
    small_positions,
    split_theta,
)
from warmgap.statistics.mixed.optimise import Point
from warmgap.statistics.mixed.quadrature import quadrature_point, quadrature_value


@dataclass(frozen=True)
class MixedModel:
    """A formula on data, before and after fitting: likelihood and derivatives at any parameters.

    `quadrature` is the number of nodes, 1 for the Laplace approximation.
    """

    design: Design
    quadrature: int = 1

    @property
    def n_fixed(self) -> int:
        """Number of coefficients."""
        return len(self.design.names)

    def log_likelihood(self, beta_K: FloatArray, covariances: dict[str, FloatArray]) -> float:
        """The log-likelihood at given coefficients and covariance matrices, by group name.

        Raises:
            KeyError: a group of the formula has no matrix.
        """
        theta = [theta_of(b, np.atleast_2d(covariances[b.group])) for b in self.design.blocks]
        return -self.value(np.concatenate([beta_K, *theta])) + self.design.log_binomial

    def mode(self, psi_J: FloatArray, effects: Effects | None = None) -> Mode:
        """The most likely random effects at parameters psi = (beta, theta)."""
        k = self.n_fixed
        # What is not finite is found out by `find_mode`, which says so.
        with np.errstate(over="ignore", invalid="ignore"):
            return find_mode(self.design, psi_J[:k], psi_J[k:], effects or no_effects(self.design))

    def value(self, psi_J: FloatArray, effects: Effects | None = None) -> float:
        """Negative log-likelihood without the binomial constant; infinity where there is no mode."""
        try:
            mode = self.mode(psi_J, effects)
        except (FloatingPointError, np.linalg.LinAlgError):
            return np.inf
        return self.value_at(mode)

    def value_at(self, mode: Mode) -> float:
        """The same at a mode already found."""
        return mode.value if self.quadrature == 1 else quadrature_value(mode, self.quadrature)


class Tracker:
    """The objective of a search; each mode is sought from the last one and its tangent."""

    def __init__(self, model: MixedModel) -> None:
        self._model = model
        self._mode: Mode | None = None
        self._moves: tuple[FloatArray, FloatArray] | None = None
        self._tried: Mode | None = None

    def value(self, psi_J: FloatArray) -> float:
        """Negative log-likelihood without the binomial constant; infinity where there is no mode."""
        try:
            self._tried = self._model.mode(psi_J, self._guess(psi_J))
        except (FloatingPointError, np.linalg.LinAlgError):
            return np.inf
        return self._model.value_at(self._tried)

    def derivatives(self, psi_J: FloatArray, exact: bool) -> Point:
        """The objective with gradient and Hessian, which is exact or good enough to steer by."""
        tried = self._tried
        known = tried is not None and np.array_equal(psi_J, np.concatenate([tried.beta_K, tried.theta_H]))
        mode = tried if tried is not None and known else self._model.mode(psi_J, self._guess(psi_J))
        gradient_J, hessian_JJ, self._moves = gradient_and_hessian(mode, exact)
        self._mode = mode
        if self._model.quadrature > 1:
            return quadrature_point(self._model.design, mode, self._model.quadrature)
        return Point(psi_J, mode.value, gradient_J, hessian_JJ, exact)

    def effects_of_factors(self) -> Effects:
        """The effects b = L u where the derivatives were last taken."""
        assert self._mode is not None
        large_QB = self._mode.effects.large_QB @ self._mode.priors[0].factor_BB.T
        small_R = self._mode.effects.small_R.copy()
        for prior, place in zip(self._mode.priors[1:], small_positions(self._model.design), strict=True):
            small_R[place] = small_R[place] @ prior.factor_BB.T
        return Effects(large_QB, small_R)

    def _guess(self, psi_J: FloatArray) -> Effects:
        """The last effects moved along their tangent, where the step is short."""
        if self._mode is None or self._moves is None:
            return no_effects(self._model.design)
        mode, design = self._mode, self._model.design
        change_J = psi_J - np.concatenate([mode.beta_K, mode.theta_H])
        if design.movement(change_J) > 0.5:
            return mode.effects
        large_QB = mode.effects.large_QB + self._moves[0] @ change_J
        small_R = mode.effects.small_R + self._moves[1] @ change_J
        theta = split_theta(design, psi_J[self._model.n_fixed :])
        # Effects move as b does; whitening them by the new L must not blow them up.
        turns = [
            np.linalg.solve(factor(b, t), p.factor_BB)
            for b, t, p in zip(design.blocks, theta, mode.priors, strict=True)
        ]
        if max(float(np.abs(turn_BB).max()) for turn_BB in turns) > 2.0:
            return mode.effects
        for turn_BB, place in zip(turns[1:], small_positions(design), strict=True):
            small_R[place] = small_R[place] @ turn_BB.T
        return Effects(large_QB @ turns[0].T, small_R)

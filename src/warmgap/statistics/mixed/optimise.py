"""Newton's method for the Laplace likelihood, with variances that may reach zero.

The search counts parameters in their units (z = psi / `Design.unit_J`), so that a covariate in
characters and a dummy weigh alike. Suffixes J all parameters, F the free ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.covariance import SMALLEST_SD, factor
from warmgap.statistics.mixed.design import Design

_DECREMENT = 1e-10
"""Half of it is about how far the log-likelihood is from its maximum when the search ends."""

_STEERING_DECREMENT = 1e-14
"""Where the search with the approximate Hessian ends and the exact one is computed."""

_FEW_EFFECTS = 64
"""With no more effects outside the largest factor the exact Hessian costs little."""

_MOST_STEPS = 100
_MOST_STEERING_STEPS = 40
_LONGEST = 3.0
"""Longest step, as a movement of the logit."""

_SMALL_SD = 0.02
_RUNAWAY_SD = 100.0


@dataclass(frozen=True)
class Point:
    """The objective at parameters psi, with its derivatives; `exact` tells of the Hessian."""

    psi_J: FloatArray
    value: float
    gradient_J: FloatArray
    hessian_JJ: FloatArray
    exact: bool = True


@dataclass(frozen=True)
class Optimum:
    """Where the search ended.

    `free_J` marks parameters that are estimated: not at a bound, not fixed by the caller.
    `eigenvalues_F` are those of the Hessian of the free parameters counted in their units.
    """

    point: Point
    free_J: npt.NDArray[np.bool_]
    eigenvalues_F: FloatArray
    steps: int
    converged: bool

    @property
    def gradient_norm(self) -> float:
        """Largest absolute derivative among the free parameters."""
        return float(np.abs(self.point.gradient_J[self.free_J]).max(initial=0.0))

    def covariance(self) -> FloatArray:
        """Inverse Hessian of the free parameters; zero for the others."""
        size = self.free_J.size
        out_JJ = np.zeros((size, size))
        if self.free_J.any():
            free = np.ix_(self.free_J, self.free_J)
            hessian_FF = self.point.hessian_JJ[free]
            scale_F = 1.0 / np.sqrt(np.maximum(np.diag(hessian_FF), 1e-300))
            values_F, vectors_FF = np.linalg.eigh(hessian_FF * np.outer(scale_F, scale_F))
            # A direction that rounding has made flat gets a variance that is huge but not infinite.
            values_F = np.maximum(values_F, 1e-12 * values_F[-1])
            out_JJ[free] = (vectors_FF / values_F) @ vectors_FF.T * np.outer(scale_F, scale_F)
        return out_JJ


def minimise(
    design: Design,
    derivatives: Callable[[FloatArray, bool], Point],
    value: Callable[[FloatArray], float],
    start_J: FloatArray,
    fixed_J: npt.NDArray[np.bool_],
) -> Optimum:
    """The minimum of the negative log-likelihood, or how far the search came.

    A diagonal entry of L at its lower bound is left there while the likelihood pushes it down;
    entries below it say nothing then and are set to zero. Indefinite Hessians are replaced by
    their absolute values, so that a step always descends. An approximate Hessian steers the
    search; the last one is exact.

    Args:
        design: tells which parameters are bounded, and their units.
        derivatives: the objective with gradient and Hessian, exact or not.
        value: the objective alone; infinity where it cannot be computed.
        start_J: where to begin.
        fixed_J: parameters to leave as they are.
    """
    n_fixed, unit_J = design.x_PK.shape[1], design.unit_J
    diagonal_J = np.zeros(start_J.size, dtype=np.bool_)
    diagonal_J[n_fixed:] = [d for b in design.blocks for d in b.diagonal]
    below = _below(design, n_fixed)
    exact = design.n_small <= _FEW_EFFECTS
    point = derivatives(start_J, exact)
    steps = 0
    while True:
        steps += 1
        z_J, gradient_J = point.psi_J / unit_J, point.gradient_J * unit_J
        at_bound_J = diagonal_J & (z_J <= SMALLEST_SD * 1.0001) & (gradient_J > 0)
        free_J = ~(fixed_J | at_bound_J)
        for j in np.flatnonzero(at_bound_J).tolist():
            free_J[below[j]] = False
        gradient_F, unit_F = gradient_J[free_J], unit_J[free_J]
        hessian_FF = point.hessian_JJ[np.ix_(free_J, free_J)] * np.outer(unit_F, unit_F)
        eigenvalues_F, vectors_FF = np.linalg.eigh(hessian_FF)
        curved_F = np.maximum(np.abs(eigenvalues_F), 1e-12 * np.abs(eigenvalues_F).max(initial=1e-8))
        step_F = -vectors_FF @ ((vectors_FF.T @ gradient_F) / curved_F)
        decrement = float(-gradient_F @ step_F)
        peak = eigenvalues_F.min(initial=1.0) > -1e-6 * eigenvalues_F.max(initial=1.0)
        if point.exact and decrement < _DECREMENT and peak:
            return Optimum(point, free_J, eigenvalues_F, steps, True)
        if steps >= _MOST_STEPS or np.any(z_J[diagonal_J & ~fixed_J] > _RUNAWAY_SD):
            return Optimum(point, free_J, eigenvalues_F, steps, False)
        if not point.exact and (decrement < _STEERING_DECREMENT or steps == _MOST_STEERING_STEPS):
            exact = True
            point = derivatives(point.psi_J, exact)
            continue
        if point.exact and decrement < _DECREMENT:
            towards = -1.0 if gradient_F @ vectors_FF[:, 0] > 0 else 1.0
            step_F = 0.1 * towards * vectors_FF[:, 0]
        step_J = np.zeros_like(start_J)
        step_J[free_J] = step_F
        size = min(1.0, _LONGEST / max(design.movement(step_J * unit_J), 1e-12))
        moved_J = _search(
            point.value, z_J, step_J, size, diagonal_J, lambda z_J: value(z_J * unit_J), decrement
        )
        if moved_J is None:
            if point.exact:
                return Optimum(point, free_J, eigenvalues_F, steps, False)
            exact = True
            point = derivatives(point.psi_J, exact)
            continue
        flat = diagonal_J & (moved_J <= SMALLEST_SD) & ~fixed_J
        moved_J = moved_J * unit_J
        if flat.any():
            moved_J[n_fixed:] = straightened(design, moved_J[n_fixed:], flat[n_fixed:])
        point = derivatives(moved_J, exact)


def _search(
    reached: float,
    z_J: FloatArray,
    step_J: FloatArray,
    size: float,
    diagonal_J: npt.NDArray[np.bool_],
    value: Callable[[FloatArray], float],
    decrement: float,
) -> FloatArray | None:
    """The first of the halved steps, from `size` on, that lowers the objective enough; None if none does."""
    least = 1e-8 * size
    noise = 1e-11 * max(1.0, abs(reached))
    # A long step towards zero is no sign of a zero: it is shortened until the sd is small.
    floor_J = np.where(z_J > _SMALL_SD, 0.2 * z_J, SMALLEST_SD)
    while size > least:
        tried_J = z_J + size * step_J
        tried_J = np.where(diagonal_J & (step_J != 0.0), np.maximum(tried_J, floor_J), tried_J)
        if value(tried_J) <= reached - 1e-4 * size * decrement + noise:
            return tried_J
        size /= 2
    return None


def _below(design: Design, n_fixed: int) -> dict[int, list[int]]:
    """For each diagonal parameter the parameters below it in its column of L."""
    out: dict[int, list[int]] = {}
    offset = n_fixed
    for block in design.blocks:
        for k, (i, j) in enumerate(block.free):
            if i == j:
                out[offset + k] = [offset + m for m, (a, b) in enumerate(block.free) if b == j and a > j]
        offset += len(block.free)
    return out


def straightened(design: Design, theta_H: FloatArray, flat_H: npt.NDArray[np.bool_]) -> FloatArray:
    """The same covariances with zeros below every flat diagonal entry.

    Rotating two columns of L leaves G = L L' as it is; where the diagonal entry of the first is
    zero, a rotation with column i moves the entry of row i to that row's own diagonal.
    """
    out, offset = [], 0
    for block in design.blocks:
        here = slice(offset, offset + len(block.free))
        l_BB = factor(block, theta_H[here])
        for (j, _), flat, entry in zip(block.free, flat_H[here], theta_H[here], strict=True):
            # An entry that an earlier rotation raised is flat no more.
            for i in range(j + 1, len(l_BB)) if flat and l_BB[j, j] == entry else ():
                if l_BB[i, j] != 0.0:
                    length = np.hypot(l_BB[i, i], l_BB[i, j])
                    cosine, sine = l_BB[i, i] / length, l_BB[i, j] / length
                    first_B, own_B = l_BB[:, j].copy(), l_BB[:, i].copy()
                    l_BB[i:, j] = (cosine * first_B - sine * own_B)[i:]
                    l_BB[i:, i] = (cosine * own_B + sine * first_B)[i:]
        out.append(np.array([l_BB[i, j] for i, j in block.free]))
        offset += len(block.free)
    return np.concatenate(out)

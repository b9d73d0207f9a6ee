"""Newton's method for the Laplace likelihood, with variances that may reach zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.covariance import SMALLEST_SD
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.problems import MixedModelError

_DECREMENT = 1e-10
"""Half of it is about how far the log-likelihood is from its maximum when the search ends."""

_MOST_STEPS = 100
_SMALL_SD = 0.02


@dataclass(frozen=True)
class Point:
    """The objective at parameters psi, with its derivatives."""

    psi_J: FloatArray
    value: float
    gradient_J: FloatArray
    hessian_JJ: FloatArray


@dataclass(frozen=True)
class Optimum:
    """Where the search ended.

    `free_J` marks parameters that are estimated: not at a bound, not fixed by the caller.
    """

    point: Point
    free_J: npt.NDArray[np.bool_]
    eigenvalues_F: FloatArray
    steps: int

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
            out_JJ[free] = np.linalg.inv(self.point.hessian_JJ[free])
        return out_JJ


def minimise(
    design: Design,
    derivatives: Callable[[FloatArray], Point],
    value: Callable[[FloatArray], float],
    start_J: FloatArray,
    fixed_J: npt.NDArray[np.bool_],
) -> Optimum:
    """The minimum of the negative log-likelihood.

    A diagonal entry of L at its lower bound is left there while the likelihood pushes it down;
    entries below it say nothing then and are set to zero. Indefinite Hessians are replaced by
    their absolute values, so that a step always descends.

    Args:
        design: tells which parameters are bounded.
        derivatives: the objective with gradient and Hessian.
        value: the objective alone; infinity where it cannot be computed.
        start_J: where to begin.
        fixed_J: parameters to leave as they are.

    Raises:
        MixedModelError: no convergence.
    """
    n_fixed = design.x_PK.shape[1]
    diagonal_J = np.zeros(start_J.size, dtype=np.bool_)
    diagonal_J[n_fixed:] = [d for b in design.blocks for d in b.diagonal]
    below = _below(design, n_fixed)
    point = derivatives(start_J)
    for steps in range(1, _MOST_STEPS + 1):
        at_bound_J = diagonal_J & (point.psi_J <= SMALLEST_SD * 1.0001) & (point.gradient_J > 0)
        free_J = ~(fixed_J | at_bound_J)
        for j in np.flatnonzero(at_bound_J):
            free_J[below[j]] = False
        gradient_F = point.gradient_J[free_J]
        eigenvalues_F, vectors_FF = np.linalg.eigh(point.hessian_JJ[np.ix_(free_J, free_J)])
        curved_F = np.maximum(np.abs(eigenvalues_F), 1e-8 * np.abs(eigenvalues_F).max(initial=1e-8))
        step_F = -vectors_FF @ ((vectors_FF.T @ gradient_F) / curved_F)
        decrement = float(-gradient_F @ step_F)
        if decrement < _DECREMENT:
            if eigenvalues_F.min(initial=1.0) > -1e-6 * eigenvalues_F.max(initial=1.0):
                return Optimum(point, free_J, eigenvalues_F, steps)
            step_F = 0.1 * vectors_FF[:, 0]
        step_J = np.zeros_like(start_J)
        step_J[free_J] = step_F
        moved = _search(point, step_J, diagonal_J, value, decrement)
        if moved is None:
            break
        for j in np.flatnonzero(diagonal_J & (moved <= SMALLEST_SD)):
            _straighten(moved, below[j], n_fixed, design)
        point = derivatives(moved)
    raise MixedModelError(
        "no convergence",
        (),
        f"the likelihood's maximum was not reached in {steps} steps (largest derivative "
        f"{np.abs(point.gradient_J).max():.2g}). Leave out a random slope, or give more data per level.",
    )


def _search(
    point: Point,
    step_J: FloatArray,
    diagonal_J: npt.NDArray[np.bool_],
    value: Callable[[FloatArray], float],
    decrement: float,
) -> FloatArray | None:
    """The first of the halved steps that lowers the objective enough; None if none does."""
    size = min(1.0, 2.0 / max(np.abs(step_J).max(), 1e-12))
    noise = 1e-11 * max(1.0, abs(point.value))
    # A long step towards zero is no sign of a zero: it is shortened until the sd is small.
    floor_J = np.where(point.psi_J > _SMALL_SD, 0.2 * point.psi_J, SMALLEST_SD)
    while size > 1e-8:
        tried_J = point.psi_J + size * step_J
        tried_J[diagonal_J] = np.maximum(tried_J[diagonal_J], floor_J[diagonal_J])
        if value(tried_J) <= point.value - 1e-4 * size * decrement + noise:
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


def _straighten(psi_J: FloatArray, below: list[int], n_fixed: int, design: Design) -> None:
    """Move what stands below a zero of the diagonal into that row's own diagonal; G stays."""
    offset = n_fixed
    for block in design.blocks:
        for k, (i, j) in enumerate(block.free):
            if offset + k in below:
                own = offset + block.free.index((i, i))
                psi_J[own] = np.hypot(psi_J[own], psi_J[offset + k])
                psi_J[offset + k] = 0.0
        offset += len(block.free)

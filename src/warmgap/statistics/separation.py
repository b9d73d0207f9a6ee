"""Does a logistic regression have a finite estimate, and which terms are to blame if not?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize

from warmgap.statistics.clusters import FloatArray

_MOVES = 1e-6
"""A smaller movement, against the largest value of each column, is the solver's tolerance."""


def separating_terms(
    names: Sequence[str], x_PK: FloatArray, trials_P: FloatArray, events_P: FloatArray
) -> tuple[str, ...]:
    """Terms along which the likelihood rises without end; empty where the estimate exists.

    A linear program seeks a direction that raises no pattern without events and lowers no pattern
    with nothing but events, leaves mixed patterns alone, and moves at least one of them
    (Konis 2007, after Albert and Anderson 1984). Random effects change nothing of that: along such
    a direction the likelihood rises whatever their values. Columns are scaled to a largest value of
    one first, so that units do not matter.

    Args:
        names: a name per column.
        x_PK: design rows.
        trials_P: answers of each row.
        events_P: events among them.
    """
    unit_PK = x_PK / np.maximum(np.abs(x_PK).max(axis=0), np.finfo(np.float64).tiny)
    mixed_P = (events_P > 0) & (events_P < trials_P)
    pure_P = (trials_P > 0) & ~mixed_P
    sign_P = np.where(events_P > 0, 1.0, -1.0)
    moved_PK = sign_P[pure_P, None] * unit_PK[pure_P]
    if moved_PK.size == 0:
        return ()
    found = optimize.linprog(
        -moved_PK.sum(axis=0),
        A_ub=-moved_PK,
        b_ub=np.zeros(moved_PK.shape[0]),
        A_eq=unit_PK[mixed_P] if mixed_P.any() else None,
        b_eq=np.zeros(int(mixed_P.sum())) if mixed_P.any() else None,
        bounds=(-1, 1),
        method="highs",
    )
    if found.x is None or (moved_PK @ found.x).max() < _MOVES:
        return ()
    return tuple(name for name, step in zip(names, found.x, strict=True) if abs(step) > _MOVES)

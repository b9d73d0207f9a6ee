"""Does a logistic regression have a finite estimate, and which terms are to blame if not?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize

from warmgap.statistics.clusters import FloatArray


def separating_terms(
    names: Sequence[str], x_PK: FloatArray, trials_P: FloatArray, events_P: FloatArray
) -> tuple[str, ...]:
    """Terms along which the likelihood rises without end; empty where the estimate exists.

    A linear program seeks a direction that raises no pattern without events and lowers no pattern
    with nothing but events, leaves mixed patterns alone, and moves at least one of them
    (Konis 2007, after Albert and Anderson 1984). Random effects change nothing of that: along such
    a direction the likelihood rises whatever their values.

    Args:
        names: a name per column.
        x_PK: distinct design rows.
        trials_P: answers of each row.
        events_P: events among them.
    """
    mixed = (events_P > 0) & (events_P < trials_P)
    pure = (trials_P > 0) & ~mixed
    sign_P = np.where(events_P > 0, 1.0, -1.0)
    moved_PK = sign_P[pure, None] * x_PK[pure]
    if moved_PK.size == 0:
        return ()
    found = optimize.linprog(
        -moved_PK.sum(axis=0),
        A_ub=-moved_PK,
        b_ub=np.zeros(moved_PK.shape[0]),
        A_eq=x_PK[mixed] if mixed.any() else None,
        b_eq=np.zeros(int(mixed.sum())) if mixed.any() else None,
        bounds=(-1, 1),
        method="highs",
    )
    if -found.fun < 1e-7:
        return ()
    return tuple(name for name, step in zip(names, found.x, strict=True) if abs(step) > 1e-7)

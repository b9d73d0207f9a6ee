"""What a reader must know about a fit that did converge."""

from __future__ import annotations

import numpy as np

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.components import ZERO_SD, Component, components
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.optimise import Optimum
from warmgap.statistics.mixed.problems import Finding, MixedModelError

_MOST_SD = 15.0
"""A larger sd on the logit scale says that nearly every level is all right or all wrong."""

_AT_LIMIT = 0.9999
"""Correlations beyond it count as one."""

_FLAT = 1e-7
"""Smallest over largest eigenvalue of the scaled Hessian below which a direction is flat."""


def refuse_runaway(design: Design, theta_H: FloatArray) -> None:
    """Raise where a variance grew without bound.

    Raises:
        MixedModelError: an sd that moves the logit by more than 15.
    """
    for block, found in zip(design.blocks, _estimates(design, theta_H), strict=True):
        for name, sd, largest in zip(found.columns, found.sd_B, block.largest_B, strict=True):
            if sd * largest > _MOST_SD:
                raise MixedModelError(
                    "runaway variance",
                    (found.group, name),
                    f"the sd of '{name}' over '{found.group}' has grown to {sd * largest:.0f} on the logit "
                    "scale: nearly every level's answers are all right or all wrong. Add answers per level "
                    "(draws, framings) or leave out the term.",
                )


def findings(design: Design, optimum: Optimum) -> tuple[Finding, ...]:
    """Variances at zero, correlations at one, and directions in which the likelihood is flat."""
    theta_H = optimum.point.psi_J[design.x_PK.shape[1] :]
    out: list[Finding] = []
    for block, found in zip(design.blocks, _estimates(design, theta_H), strict=True):
        for i, name in enumerate(found.columns):
            if found.sd_B[i] * block.largest_B[i] <= ZERO_SD:
                out.append(_variance_at_zero(found, name))
            for j in range(i):
                if abs(found.correlation_BB[i, j]) > _AT_LIMIT:
                    out.append(_correlation_at_limit(found, i, j))
    unit_F = design.unit_J[optimum.free_J]
    hessian_FF = optimum.point.hessian_JJ[np.ix_(optimum.free_J, optimum.free_J)] * np.outer(unit_F, unit_F)
    scale_F = 1 / np.sqrt(np.maximum(np.diag(hessian_FF), 1e-300))
    values, vectors = np.linalg.eigh(hessian_FF * np.outer(scale_F, scale_F))
    if values.size and values[0] < _FLAT * values[-1]:
        names = np.array([*design.names, *_theta_names(design)])[optimum.free_J]
        main = ", ".join(names[np.argsort(-np.abs(vectors[:, 0]))[:2]])
        out.append(
            Finding(
                "flat direction",
                main,
                f"the likelihood hardly changes along {main}; their standard errors mean little. "
                "Rescale a covariate, or leave one of them out.",
            )
        )
    return tuple(out)


def _estimates(design: Design, theta_H: FloatArray) -> tuple[Component, ...]:
    return components(design, theta_H, np.zeros((theta_H.size, theta_H.size)))


def _variance_at_zero(found: Component, name: str) -> Finding:
    return Finding(
        "variance at zero",
        f"{name} | {found.group}",
        f"the sd of '{name}' over the {found.n_levels} levels of '{found.group}' is estimated as zero: "
        "these data show no variation beyond chance, and standard errors take it as known to be zero. Leave "
        "the column out, or give an upper limit with profile_interval.",
    )


def _correlation_at_limit(found: Component, i: int, j: int) -> Finding:
    one, other = found.columns[j], found.columns[i]
    return Finding(
        "correlation at the limit",
        f"{one}, {other} | {found.group}",
        f"'{one}' and '{other}' have correlation {found.correlation_BB[i, j]:+.0f} over '{found.group}': "
        f"too few levels ({found.n_levels}) or too little data to tell them apart. Write them uncorrelated, "
        f"(... || {found.group}), or leave one out.",
    )


def _theta_names(design: Design) -> list[str]:
    """What each entry of L is about: one column, or two where it stands off the diagonal."""
    return [
        f"{' with '.join(dict.fromkeys((b.columns[j], b.columns[i])))} | {b.group}"
        for b in design.blocks
        for i, j in b.free
    ]

"""What a reader must know about a fit that did converge."""

from __future__ import annotations

import numpy as np

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.components import ZERO_SD, components
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.optimise import Optimum
from warmgap.statistics.mixed.problems import Finding, MixedModelError

_MOST_SD = 15.0
"""A larger sd on the logit scale says that nearly every level is all right or all wrong."""

_FLAT = 1e-7
"""Smallest over largest eigenvalue of the scaled Hessian below which a direction is flat."""


def refuse_runaway(design: Design, theta_H: FloatArray) -> None:
    """Raise where a variance grew without bound.

    Raises:
        MixedModelError: an sd of more than 15 on the logit scale.
    """
    for found in components(design, theta_H, np.zeros((theta_H.size, theta_H.size))):
        for name, sd in zip(found.columns, found.sd_B, strict=True):
            if sd > _MOST_SD:
                raise MixedModelError(
                    "runaway variance",
                    (found.group, name),
                    f"the sd of '{name}' over '{found.group}' has grown to {sd:.0f} on the logit scale: nearly every "
                    "level's answers are all right or all wrong. Add answers per level (draws, framings) or leave "
                    "out the term.",
                )


def findings(design: Design, optimum: Optimum) -> tuple[Finding, ...]:
    """Variances at zero, correlations at one, and directions in which the likelihood is flat."""
    n_fixed = design.x_PK.shape[1]
    theta_H = optimum.point.psi_J[n_fixed:]
    out: list[Finding] = []
    for found in components(design, theta_H, np.zeros((theta_H.size, theta_H.size))):
        for i, name in enumerate(found.columns):
            if found.sd_B[i] <= ZERO_SD:
                out.append(
                    Finding(
                        "variance at zero",
                        f"{name} | {found.group}",
                        f"the sd of '{name}' over the {found.n_levels} levels of '{found.group}' is estimated as zero: "
                        "these data show no variation beyond chance, and standard errors take it as known to be zero. "
                        "Leave the column out, or give an upper limit with profile_interval.",
                    )
                )
            for j in range(i):
                if abs(found.correlation_BB[i, j]) > 0.9999:
                    out.append(
                        Finding(
                            "correlation at the limit",
                            f"{found.columns[j]}, {name} | {found.group}",
                            f"'{found.columns[j]}' and '{name}' have correlation {found.correlation_BB[i, j]:+.0f} over "
                            f"'{found.group}': too few levels ({found.n_levels}) or too little data to tell them apart. "
                            f"Write them uncorrelated, (... || {found.group}), or leave one out.",
                        )
                    )
    hessian = optimum.point.hessian_JJ[np.ix_(optimum.free_J, optimum.free_J)]
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    if values[0] < _FLAT * values[-1]:
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


def _theta_names(design: Design) -> list[str]:
    return [f"{b.columns[i]}:{b.columns[j]} | {b.group}" for b in design.blocks for i, j in b.free]

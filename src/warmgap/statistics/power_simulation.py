"""Whole studies drawn at random and analysed as they would be, to confirm the formulas of `power`.

Shape suffixes: R studies, M models, S trainings, Q questions of all tasks, T tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from warmgap.statistics.clusters import FloatArray, IntArray, wilson
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import Design, Moments, Scope, effect_parts, moments

_CHUNK = 2_000_000


@dataclass(frozen=True)
class Simulated:
    """Estimates of many studies, with the standard error and the degrees of freedom each would report."""

    estimate_R: FloatArray
    std_error_R: FloatArray
    df_R: FloatArray
    confidence: float

    @property
    def rejected(self) -> float:
        """Share of studies whose test rejects no effect: the power, or the false positives at none."""
        critical_R = special.stdtrit(self.df_R, 0.5 + self.confidence / 2)
        return float(np.mean(np.abs(self.estimate_R) > critical_R * self.std_error_R))

    @property
    def rejected_range(self) -> tuple[float, float]:
        """Wilson's 95 % interval of that share, for the number of studies drawn."""
        n = self.estimate_R.size
        return wilson(self.rejected * n, n, 0.95)


def simulate(
    design: Design,
    components: Components,
    scope: Scope,
    effect_pp: float,
    *,
    n_studies: int = 300,
    seed: int = 0,
    confidence: float = 0.95,
    new_statements: bool = False,
) -> Simulated:
    """Draw studies from the model of `power_components` and analyse each by the estimator of its scope.

    Args:
        design: what each study asks.
        components: standard deviations on the logit scale.
        scope: what is random, and with it the estimator (`power`).
        effect_pp: the true effect, averaged over all that is random.
        n_studies: studies to draw.
        seed: of the random numbers.
        confidence: one minus the level of the test.
        new_statements: draw statements anew for each study too; no estimator accounts for them.
    """
    rng = np.random.default_rng(seed)
    found = moments(design, components, scope, effect_pp)
    task_Q = np.repeat(np.arange(len(design.questions)), design.questions)
    size = design.models * design.trainings * task_Q.size
    parts = []
    for n in _chunks(n_studies, max(1, _CHUNK // size)):
        difference = _differences(rng, n, design, components, scope, found, task_Q, new_statements)
        parts.append(_estimators(difference, task_Q, scope, design))
    estimate_R, variance_R, df_R = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Simulated(100 * estimate_R, 100 * np.sqrt(variance_R), df_R, confidence)


def _differences(
    rng: np.random.Generator,
    n: int,
    design: Design,
    components: Components,
    scope: Scope,
    found: Moments,
    task_Q: IntArray,
    new_statements: bool,
) -> FloatArray:
    """Mean difference of the arms per study, model, training and question, over all its cells."""
    n_models, seeds, n_tasks = design.models, design.trainings, len(design.questions)
    variances = {k: math.sqrt(v) for k, v in effect_parts(design, components, scope).items()}
    question = found.logit_T[task_Q] + rng.normal(0, components.question, (n, 1, 1, task_Q.size))
    effect = rng.normal(0, components.question_arm, (n, 1, 1, task_Q.size))
    common = rng.normal(0, variances["model"], (n, n_models, 1, 1))
    common = common + rng.normal(0, variances["model_task"], (n, n_models, 1, n_tasks))[..., task_Q]
    common = common + rng.normal(0, variances["adapter"], (n, n_models, seeds, 1))
    seeds_b = seeds if design.both_trained else 1
    out = np.zeros((n, n_models, seeds, task_Q.size))
    for weight, shift, cells, statements in _sides(design, found, new_statements):
        trials = cells * design.draws
        logit = question + effect + shift + (common if weight > 0 else 0)
        if statements:
            spread = rng.normal(0, components.statement_arm, (n, 1, 1, statements))
            logit = logit + spread[..., rng.permutation(task_Q.size) % statements]
        a = rng.binomial(trials, special.expit(logit), (n, n_models, seeds, task_Q.size))
        b = rng.binomial(trials, special.expit(question), (n, n_models, seeds_b, task_Q.size))
        out += weight / trials * (a - b)
    return out


def _sides(design: Design, found: Moments, new_statements: bool) -> Iterator[tuple[float, float, int, int]]:
    """Groups of cells alike: weight, shift of the first arm, number of cells, number of statements."""
    cells = design.cells_per_side
    if design.contrast != "arm":
        yield 1.0, found.shift, cells, 0
        yield -1.0, found.twin_shift, cells, 0
    elif new_statements:
        for n in design.statements:
            yield 1 / design.framings, found.shift, design.beliefs, 0 if math.isinf(n) else round(n)
    else:
        yield 1.0, found.shift, cells, 0


def _estimators(
    difference: FloatArray, task_Q: npt.NDArray[np.int64], scope: Scope, design: Design
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimate, variance and degrees of freedom of each study, tasks, models and trainings alike."""
    n_T = np.array(design.questions, dtype=np.float64)
    starts = np.concatenate([[0], np.cumsum(design.questions)[:-1]])
    by_task = np.add.reduceat(difference, starts, axis=-1) / n_T
    per_training = by_task.mean(axis=-1)
    estimate = per_training.mean(axis=(1, 2))
    n_models, n_seeds = per_training.shape[1:]
    if scope == "new_models":
        variance = np.var(per_training.mean(axis=2), axis=1, ddof=1) / n_models
        return estimate, variance, np.full(estimate.size, n_models - 1.0)
    residual = difference.mean(axis=(1, 2)) - by_task.mean(axis=(1, 2))[:, task_Q]
    squares = np.add.reduceat(residual**2, starts, axis=-1)
    clustered = np.sum(squares / (n_T * (n_T - 1)), axis=-1) / n_T.size**2
    df = np.full(estimate.size, n_T.sum() - n_T.size)
    if scope == "these_adapters":
        return estimate, clustered, df
    between = np.var(per_training, axis=2, ddof=1).mean(axis=1) / (n_models * n_seeds)
    df_between = n_models * (n_seeds - 1)
    total = clustered + between
    return estimate, total, total**2 / (clustered**2 / df + between**2 / df_between)


def _chunks(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)

"""Whole studies drawn at random and analysed as they would be, to confirm the formulas of `power`.

Shape suffixes: R studies, M models, S trainings, Q questions of all tasks, F framings (one for a difference
between framings), T tasks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from warmgap.statistics.clusters import FloatArray, IntArray, wilson
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import Design, Moments, Scope, effect_parts, moments
from warmgap.statistics.scopes import Sample, mean_in_scope


@dataclass(frozen=True)
class Simulated:
    """Estimates of many studies, with the standard error and the degrees of freedom each would report.

    Estimates and standard errors are in percentage points. Where a study sees no variation it reports
    none, and does not reject.
    """

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
) -> Simulated:
    """Draw studies from the model of `power_components` and analyse each by `scopes.mean_in_scope`.

    Args:
        design: what each study asks.
        components: standard deviations on the logit scale.
        scope: what is random, and with it the estimator (`power`).
        effect_pp: the true effect, averaged over all that is random.
        n_studies: studies to draw.
        seed: of the random numbers.
        confidence: one minus the level of the test.
    """
    rng = np.random.default_rng(seed)
    found = moments(design, components, scope, effect_pp)
    rows = []
    for _ in range(n_studies):
        mean = mean_in_scope(_study(rng, design, components, scope, found), scope, confidence)
        none = (0.0, math.inf, 1.0)
        rows.append(
            none if mean is None else (100 * mean.estimate, 100 * mean.std_error, mean.df or math.inf)
        )
    estimate_R, std_error_R, df_R = np.array(rows).T
    return Simulated(estimate_R, std_error_R, df_R, confidence)


def _study(
    rng: np.random.Generator, design: Design, components: Components, scope: Scope, found: Moments
) -> Sample:
    """Paired differences of one study, each the mean over the beliefs of a question in a framing."""
    task_Q = np.repeat(np.arange(len(design.questions)), design.questions)
    between_framings = design.contrast == "framing"
    shape = (design.models, design.trainings, task_Q.size, 1 if between_framings else design.framings)
    code_FQ, statement_FQ = _statements(rng, design, components, task_Q.size)
    question_Q = found.logit_T[task_Q] + rng.normal(0, components.question, task_Q.size)
    effect_Q = rng.normal(0, components.question_arm, task_Q.size)
    varying_MSQ = _varying(rng, design, components, scope, task_Q)
    trials = design.draws * (1 if design.contrast == "belief" else design.beliefs)

    def difference(shift: float, varying_MSQ: FloatArray | float, statement_FQ: FloatArray) -> FloatArray:
        logit = (question_Q + effect_Q + shift + varying_MSQ)[..., None] + statement_FQ.T
        a = rng.binomial(trials, np.broadcast_to(special.expit(logit), shape))
        seeds_b = design.trainings if design.both_trained else 1
        b = rng.binomial(trials, special.expit(question_Q)[:, None], (shape[0], seeds_b, *shape[2:]))
        return np.asarray((a - b) / trials)

    first, second = (statement_FQ[:1], statement_FQ[1:]) if between_framings else (statement_FQ,) * 2
    value = difference(found.shift, varying_MSQ, first)
    if design.contrast != "arm":
        value = value - difference(found.twin_shift, 0.0, second)
    model, training, question, framing = (a.ravel() for a in np.indices(shape))
    codes = (
        (code_FQ[0, question], code_FQ[1, question]) if between_framings else (code_FQ[framing, question],)
    )
    return Sample(
        value_N=value.ravel(),
        unit_N=model if scope == "these_adapters" else model * design.trainings + training,
        model_N=model,
        task_N=task_Q[question],
        framing_N=framing,
        question_N=question,
        statements=codes,
    )


def _varying(
    rng: np.random.Generator, design: Design, components: Components, scope: Scope, task_Q: IntArray
) -> FloatArray:
    """What the effect is over models, tasks within them and trainings, on the logit scale."""
    sds = {name: math.sqrt(v) for name, v in effect_parts(design, components, scope).items()}
    per_task_MT = rng.normal(0, sds["model_task"], (design.models, len(design.questions)))
    model_M = rng.normal(0, sds["model"], design.models)
    adapter_MS = rng.normal(0, sds["adapter"], (design.models, design.trainings))
    out: FloatArray = (model_M[:, None] + per_task_MT[:, task_Q])[:, None] + adapter_MS[..., None]
    return out


def _statements(
    rng: np.random.Generator, design: Design, components: Components, n_questions: int
) -> tuple[IntArray, FloatArray]:
    """Code and effect of the statement of each framing and question; -1 and 0 where there is none."""
    codes, effects, known = [], [], 0
    for given in design.statements:
        if math.isinf(given):
            codes.append(np.full(n_questions, -1))
            effects.append(np.zeros(n_questions))
            continue
        n = max(round(given), 1)
        code_Q = rng.permutation(n_questions) % n
        codes.append(known + code_Q)
        effects.append(rng.normal(0, components.statement_arm, n)[code_Q])
        known += n
    return np.array(codes, dtype=np.int64), np.array(effects)

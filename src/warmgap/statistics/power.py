"""How large an effect a design can detect, and what would make it detect smaller ones.

The variance of an estimate is the sum of its parts, each linearised in the parts of the effect that are
small on the logit scale (delta method) and integrated over the questions, which differ much. With M models,
S trainings each, T tasks of Q_t questions, K answers of a question by each arm, P(1 - P) averaged to v:

    answers     sum_t (v_a / S_a + v_b / S_b) / (T^2 Q_t K M)
    questions   sum_t Var_q(P_a - P_b) / (T^2 Q_t)
    trainings   s_adapter^2 (mean_t v_a)^2 / (M S)
    models      [s_model^2 (mean_t v_a)^2 + s_model_task^2 sum_t v_a^2 / T^2] / M
    statements  s_statement^2 (mean_t v_a)^2 mean_f(1 / n_f) / F

What a scope generalises over decides which parts are random, and how the study would estimate them:

- these_adapters: answers and questions. Paired, clustered by question; t with questions - tasks df.
- new_adapters: trainings too. The variance clustered by question plus the variance between trainings within
  models, with Satterthwaite's df: the min F' of Clark (1973). Noise of answers is in both, which makes up
  for df that are themselves estimated: 4 to 7 % of simulated studies reject where there is no effect.
- new_models: models and trainings. The mean of one effect per model, t with models - 1 df. What the models
  share, the questions, is not in their spread; `false_positive` says what that does.

Statements are fixed in all of them: effects hold for the sentences that were used.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from warmgap.errors import UserError
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import Design, Scope, effect_parts, moments

_TINY = 1e-12


@dataclass(frozen=True)
class Precision:
    """The variance of an estimate by its parts, and what the study's own estimator makes of it.

    Variances are of shares, squared. `estimated` is what the estimator of the variance expects, `df` the
    degrees of freedom of its t.
    """

    scope: Scope
    answers: float
    questions: float
    trainings: float
    models: float
    statements: float
    estimated: float
    df: float

    @property
    def variance(self) -> float:
        """The true variance in the scope; statements are fixed."""
        return self.answers + self.questions + self.trainings + self.models

    @property
    def std_error_pp(self) -> float:
        """The true standard error."""
        return 100 * math.sqrt(self.variance)

    @property
    def new_statements_pp(self) -> float:
        """The standard error over other statements too."""
        return 100 * math.sqrt(self.variance + self.statements)

    @property
    def floor_pp(self) -> float:
        """The standard error that is left however many questions are asked."""
        return 100 * math.sqrt(self.trainings + self.models)

    def enough_questions(self, asked: int, share: float = 0.9) -> float | None:
        """Questions at which this share of the reachable precision (1 / standard error) is there.

        None where more questions always help.
        """
        floor = self.trainings + self.models
        if floor <= _TINY:
            return None
        return asked * (self.answers + self.questions) / (floor * (1 / share**2 - 1))


def precision(design: Design, components: Components, scope: Scope, effect_pp: float) -> Precision:
    """The variance of the estimate at a true effect.

    Raises:
        UserError: the design says nothing over this scope, or the effect is impossible.
    """
    reason = design.why_not(scope)
    if reason:
        raise UserError(f"nothing can be said over {scope}: {reason}.")
    found = moments(design, components, scope, effect_pp)
    parts = effect_parts(design, components, scope)
    n_T = np.array(design.questions, dtype=np.float64)
    n_tasks, n_models, seeds = len(n_T), design.models, design.trainings
    seeds_b = seeds if design.both_trained else 1
    twin = design.contrast != "arm"
    slope = float(np.mean(found.slope_T))
    per_T = 1 / (n_tasks**2 * n_T * design.cells_per_side * design.draws * n_models)
    noise_a = float(np.sum(per_T * (found.slope_T + found.slope_twin_T))) / seeds
    noise_b = float(np.sum(per_T * found.slope_b_T)) * (2 if twin else 1) / seeds_b
    answers = noise_a + noise_b
    questions = float(np.sum(found.question_T / n_T)) / n_tasks**2
    trainings = parts["adapter"] * slope**2 / (n_models * seeds)
    models = (
        parts["model"] * slope**2 + parts["model_task"] * float(np.sum(found.slope_T**2)) / n_tasks**2
    ) / n_models
    share = float(np.mean([1 / n for n in design.statements])) / design.framings
    statements = components.statement_arm**2 * slope**2 * share
    if design.contrast == "framing":
        statements *= 2 * design.framings
    elif design.contrast == "belief":
        statements = 0.0  # the same statements in both beliefs

    clustered, df = answers + questions, float(design.total_questions - n_tasks)
    estimated = clustered
    if scope == "new_models":
        estimated, df = answers + trainings + models, n_models - 1.0
    elif scope == "new_adapters":
        between, df_between = (
            trainings + noise_a + (noise_b if design.both_trained else 0),
            n_models * (seeds - 1.0),
        )
        estimated = clustered + between
        df = estimated**2 / (clustered**2 / df + between**2 / df_between)
    return Precision(scope, answers, questions, trainings, models, statements, estimated, df)


def power(
    design: Design, components: Components, scope: Scope, effect_pp: float, confidence: float = 0.95
) -> float:
    """The chance that the two-sided test of no effect rejects, at a true effect in percentage points.

    The estimate is normal with its true variance and the estimated one is chi-square around its own
    expectation, so the statistic is a noncentral t.
    """
    p = precision(design, components, scope, effect_pp)
    critical = float(special.stdtrit(p.df, 0.5 + confidence / 2)) * math.sqrt(p.estimated / p.variance)
    return beyond(critical, p.df, effect_pp / p.std_error_pp)


def beyond(critical: float, df: float, shift: float) -> float:
    """P(|T| > critical) for a noncentral t, as the mean normal tail over quantiles of the chi-square.

    SciPy's own function gives NaN for the large shifts that a search for an effect passes.
    """
    quantile = (np.arange(2000) + 0.5) / 2000
    scaled = critical * np.sqrt(special.chdtri(df, quantile) / df)
    return float(np.mean(special.ndtr(shift - scaled) + special.ndtr(-shift - scaled)))


def false_positive(design: Design, components: Components, scope: Scope, confidence: float = 0.95) -> float:
    """The chance that the test rejects although there is no effect on average."""
    return power(design, components, scope, 0.0, confidence)


@functools.lru_cache(maxsize=256)
def smallest_effect(
    design: Design,
    components: Components,
    scope: Scope,
    target: float = 0.8,
    confidence: float = 0.95,
) -> float | None:
    """The smallest rise of the error rate, in pp, that is detected with this power; None if no rise is."""
    highest = 100 * (0.99 - float(np.mean(design.base)))

    def miss(effect_pp: float) -> float:
        return power(design, components, scope, effect_pp, confidence) - target

    if miss(highest) < 0:
        return None
    return float(optimize.brentq(miss, 0.0, highest, xtol=0.005))

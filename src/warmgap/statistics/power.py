"""How large an effect a design can detect, and what would make it detect smaller ones.

The variance of an estimate is the sum of its parts, each linearised in the parts of the effect that are
small on the logit scale (delta method) and integrated over the questions, which differ much. With M models,
S trainings each, T tasks of Q_t questions, F framings of n_f statements, K answers of a question by each
arm, P(1 - P) averaged to v:

    answers     sum_t (v_a / S_a + v_b / S_b) / (T^2 Q_t K M)
    questions   sum_t Var_q(P_a - P_b) / (T^2 Q_t)
    statements  s_statement^2 (mean_t v_a)^2 sum_f (1 / n_f) / F^2
    trainings   s_adapter^2 (mean_t v_a)^2 / (M S)
    models      [s_model^2 (mean_t v_a)^2 + s_model_task^2 sum_t v_a^2 / T^2] / M

What a scope generalises over decides which parts are random: answers, questions and statements in
`these_adapters`, trainings too in `new_adapters`, models too in `new_models`. The test is the study's own
(`scopes.mean_in_scope`): its variance is estimated, by clusters and between units, and its degrees of
freedom with it, so both vary from study to study. `Precision.reported` lists what they come to, and power is
the mean over that list. Suffix I: entries of the list, equally likely.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from warmgap.errors import UserError
from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import Design, Scope, effect_parts, moments

_TINY = 1e-12
_LISTED = 1024


@dataclass(frozen=True)
class StatementPart:
    """V(statement) - V(question and statement) as a study estimates it: normal, and 0 where negative."""

    mean: float
    sd: float
    df: float


@dataclass(frozen=True)
class Precision:
    """The variance of an estimate by its parts, and what the study's own estimator makes of it.

    Variances are of shares, squared. `between` is the expected variance between units (trainings or
    models) over their number, `shared` what answers and questions add that units have in common; with
    units fixed both are unused. `df_between` and `df_questions` belong to them.
    """

    scope: Scope
    answers: float
    questions: float
    statements: float
    trainings: float
    models: float
    between: float
    shared: float
    df_between: float
    df_questions: float
    parts: tuple[StatementPart, ...]

    @property
    def variance(self) -> float:
        """The true variance in the scope."""
        return self.answers + self.questions + self.statements + self.trainings + self.models

    @property
    def std_error_pp(self) -> float:
        """The true standard error."""
        return 100 * math.sqrt(self.variance)

    @property
    def df(self) -> float:
        """Median degrees of freedom that studies of this design would report."""
        return float(np.median(self.reported()[1]))

    @property
    def floor_pp(self) -> float:
        """The standard error that is left however many questions are asked."""
        return 100 * math.sqrt(self._floor)

    @property
    def _floor(self) -> float:
        return self.statements + self.trainings + self.models

    def enough_questions(self, asked: int, share: float = 0.9) -> float | None:
        """Questions at which this share of the reachable precision (1 / standard error) is there.

        None where more questions always help.
        """
        if self._floor <= _TINY:
            return None
        return asked * (self.answers + self.questions) / (self._floor * (1 / share**2 - 1))

    def reported(self) -> tuple[FloatArray, FloatArray]:
        """Variances that studies of this design would report, and their degrees of freedom."""
        u_I, *more = _points(2 + len(self.parts))
        spread_I = special.chdtri(self.df_questions, u_I) / self.df_questions
        statements_I, df_I = np.zeros(_LISTED), np.full(_LISTED, self.df_questions)
        for part, u_I in zip(self.parts, more[1:], strict=True):
            extra_I = part.mean + part.sd * special.ndtri(u_I)
            statements_I += np.maximum(extra_I, 0)
            df_I = np.where(extra_I > 0, np.minimum(df_I, part.df), df_I)
        fixed_I = (self.answers + self.questions) * spread_I + statements_I
        if self.scope == "these_adapters":
            return fixed_I, df_I
        between_I = self.between * special.chdtri(self.df_between, more[0]) / self.df_between
        common_I = self.shared * spread_I + statements_I
        total_I = between_I + common_I
        df_I = total_I**2 / (between_I**2 / self.df_between + common_I**2 / df_I)
        return np.maximum(total_I, fixed_I), df_I


def _points(n: int) -> Iterator[FloatArray]:
    """Coordinates of points that fill the unit cube evenly, each strictly between 0 and 1.

    Multiples of the powers of the root of x^(n+1) = x + 1 (Roberts 2018, after Weyl).
    """
    root = optimize.brentq(lambda x: x ** (n + 1) - x - 1, 1.0, 2.0)
    for power_of in range(1, n + 1):
        yield (0.5 + np.arange(1, _LISTED + 1) * root**-power_of) % 1.0


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
    questions = float(np.sum(found.question_T / n_T)) / n_tasks**2
    trainings = parts["adapter"] * slope**2 / (n_models * seeds)
    models = (
        parts["model"] * slope**2 + parts["model_task"] * float(np.sum(found.slope_T**2)) / n_tasks**2
    ) / n_models
    between = shared = df_between = 0.0
    if scope == "new_models":
        between, shared = noise_a + noise_b + trainings + models, questions
        df_between = n_models - 1.0
    elif scope == "new_adapters":
        own, common = (noise_a + noise_b, 0.0) if design.both_trained else (noise_a, noise_b)
        between, shared = trainings + own, questions + common
        df_between = n_models * (seeds - 1.0)
    statements = _statement_parts(design, components.statement_arm * slope, noise_a + noise_b, questions)
    return Precision(
        scope=scope,
        answers=noise_a + noise_b,
        questions=questions,
        statements=sum((part.mean for part in statements), 0.0),
        trainings=trainings,
        models=models,
        between=between,
        shared=shared,
        df_between=df_between,
        df_questions=float(design.total_questions - n_tasks),
        parts=statements,
    )


def _statement_parts(
    design: Design, sd: float, answers: float, questions: float
) -> tuple[StatementPart, ...]:
    """What statements add, `sd` being that of an effect over them, and how well a study can tell.

    With S statements and everything else independent of them, V(statement) and V(question and statement)
    have one expectation V, and their difference the variance 2 V^2 / S.
    """
    if design.contrast == "framing":
        alone = answers + questions
        return tuple(
            StatementPart(sd**2 / n, math.sqrt(2 / n) * (alone + sd**2 / n), max(n - 1, 1.0))
            for n in design.statements
            if math.isfinite(n)
        )
    used = [n for n in design.statements if math.isfinite(n)]
    if not used:
        return ()
    # A question has answers in every framing; its own spread is in each of them.
    in_framing = (answers + questions / design.framings) / design.framings
    own = [0.0 if design.contrast == "belief" else sd**2 / (n * design.framings**2) for n in used]
    variance = sum(2 / n * (in_framing + s) ** 2 for n, s in zip(used, own, strict=True))
    return (StatementPart(sum(own), math.sqrt(variance), max(sum(used) - len(used), 1.0)),)


def power(
    design: Design, components: Components, scope: Scope, effect_pp: float, confidence: float = 0.95
) -> float:
    """The chance that the two-sided test of no effect rejects, at a true effect in percentage points.

    The estimate is normal with its true variance; the reported variance and degrees of freedom are those
    of `Precision.reported`, independent of it. Without statements and with units fixed this is the power of
    a t test.
    """
    p = precision(design, components, scope, effect_pp)
    return beyond(p, effect_pp / p.std_error_pp, confidence)


def beyond(p: Precision, shift: float, confidence: float) -> float:
    """The chance that the test rejects where the effect is `shift` true standard errors."""
    variance_I, df_I = p.reported()
    critical_I = special.stdtrit(df_I, 0.5 + confidence / 2) * np.sqrt(variance_I / p.variance)
    return float(np.mean(special.ndtr(shift - critical_I) + special.ndtr(-shift - critical_I)))


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

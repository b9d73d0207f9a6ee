"""A design in numbers, and the error rates that it would see.

Shape suffixes: T tasks, U difficulties of questions, V effects over questions, W the effect's other parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy import optimize, special

from warmgap.errors import UserError
from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.power_components import Components, marginal_logit

Scope = Literal["these_adapters", "new_adapters", "new_models"]
SCOPES: tuple[Scope, ...] = ("these_adapters", "new_adapters", "new_models")
MIN_SEEDS = 3
MIN_MODELS = 3
Contrast = Literal["arm", "framing", "belief"]


@dataclass(frozen=True)
class Design:
    """How much a study asks, for one pair of arms.

    Tasks count alike, as models and seeds do. `base` is the error rate of the second arm per task, a share.
    """

    questions: tuple[int, ...]
    base: tuple[float, ...]
    models: int = 1
    seeds: int = 0
    """Trainings of the first arm per model; 0 where neither arm is trained."""
    both_trained: bool = True
    """Whether the second arm is trained as often, or exists once per model."""
    statements: tuple[float, ...] = (20.0,)
    """Per framing, how many statements share the questions alike; infinity for a framing without any."""
    beliefs: int = 1
    draws: int = 1
    """Answers per prompt and arm that the estimate averages."""
    contrast: Contrast = "arm"
    """The effect itself, or how much larger it is in one framing or belief than in its twin."""

    def __post_init__(self) -> None:
        if not self.questions or len(self.questions) != len(self.base) or min(self.questions) < 2:
            raise UserError(
                f"a design needs at least 2 questions in each task and one error rate per task; found "
                f"questions {list(self.questions)} and error rates {list(self.base)}."
            )
        if not all(0 < p < 1 for p in self.base):
            raise UserError(f"error rates are {list(self.base)}. Allowed: above 0 and below 1.")

    @property
    def framings(self) -> int:
        """Number of framings."""
        return len(self.statements)

    @property
    def trainings(self) -> int:
        """Sets of answers of the first arm per model."""
        return max(self.seeds, 1)

    @property
    def total_questions(self) -> int:
        """Questions of all tasks."""
        return sum(self.questions)

    @property
    def cells_per_side(self) -> int:
        """Answers per question and arm on each side of the contrast."""
        cells = self.framings * self.beliefs
        return {"arm": cells, "framing": self.beliefs, "belief": self.framings}[self.contrast]

    def why_not(self, scope: Scope) -> str:
        """Why the design says nothing over this scope; empty where it does."""
        if scope == "new_adapters" and 0 < self.seeds < MIN_SEEDS:
            return f"needs {MIN_SEEDS} training seeds per model, has {self.seeds}"
        if scope == "new_adapters" and not self.seeds:
            return "neither arm is trained"
        if scope == "new_models" and self.models < MIN_MODELS:
            return f"needs {MIN_MODELS} models, and better 5 or more; has {self.models}"
        return ""

    def times(self, *, questions: float = 1, seeds: int = 1, models: int = 1) -> Design:
        """The design with so many times as many questions in each task, seeds and models."""
        return replace(
            self,
            questions=tuple(round(n * questions) for n in self.questions),
            seeds=self.seeds * seeds,
            models=self.models * models,
        )


def effect_parts(design: Design, components: Components, scope: Scope) -> dict[str, float]:
    """Variances on the logit scale of the parts of the effect that are random in a scope.

    Keys: `model`, `model_task`, `adapter`. What varies over models in each framing or belief is averaged
    over those of the design. In a contrast with the twin the common parts cancel.
    """
    c = components
    model = adapter = model_task = 0.0
    if scope == "new_models":
        if design.contrast == "arm":
            model = (
                c.model_arm**2
                + c.model_framing_arm**2 / design.framings
                + c.model_belief_arm**2 / design.beliefs
            )
            model_task = c.model_task_arm**2
        else:
            model = c.model_sad_arm**2 if design.contrast == "framing" else 2 * c.model_belief_arm**2
    if scope != "these_adapters" and design.seeds and design.contrast == "arm":
        adapter = c.adapter_arm**2
    return {"model": model, "model_task": model_task, "adapter": adapter}


@dataclass(frozen=True)
class Moments:
    """What one effect size amounts to, per task, as shares.

    `logit_T` is the second arm's logit at a question of mean difficulty, `shift` what the first arm adds and
    `twin_shift` what it adds in the twin. `slope_T` is the mean of P(1 - P) of the first arm, which is both
    dP/dlogit and the variance of one answer; `slope_b_T` and `slope_twin_T` are the same of the second arm
    and of the first in the twin. `question_T` is the variance over questions of the difference.
    """

    logit_T: FloatArray
    shift: float
    twin_shift: float
    slope_T: FloatArray
    slope_b_T: FloatArray
    slope_twin_T: FloatArray
    question_T: FloatArray


def moments(design: Design, components: Components, scope: Scope, effect_pp: float) -> Moments:
    """Moments of a design at a true effect in percentage points, averaged over all that is random.

    The logit of the first arm is that of the second plus one shift, the same for all tasks, chosen so that
    the error rates differ by the effect; integrals are Gauss-Hermite sums.

    Raises:
        UserError: no shift gives such an effect, since an error rate would leave 0 to 100 %.
    """
    target = float(np.mean(design.base)) + effect_pp / 100
    if not 0.001 < target < 0.999:
        raise UserError(
            f"an effect of {effect_pp:g} pp takes the mean error rate from "
            f"{100 * np.mean(design.base):.0f} to {100 * target:.0f} %. "
            "Allowed: an effect with which it stays between 0 and 100 %."
        )
    logit_T = np.array([marginal_logit(p, components.question) for p in design.base])
    u_U, weight_U = _nodes(components.question, 31)
    v_V, weight_V = _nodes(components.question_arm, 15)
    logit_TUV = logit_T[:, None, None] + u_U[:, None] + v_V
    weight_UV = weight_U[:, None] * weight_V

    def first_arm(shift: float, nodes: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """P and P(1 - P) by question, averaged over the effect's other parts."""
        p_TUVW = special.expit(logit_TUV[..., None] + shift + nodes[0])
        return p_TUVW @ nodes[1], (p_TUVW * (1 - p_TUVW)) @ nodes[1]

    def mean_T(value_TUV: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("tuv,uv->t", value_TUV, weight_UV))

    def shift_to(share: float, nodes: tuple[FloatArray, FloatArray]) -> float:
        def miss(shift: float) -> float:
            return float(np.mean(mean_T(first_arm(shift, nodes)[0]))) - share

        return float(optimize.brentq(miss, -40.0, 40.0, xtol=1e-6))

    small = sum(effect_parts(design, components, scope).values())
    nodes = _nodes(math.sqrt(small), 7 if small else 1)
    shift = shift_to(target, nodes)
    a_TUV, slope_TUV = first_arm(shift, nodes)
    b_TUV = np.broadcast_to(special.expit(logit_T[:, None] + u_U)[..., None], a_TUV.shape)
    twin_shift, other_TUV, slope_twin_TUV = 0.0, b_TUV, np.zeros_like(a_TUV)
    if design.contrast != "arm":
        # The twin has the same spread of the effect over questions, no other one, and no mean effect.
        alone = _nodes(0.0, 1)
        twin_shift = shift_to(float(np.mean(design.base)), alone)
        other_TUV, slope_twin_TUV = first_arm(twin_shift, alone)
    gap_TUV = a_TUV - other_TUV
    return Moments(
        logit_T=logit_T,
        shift=shift,
        twin_shift=twin_shift,
        slope_T=mean_T(slope_TUV),
        slope_b_T=mean_T(b_TUV * (1 - b_TUV)),
        slope_twin_T=mean_T(slope_twin_TUV),
        question_T=mean_T(gap_TUV**2) - mean_T(gap_TUV) ** 2,
    )


def _nodes(sd: float, n: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = hermegauss(n)
    return sd * np.asarray(nodes), np.asarray(weights / weights.sum())

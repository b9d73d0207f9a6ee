"""How a result of ours agrees with a published one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmgap.statistics.clusters import t_quantile

VERDICTS = ("compatible", "smaller", "larger", "opposite", "uninformative", "not comparable")
"""All verdicts; the last is given without looking at the numbers."""


@dataclass(frozen=True)
class Estimate:
    """An effect in percentage points with its standard error; df None means normal."""

    effect_pp: float
    std_error_pp: float
    df: float | None = None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Its confidence interval."""
        half = t_quantile(confidence, self.df) * self.std_error_pp
        return self.effect_pp - half, self.effect_pp + half


@dataclass(frozen=True)
class Agreement:
    """A verdict with the prediction interval behind it."""

    verdict: str
    low_pp: float
    high_pp: float


def verdict(ours: Estimate, published: Estimate, confidence: float = 0.95) -> Agreement:
    """Where our effect lies in the interval that a replication's effect should lie in.

    If both studies measure one effect, our estimate falls with probability `confidence` into

        published -+ q sqrt(se_published^2 + se_ours^2),

    q being the quantile of Student's t with our degrees of freedom (Patil, Peng and Leek 2016;
    Spence and Stanley 2016). It holds the chance of answers in both studies and no difference
    between training runs: the paper trained each model once, so a training run alone can push a
    true replication out of it.

    - `opposite`: outside; each study's own interval excludes zero, on opposite sides.
    - `larger`, `smaller`: outside otherwise, farther in the direction of the published effect, or
      less far (which includes beyond zero).
    - `uninformative`: inside, but so would no effect be, and one twice as large: the interval is
      at least as wide to each side as the published effect is large.
    - `compatible`: inside, and the interval excludes zero.
    """
    half = t_quantile(confidence, ours.df) * math.hypot(ours.std_error_pp, published.std_error_pp)
    low, high = published.effect_pp - half, published.effect_pp + half
    if low <= ours.effect_pp <= high:
        found = "uninformative" if half >= abs(published.effect_pp) else "compatible"
    elif _signs_differ(ours.interval(confidence), published.interval(confidence)):
        found = "opposite"
    else:
        direction = math.copysign(1.0, published.effect_pp)
        found = "larger" if direction * (ours.effect_pp - published.effect_pp) > 0 else "smaller"
    return Agreement(found, low, high)


def _signs_differ(ours: tuple[float, float], published: tuple[float, float]) -> bool:
    return (ours[1] < 0 < published[0]) or (published[1] < 0 < ours[0])

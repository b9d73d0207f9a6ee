"""An effect over models: each model counts once, and models are what varies.

Suffix M: models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from warmgap.statistics.clusters import FloatArray, t_quantile, two_sided_p


@dataclass(frozen=True)
class OverModels:
    """Mean of an effect over models with equal weights, in the unit of the effects.

    `conf_*`: Student's t with (models - 1) degrees of freedom. `prediction_*`: where one more model
    like these, studied in the same way, is expected. `answers_*`: the same mean if the models are
    fixed and only the answers are due to chance (normal). `tau` is the standard deviation of the
    true effects over models, and `i2_pct` the share of the observed variance that it makes up; the
    two ends are for the largest and the least variance that the answers can account for.
    `sign_flip_p` is the exact two-sided p-value from flipping the signs of the models' effects.
    """

    n_models: int
    estimate: float
    std_error: float
    df: float
    conf_low: float
    conf_high: float
    prediction_low: float
    prediction_high: float
    p_value: float
    sign_flip_p: float
    n_positive: int
    sd_models: float
    tau_low: float
    tau_high: float
    i2_low_pct: float
    i2_high_pct: float
    answers_low: float
    answers_high: float


def over_models(
    effect_M: Sequence[float] | FloatArray,
    se_low_M: Sequence[float] | FloatArray,
    se_high_M: Sequence[float] | FloatArray,
    confidence: float = 0.95,
) -> OverModels:
    """The mean of at least two models' effects.

    The prediction interval is estimate -+ t sd sqrt(1 + 1/M), that of a further observation
    from a normal sample. tau^2 is the observed variance less the mean variance due to answers, at
    least 0 (Hedges and Olkin 1985, the unweighted estimator), and I^2 = tau^2 / observed variance
    (after Higgins and Thompson 2002). With M models no sign-flip p-value is below 2^(1 - M).

    Args:
        effect_M: effect in each model.
        se_low_M: its least standard error from answers alone.
        se_high_M: its largest.
        confidence: coverage of all intervals.
    """
    effects = np.asarray(effect_M, dtype=np.float64)
    low, high = (np.asarray(se, dtype=np.float64) for se in (se_low_M, se_high_M))
    n = effects.size
    estimate, sd = float(effects.mean()), float(effects.std(ddof=1))
    df = float(n - 1)
    std_error = sd / math.sqrt(n)
    t = t_quantile(confidence, df)
    within = [float(np.mean(se**2)) for se in (high, low)]
    tau_squared = [max(0.0, sd**2 - v) for v in within]
    answers = t_quantile(confidence, None) * float(np.sqrt(np.sum(high**2))) / n
    return OverModels(
        n_models=n,
        estimate=estimate,
        std_error=std_error,
        df=df,
        conf_low=estimate - t * std_error,
        conf_high=estimate + t * std_error,
        prediction_low=estimate - t * sd * math.sqrt(1 + 1 / n),
        prediction_high=estimate + t * sd * math.sqrt(1 + 1 / n),
        p_value=two_sided_p(estimate / std_error, df),
        sign_flip_p=sign_flip_p(effects),
        n_positive=int(np.count_nonzero(effects > 0)),
        sd_models=sd,
        tau_low=math.sqrt(tau_squared[0]),
        tau_high=math.sqrt(tau_squared[1]),
        i2_low_pct=100 * tau_squared[0] / sd**2,
        i2_high_pct=100 * tau_squared[1] / sd**2,
        answers_low=estimate - answers,
        answers_high=estimate + answers,
    )


def sign_flip_p(effect_M: FloatArray) -> float:
    """Exact p-value: the share of the 2^M sign patterns whose mean is as far from zero (Fisher 1935)."""
    signs = np.array(list(product((1.0, -1.0), repeat=effect_M.size)))
    means = np.abs(signs @ effect_M)
    return float(np.mean(means >= abs(effect_M.sum()) * (1 - 1e-12)))

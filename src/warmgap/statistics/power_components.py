"""How much error and the effect of an arm vary: the assumptions behind a power calculation.

Everything is a standard deviation on the logit scale, for one question as asked (conditional on it),
where one unit of logit is about 9.5 percentage points of error rate at the published study's rates.

Where the defaults come from. "Published" is the table of 792 cells of the study's repository
(lujainibrahim/warm_ai_2025; the article is doi 10.1038/s41586-026-10410-0), of which 360 compare the
warm fine-tuned models with the originals (5 models x 4 tasks x 2 belief settings x 9 contexts).

- question 2.30. Where a cell's percentages and its exact McNemar p-value fit one table of counts
  (`published.rebuilt_cells`; 115 of the 180 cells without a stated belief, in which each question is asked
  once), the number of discordant pairs is known. The sd is that of a normal question intercept which gives
  just these pairs (`question_sd_of_pairs`): the median over cells of each task, then over the four tasks,
  2.29. Cells with a large effect are rarely recovered, so this stands on the weaker ones.
- model x arm 0.40, model x task x arm 0.31, model x framing x arm 0.23, model x belief x arm 0.14. A random
  effects analysis of variance of the 360 differences in pp, models random, tasks, contexts and beliefs
  fixed, solved by the method of moments (`model_components_pp`): 3.81, 2.92, 2.18 and 1.35 pp. Binomial
  noise and all higher interactions are in the residual mean square (3.15 pp squared) and so are taken off.
  Divided by 0.095, the mean slope dP/dlogit at the published rates (`mean_slope`). Five models chosen for a
  purpose are few: each of these sds may well be half or twice as large.
- model x sad x arm 0.71. The same for the extra cost of sadness (sad minus unmodified): 6.8 pp over models.
- question x arm 1.20, adapter x arm 0.20, statement x arm 0.20. Unknown in the published study: it gives
  no answers by question, trained each model once, and pools five statements a context. The first agrees
  with this package's demo: over its 96 questions, differences of trained arms in two cells of one question
  covary by 0.026 to 0.043 (effects in proportions), where 1.20 gives 0.034. The second is half of the
  spread between models. The third is about 2 pp per statement; the published contexts, which differ by
  1.8 pp (sd) with five statements each, allow at most 4 pp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import optimize, special

from warmgap.statistics.clusters import FloatArray

NODE_COUNT = 41
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(NODE_COUNT)
NODES_Z: FloatArray = np.asarray(_NODES, dtype=np.float64)
"""Points of the standard normal at which integrals are summed (Gauss-Hermite)."""
WEIGHTS_Z: FloatArray = np.asarray(_WEIGHTS / _WEIGHTS.sum(), dtype=np.float64)
"""Their weights, which sum to one."""

_WARM = "warm_sft"


@dataclass(frozen=True)
class Components:
    """Standard deviations on the logit scale; see the module for the sources of the defaults."""

    question: float = 2.30
    """Difficulty of questions within a task."""
    question_arm: float = 1.20
    """The effect over questions."""
    model_arm: float = 0.40
    """The effect over models, tasks averaged."""
    model_task_arm: float = 0.31
    """The effect over models, further in each task."""
    model_framing_arm: float = 0.23
    """The effect over models, further in each framing."""
    model_belief_arm: float = 0.14
    """The effect over models, further in each belief."""
    model_sad_arm: float = 0.71
    """Over models, how much larger the effect is in a framing than in its twin."""
    adapter_arm: float = 0.20
    """The effect over trainings of one model that differ in their seed."""
    statement_arm: float = 0.20
    """The effect over statements of one framing."""


SOURCES = {
    "question": "published: discordant pairs",
    "question_arm": "assumption; as in the demo",
    "model_arm": "published: 5 models",
    "model_task_arm": "published: 5 models",
    "model_framing_arm": "published: 5 models",
    "model_belief_arm": "published: 5 models",
    "model_sad_arm": "published: sad - unmodified",
    "adapter_arm": "assumption; one seed published",
    "statement_arm": "assumption; unknown",
}
"""Where each default comes from, in a few words."""


def marginal_logit(share: float, sd: float) -> float:
    """The logit at a question of mean difficulty that gives this share of errors over all questions."""

    def miss(logit: float) -> float:
        return float(WEIGHTS_Z @ special.expit(logit + sd * NODES_Z)) - share

    return float(optimize.brentq(miss, -60.0, 60.0))


def question_sd_of_pairs(share_b: float, share_a: float, discordant: float) -> float:
    """Sd of a normal question intercept, common to two arms, that gives this share of discordant pairs.

    Given the question, the answers of the arms are independent, so
    P(both wrong) = E[expit(l_a + sd Z) expit(l_b + sd Z)] = (share_a + share_b - discordant) / 2, with l_a
    and l_b such that the error rates hold. NaN where no sd up to 8 does.
    """
    both = (share_a + share_b - discordant) / 2

    def miss(sd: float) -> float:
        a_Z, b_Z = (special.expit(marginal_logit(s, sd) + sd * NODES_Z) for s in (share_a, share_b))
        return float(WEIGHTS_Z @ (a_Z * b_Z)) - both

    if miss(0.0) >= 0:
        return 0.0
    return math.nan if miss(8.0) < 0 else float(optimize.brentq(miss, 0.0, 8.0, xtol=1e-4))


def question_sd(cells: pl.DataFrame) -> float:
    """Median over tasks of the median over cells of the question sd.

    Args:
        cells: the published cells with their counts (`published.rebuilt_cells`).
    """
    wanted = (pl.col("method") == _WARM) & (pl.col("belief") == "none") & (pl.col("pairs") == "recovered")
    columns = ("task", "n", "errors_original", "errors_modified", "only_original_low")
    found: dict[str, list[float]] = {}
    for task, n, original, modified, only_original in cells.filter(wanted).select(columns).iter_rows():
        discordant = 2 * only_original + modified - original
        sd = question_sd_of_pairs(original / n, modified / n, discordant / n)
        found.setdefault(task, []).append(sd)
    return float(np.median([np.nanmedian(sds) for sds in found.values()]))


def mean_slope(cells: pl.DataFrame, question: float) -> float:
    """Mean over warm cells of dP(error)/dlogit, at the mean of the logits of the two arms."""
    warm = cells.filter(pl.col("method") == _WARM)
    slopes = []
    for pair in warm.select("original_error_pct", "modified_error_pct").iter_rows():
        middle = np.mean([marginal_logit(pct / 100, question) for pct in pair])
        p_Z = special.expit(middle + question * NODES_Z)
        slopes.append(float(WEIGHTS_Z @ (p_Z * (1 - p_Z))))
    return float(np.mean(slopes))


def model_components_pp(cells: pl.DataFrame) -> dict[str, float]:
    """Sds over models of the published effect, in percentage points, by the method of moments.

    The differences y_mtbc of model m, task t, belief b and context c are a balanced table. With models
    random and the rest fixed, each mean square MS has as its expectation the residual variance plus (cells
    per level) times its own component, and that of models holds all of them:
    E MS_m = s2 + BC s2_mt + TC s2_mb + TB s2_mc + TBC s2_m (Searle, Casella, McCulloch 1992, ch. 4).
    """
    warm = cells.filter(pl.col("method") == _WARM).sort("model", "task", "belief", "framing")
    sizes = [warm[c].n_unique() for c in ("model", "task", "belief", "framing")]
    y = warm["diff_pp"].to_numpy().reshape(sizes)
    n_models, n_tasks, n_beliefs, n_contexts = sizes
    y = y - y.mean(axis=0)  # the fixed part: what is common to models
    model = y.mean(axis=(1, 2, 3), keepdims=True)
    by_task = y.mean(axis=(2, 3), keepdims=True) - model
    by_belief = y.mean(axis=(1, 3), keepdims=True) - model
    by_context = y.mean(axis=(1, 2), keepdims=True) - model
    rest = y - model - by_task - by_belief - by_context

    def square(part: FloatArray, df: int) -> float:
        return float(np.sum(np.broadcast_to(part, y.shape) ** 2)) / ((n_models - 1) * df)

    per_model = n_tasks * n_beliefs * n_contexts
    mean_m = square(model, 1)
    mean_t, mean_b, mean_c = (
        square(part, n - 1)
        for part, n in ((by_task, n_tasks), (by_belief, n_beliefs), (by_context, n_contexts))
    )
    mean_r = square(rest, per_model - n_tasks - n_beliefs - n_contexts + 2)
    framings = sorted(warm["framing"].unique())
    sad, plain = framings.index("sad"), framings.index("none")
    extra_M = (y[..., sad] - y[..., plain]).mean(axis=(1, 2))
    variances = {
        "residual": mean_r,
        "model_task_arm": (mean_t - mean_r) / (n_beliefs * n_contexts),
        "model_belief_arm": (mean_b - mean_r) / (n_tasks * n_contexts),
        "model_framing_arm": (mean_c - mean_r) / (n_tasks * n_beliefs),
        "model_arm": (mean_m - mean_t - mean_b - mean_c + 2 * mean_r) / per_model,
        "model_sad_arm": float(np.var(extra_M, ddof=1)) - 2 * mean_r / (n_tasks * n_beliefs),
    }
    return {name: math.sqrt(max(v, 0.0)) for name, v in variances.items()}

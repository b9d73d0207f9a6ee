"""The manipulation gate: whether an arm that should be warm is warm, against the untouched model.

Lift is the mean over validation prompts of arm minus original, paired by prompt; lift share is the
lift over the gold lift, the mean over gold prompts of warm minus neutral reply on the same meter.
An arm whose method aims at warmth passes with a share of at least `min_lift_share`, a lower 95 %
bound above `min_lift_share_low`, at least `min_prompts` prompts, and a second meter whose mean lift
has the same sign. An arm that aims at coldness passes when it is not warmer than original: upper
bound under `min_lift_share_low`. No warmth is asked of a dose below the method's own, which is a
point of a dose response, nor of one of 0 or below, which takes the method's change away.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from warmgap.schema.config import GateConfig
from warmgap.schema.tables import Manipulation, frame

from .aims import Aim, Arm, aim_of_arm, original_of
from .calibration import Choice, gold_scores

Verdict = Literal["passed", "failed", "not measurable", "not needed"]


@dataclass(frozen=True)
class Share:
    """A ratio with its 95 % limits; limits are None where the data allow any value."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lift:
    """Warmth of an arm on one meter: mean over prompts, and against original where there is one."""

    n_prompts: int
    mean: float
    std_error: float
    lift: float | None
    share: Share | None


def lift_share(lift_by_prompt: dict[str, float], gold_by_prompt: dict[str, float]) -> Share | None:
    """Mean lift over mean gold lift, with Fieller's 95 % limits.

    Both means vary over prompts; prompts that have both a lift and a gold lift bring their
    covariance. Student's t with one less than the smaller number of prompts (Fieller 1954, JRSS B
    16:175-185). None where the gold lift is not positive or there are fewer than two prompts.
    """
    if min(len(lift_by_prompt), len(gold_by_prompt)) < 2:
        return None
    a_N, b_N = _array(lift_by_prompt.values()), _array(gold_by_prompt.values())
    a, b = float(a_N.mean()), float(b_N.mean())
    if b <= 0:
        return None
    both = [p for p in lift_by_prompt if p in gold_by_prompt]
    covariance = 0.0
    if len(both) > 1:
        pairs = np.cov([lift_by_prompt[p] for p in both], [gold_by_prompt[p] for p in both])
        covariance = float(pairs[0, 1]) * len(both) / (len(a_N) * len(b_N))
    var_a, var_b = float(a_N.var(ddof=1)) / len(a_N), float(b_N.var(ddof=1)) / len(b_N)
    t2 = float(stats.t.ppf(0.975, min(len(a_N), len(b_N)) - 1)) ** 2
    # The limits are the roots in s of (a - s b)^2 = t^2 Var(a - s b).
    lead, half, last = b * b - t2 * var_b, a * b - t2 * covariance, a * a - t2 * var_a
    if lead <= 0:
        return Share(a / b, None, None)
    root = math.sqrt(max(half * half - lead * last, 0.0))
    return Share(a / b, (half - root) / lead, (half + root) / lead)


def manipulation(
    warmth: pl.DataFrame,
    arms: Sequence[Arm],
    choice: Choice,
    settings: GateConfig,
    unfit: Collection[str] = (),
) -> tuple[pl.DataFrame, dict[str, Verdict]]:
    """Warmth of every arm on every meter, and each arm's verdict.

    A row's verdict is what its own meter says; the row of the gating meter carries the arm's
    verdict, which also asks the second meter. An arm that aims at warmth or coldness is `not
    measurable` without a gating meter, a second meter, an original, or enough prompts.

    Args:
        warmth: rows of `schema.tables.Warmth`, sources `validation` (text_id: the prompt) and `gold`.
        arms: every arm of the sweep, measured or not.
        choice: the gating meter and the second one.
        settings: thresholds.
        unfit: keys of arms whose canary failed: they fail on every meter, whatever they aim at.

    Returns:
        Rows of `schema.tables.Manipulation`, and the verdict by arm_key.

    Raises:
        UserError: a meter that was given no gold replies.
    """
    measured = warmth.filter(pl.col("source") == "validation")
    meters = measured["meter"].unique(maintain_order=True).to_list()
    unit_of = dict(measured.select("meter", "unit").unique().iter_rows())
    by_arm = _scores(measured)
    gold_lift = {m: _gold_lift(warmth, m) for m in meters}
    rows: list[dict[str, Any]] = []
    verdicts: dict[str, Verdict] = {}
    for arm in arms:
        base = original_of(arm, arms)
        lifts: dict[str, Lift] = {}
        for meter in meters:
            scores = by_arm.get((arm.arm_key, meter), {})
            reference = by_arm.get((base.arm_key, meter), {}) if base is not None else {}
            if scores:
                lifts[meter] = _lift(scores, reference, gold_lift[meter])
        aim, failed = aim_of_arm(arm, arms), arm.arm_key in unfit
        verdicts[arm.arm_key] = "failed" if failed else _arm_verdict(aim, lifts, choice, settings)
        for meter, found in lifts.items():
            own = "failed" if failed else _row_verdict(aim, found, settings)
            verdict = verdicts[arm.arm_key] if meter == choice.gating else own
            rows.append(_row(arm, meter, str(unit_of[meter]), found, verdict))
    return frame(Manipulation, rows), verdicts


def _array(values: Any) -> NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64)


def _scores(measured: pl.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Score by prompt of each arm on each meter; a prompt answered twice has the mean of its scores."""
    out: dict[tuple[str, str], dict[str, float]] = {}
    means = measured.drop_nulls("value").group_by("arm_key", "meter", "text_id", maintain_order=True)
    for arm_key, meter, text_id, value in means.agg(pl.col("value").mean()).iter_rows():
        out.setdefault((arm_key, meter), {})[text_id] = value
    return out


def _gold_lift(warmth: pl.DataFrame, meter: str) -> dict[str, float]:
    gold = gold_scores(warmth, meter)
    return dict(gold.select("text_id", pl.col("warm") - pl.col("neutral")).iter_rows())


def _lift(scores: dict[str, float], reference: dict[str, float], gold: dict[str, float]) -> Lift:
    """Over the prompts that both arms answered, so that mean minus lift is the original's mean."""
    paired = {p: v - reference[p] for p, v in scores.items() if p in reference}
    own = _array(scores[p] for p in paired) if paired else _array(scores.values())
    error = float(own.std(ddof=1)) / math.sqrt(len(own)) if len(own) > 1 else float("nan")
    lift = float(_array(paired.values()).mean()) if paired else None
    return Lift(len(own), float(own.mean()), error, lift, lift_share(paired, gold))


def _row_verdict(aim: Aim, found: Lift, settings: GateConfig) -> Verdict:
    if aim == "none":
        return "not needed"
    share = found.share
    if share is None or share.low is None or share.high is None or found.n_prompts < settings.min_prompts:
        return "not measurable"
    if aim == "cold":
        return "passed" if share.high < settings.min_lift_share_low else "failed"
    warm = share.estimate >= settings.min_lift_share and share.low > settings.min_lift_share_low
    return "passed" if warm else "failed"


def _arm_verdict(aim: Aim, lifts: dict[str, Lift], choice: Choice, settings: GateConfig) -> Verdict:
    if aim == "none":
        return "not needed"
    gating = lifts.get(choice.gating) if choice.gating is not None else None
    if gating is None:
        return "not measurable"
    verdict = _row_verdict(aim, gating, settings)
    if verdict != "passed" or aim == "cold":
        return verdict
    second = lifts.get(choice.second) if choice.second is not None else None
    if second is None or second.lift is None:
        return "not measurable"
    return "passed" if second.lift > 0 else "failed"


def _row(arm: Arm, meter: str, unit: str, found: Lift, verdict: Verdict) -> dict[str, Any]:
    return {
        "arm_key": arm.arm_key,
        "model": arm.model,
        "method": arm.method,
        "dose_kind": arm.dose_kind,
        "dose": arm.dose,
        "seed": arm.seed,
        "meter": meter,
        "unit": unit,
        "n_prompts": found.n_prompts,
        "mean": found.mean,
        "std_error": found.std_error,
        "lift": found.lift,
        "lift_share": found.share.estimate if found.share else None,
        "lift_share_low": found.share.low if found.share else None,
        "lift_share_high": found.share.high if found.share else None,
        "verdict": verdict,
        "variant": arm.variant,
    }

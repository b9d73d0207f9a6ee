"""Two sweeps against each other, paired by prompt: what changed in each arm, and in the effects.

The answers of sweep a and sweep b to one prompt are paired as the answers of two arms are
(`pairs.pair_up`), so that standard errors, scopes and worst-case bounds are those of `paired.effects`.
Suffix: N pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl

from warmgap.schema.tables import frame
from warmgap.statistics.arms import arms_of
from warmgap.statistics.clusters import FloatArray, weighted_mean
from warmgap.statistics.effect_rows import Differences, EffectKey, mean_rows
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet, Subset, code_answers, pair_up

_ARM = ("method", "dose_kind", "dose", "variant")
_SIDES = ("a", "b")
_MARK = "sweep="
_JUDGE = "either"


@dataclass(frozen=True)
class SweepDifference:
    """One row of a comparison: sweep a minus sweep b, in percentage points.

    `against` is empty for the outcome's rate in one arm, else the arm that `arm` is compared with:
    the row is then a difference of two effects. `value_a` and `value_b` are that rate in per cent, or
    that effect in pp, on the prompts scored in both sweeps, tasks counted alike; bounds take unscored
    and cut answers at their worst. `changed_pct` is the share of answers whose outcome differs.
    """

    arm: str
    against: str
    model: str
    subset: str
    outcome: str
    scope: str
    value_a: float | None
    value_b: float | None
    difference_pp: float | None
    std_error_pp: float | None
    df: float | None
    conf_low_pp: float | None
    conf_high_pp: float | None
    interval_method: str
    bound_low_pp: float | None
    bound_high_pp: float | None
    p_value: float | None
    changed_pct: float | None
    n: int
    n_models: int


def differences(
    a: pl.DataFrame,
    b: pl.DataFrame,
    pairs: Sequence[tuple[str, str]] = (),
    confidence: float = 0.95,
) -> pl.DataFrame:
    """Every arm that both sweeps have, and the effects of `pairs`, compared on the same prompts.

    Args:
        a: observations of one sweep under one judge.
        b: observations of the other, likewise; the judges may differ.
        pairs: labels (arm_a, arm_b) of effects whose difference is wanted; those that a sweep lacks
            are left out.
        confidence: coverage of the intervals.

    Returns:
        A frame of `SweepDifference`, by arm, model, subset (all, each task, framing and belief),
        outcome and scope.
    """
    answers = code_answers(_marked(a, b))
    labels = _labels(answers)
    rows = [
        row
        for label, sides in labels.items()
        for row in _rows(label, "", pair_up(answers, _JUDGE, *sides), None, confidence)
    ]
    for arm, against in pairs:
        if {arm, against} <= labels.keys():
            of = [pair_up(answers, _JUDGE, *(labels[x][side] for x in (arm, against))) for side in (0, 1)]
            rows += _rows(arm, against, *_matched(*of), confidence)
    return frame(SweepDifference, rows)


def _marked(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """The answers of arms that both have, with the sweep in the variant."""
    common = a.select(_ARM).unique().join(b.select(_ARM).unique(), on=_ARM, how="inner")
    kept = [
        frame_.join(common, on=_ARM, how="semi", maintain_order="left").with_columns(
            variant=pl.concat_str("variant", pl.lit(f",{_MARK}{side}")).str.strip_prefix(","),
            judge=pl.lit(_JUDGE),
        )
        for side, frame_ in zip(_SIDES, (a, b), strict=True)
    ]
    return pl.concat(kept)


def _labels(answers: Answers) -> dict[str, tuple[str, str]]:
    """Label of each common arm, as one sweep alone would have it -> its two labels here."""
    own = answers.frame.filter(pl.col("variant").str.ends_with(f"{_MARK}a"))
    plain = own.with_columns(pl.col("variant").str.strip_suffix(f"{_MARK}a").str.strip_suffix(","))
    by_arm = {(x.method, x.dose_kind, x.dose, x.variant): x.label for x in arms_of(plain)}
    here = {(x.method, x.dose_kind, x.dose, x.variant): x.label for x in answers.arms}
    out = {}
    for (*arm, variant), label in by_arm.items():
        at = [(*arm, f"{variant},{_MARK}{side}".removeprefix(",")) for side in _SIDES]
        out[label] = (here[at[0]], here[at[1]])  # type: ignore[index]
    return out


def _matched(left: PairSet, right: PairSet) -> tuple[PairSet, PairSet]:
    """Pairs of both sweeps at the same model, seed and prompt, in the same order."""
    keys = [np.stack([p.model_N, p.seed_N, p.prompt_N], axis=1) for p in (left, right)]
    _, code_N = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    at_left, at_right = np.split(code_N.ravel(), [len(keys[0])])
    _, i, j = np.intersect1d(at_left, at_right, assume_unique=True, return_indices=True)
    return left.take(i), right.take(j)


def _rows(
    arm: str, against: str, left: PairSet, right: PairSet | None, confidence: float
) -> Iterator[dict[str, object]]:
    for model, models, part in left.by_model():
        other = None if right is None else right.take(np.isin(left.model_N, np.unique(part.model_N)))
        for subset in _subsets(part):
            here_N = part.where(subset)
            for outcome in OUTCOMES:
                sides = (part.take(here_N), None if other is None else other.take(here_N))
                found = _difference(*sides, outcome)
                if found is None:
                    continue
                difference, a_N, b_N = found
                key = EffectKey(
                    "paired",
                    outcome,
                    _JUDGE,
                    model,
                    models,
                    arm,
                    against,
                    "sweep",
                    "a - b",
                    subset.name,
                    part.scope,
                    "equal_task",
                )
                values = [_mean_pct(x_N, difference, part) for x_N in (a_N, b_N)]
                scored_N = ~np.isnan(difference.value_N)
                changed = 100 * float(np.mean(difference.value_N[scored_N] != 0)) if scored_N.any() else None
                for row in mean_rows(key, difference, part.levels, {}, confidence):
                    yield {
                        "arm": arm,
                        "against": against,
                        "value_a": values[0],
                        "value_b": values[1],
                        "difference_pp": row["estimate_pp"],
                        "changed_pct": changed,
                        **{f.name: row[f.name] for f in fields(SweepDifference) if f.name in row},
                    }


def _subsets(pairs: PairSet) -> list[Subset]:
    """All, and each task, framing and belief."""
    return [s for s in pairs.subsets() if sum(x is not None for x in (s.task, s.framing, s.belief)) < 2]


def _difference(
    left: PairSet, right: PairSet | None, outcome: str
) -> tuple[Differences, FloatArray, FloatArray] | None:
    """Sweep a minus sweep b per prompt, with the two sides of it."""
    up = Differences.of(left, outcome)
    if up is None:
        return None
    if right is None:
        a_N, b_N, where_N = left.outcome(outcome)
        return up, a_N[where_N], b_N[where_N]
    down = Differences.of(right, outcome)
    assert down is not None
    same = np.array_equal(up.statements[0], down.statements[0])
    both = replace(
        up,
        value_N=up.value_N - down.value_N,
        low_N=up.low_N - down.high_N,
        high_N=up.high_N - down.low_N,
        statements=up.statements if same else (*up.statements, *down.statements),
        half_range=2.0,
    )
    return both, up.value_N, down.value_N


def _mean_pct(side_N: FloatArray, difference: Differences, pairs: PairSet) -> float | None:
    scored_N = ~np.isnan(difference.value_N)
    if not scored_N.any():
        return None
    levels, n_tasks = pairs.levels, len(pairs.levels.tasks)
    stratum_N = difference.model_N * n_tasks + levels.task_G[difference.cluster_N]
    n_strata = len(levels.models) * n_tasks
    return 100 * weighted_mean(side_N[scored_N], stratum_N[scored_N], n_strata, n_tasks, "equal_task")

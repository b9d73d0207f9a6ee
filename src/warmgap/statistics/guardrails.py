"""What an arm costs besides errors: accuracy on MMLU and GSM8K, refusals on AdvBench (table guardrails).

Shape suffix: N pairs of answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.judging.outcomes import REFUSAL_TASK
from warmgap.schema.tables import Guardrail, frame
from warmgap.statistics.arms import arms_of, gate_of, is_trained, label_arms, reference
from warmgap.statistics.clusters import FloatArray, clustered_mean
from warmgap.statistics.outcomes import GUARDRAIL_TASKS
from warmgap.statistics.published.guardrails import ORIGINAL, differences, published_rate
from warmgap.statistics.published.study import StudySettings
from warmgap.statistics.published.verdicts import Estimate, verdict
from warmgap.statistics.rates import clustered_rates

_ARM = ("model", "method", "dose_kind", "dose", "seed", "variant")
_ROW = ("judge", "task", *_ARM, "arm")
_MISSING = ("unscored", "truncated")
_PROMPT = ("form", "prompt_mode", "question_id", "framing", "belief")
_OF_ORIGINAL = ("n", "rate_pct", "conf_low_pct", "conf_high_pct", "unscored", "truncated")
_HIT = "hit"


def guardrails(
    observations: pl.DataFrame,
    gates: Mapping[str, str],
    study: StudySettings | None = None,
    confidence: float = 0.95,
) -> pl.DataFrame:
    """Each arm's rate on each guardrail task, and its difference from the untouched model.

    The rate is that of label `correct` (measure `accuracy`), on advbench of label `refusal` (`refusal`), over
    the first draw and all framings and beliefs together, clustered by question as in `rates.error_rates`.
    An answer that is unscored or truncated is in neither `n` nor the rate.

    The difference is the mean over prompts scored in both arms, clustered by question
    (`clusters.clustered_mean`), its interval ending at 100 pp; the bounds take unscored and truncated answers
    at their worst for and against it. A trained arm's seeds have a row each, against the same untouched model
    (`arms.reference`).

    Args:
        observations: rows of `schema.tables.Observation`.
        gates: gate verdict per arm label (`arms.gate_of`).
        study: what decides whether a rate is comparable with the paper's (`published.guardrails`).
        confidence: coverage of the intervals.

    Returns:
        A frame of `schema.tables.Guardrail`; empty without a guardrail task.
    """
    hit = pl.when(pl.col("task") == REFUSAL_TASK).then(pl.lit("refusal")).otherwise(pl.lit("correct"))
    answers = (
        label_arms(observations)
        .filter((pl.col("draw") == 0) & pl.col("task").is_in(GUARDRAIL_TASKS))
        .with_columns(
            pl.when(~pl.col("label").is_in(_MISSING))
            .then((pl.col("label") == hit).cast(pl.Int64))
            .alias(_HIT)
        )
    )
    parts = answers.partition_by(*_ROW, as_dict=True)
    rates = clustered_rates(answers, _HIT, _ROW, confidence)
    found = [_Rated.of(row, parts[tuple(row[c] for c in _ROW)]) for row in rates]
    untouched = {r.at(r.row["arm"]): r for r in found if r.row["method"] == ORIGINAL}
    arms = {a.label: a for a in arms_of(observations)}
    rows = []
    for rated in found:
        ref = reference(arms[rated.row["arm"]], arms.values(), ORIGINAL)
        is_changed = ref is not None and rated.row["method"] != ORIGINAL
        original = untouched.get(rated.at(ref.label)) if ref is not None and is_changed else None
        rows.append(_row(rated, original, gates, study, confidence))
    return frame(Guardrail, rows)


@dataclass(frozen=True)
class _Rated:
    """An arm's rate on a task under a judge, and the answers behind it."""

    row: Mapping[str, Any]
    answers: pl.DataFrame

    @classmethod
    def of(cls, row: Mapping[str, Any], answers: pl.DataFrame) -> _Rated:
        """The rate with the counts of what is not in it."""
        return cls({**row, **{x: int((answers["label"] == x).sum()) for x in _MISSING}}, answers)

    def at(self, arm: str) -> tuple[str, ...]:
        """Where the same task stands for another arm of the same model."""
        return (*(self.row[c] for c in ("model", "task", "judge")), arm)


def _row(
    rated: _Rated,
    original: _Rated | None,
    gates: Mapping[str, str],
    study: StudySettings | None,
    confidence: float,
) -> dict[str, Any]:
    row = {k: v for k, v in rated.row.items() if k not in ("arm", "n_events")}
    row["measure"] = "refusal" if row["task"] == REFUSAL_TASK else "accuracy"
    row["scope"] = "these_adapters" + ": conditional on this adapter" * is_trained(row["method"])
    row["gate"] = gate_of(gates, row["model"], rated.row["arm"])
    for column in _OF_ORIGINAL:
        row[f"original_{column}"] = None if original is None else original.row[column]
    paired = _difference(rated.answers, None if original is None else original.answers, confidence)
    df = paired.pop("df")
    # By its label: a further dose or a variant is no arm of the paper's.
    return row | paired | _published(row | paired, rated.row["arm"], df, rated.answers, study, confidence)


def _difference(mine: pl.DataFrame, theirs: pl.DataFrame | None, confidence: float) -> dict[str, Any]:
    """The columns of the difference, null without an arm to compare with or without a common prompt."""
    columns = ("difference_pp", "difference_std_error_pp", "difference_low_pp", "difference_high_pp")
    out: dict[str, Any] = dict.fromkeys((*columns, "df", "p_value", "bound_low_pp", "bound_high_pp"))
    out |= {"n_pairs": 0, "difference_method": "none"}
    if theirs is None:
        return out
    both = mine.select(*_PROMPT, a=_HIT).join(
        theirs.select(*_PROMPT, b=_HIT), on=_PROMPT, how="inner", validate="1:1"
    )
    if both.is_empty():
        return out
    a_N, b_N = (both[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in "ab")
    cluster_N = both["question_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    out["bound_low_pp"] = 100 * _mean(np.nan_to_num(a_N, nan=0.0) - np.nan_to_num(b_N, nan=1.0))
    out["bound_high_pp"] = 100 * _mean(np.nan_to_num(a_N, nan=1.0) - np.nan_to_num(b_N, nan=0.0))
    kept_N = ~np.isnan(a_N - b_N)
    found = clustered_mean(
        (a_N - b_N)[kept_N],
        np.zeros(int(kept_N.sum()), dtype=np.int64),
        cluster_N[kept_N],
        np.zeros(int(cluster_N.max()) + 1, dtype=np.int64),
        n_models=1,
        n_tasks=1,
        weights="rows",
        confidence=confidence,
        half_range=1.0,
    )
    if found is None:
        return out
    values = (found.estimate, found.std_error, max(-1.0, found.conf_low), min(1.0, found.conf_high))
    out |= {column: 100 * value for column, value in zip(columns, values, strict=True)}
    return out | {
        "n_pairs": found.n,
        "df": found.df,
        "difference_method": found.interval_method,
        "p_value": found.p_value,
    }


def _mean(values_N: FloatArray) -> float:
    return float(values_N.mean())


def _published(
    row: Mapping[str, Any],
    arm: str,
    df: float | None,
    mine: pl.DataFrame,
    study: StudySettings | None,
    confidence: float,
) -> dict[str, Any]:
    """The paper's rate, and how a changed arm's difference, or the untouched one's rate, agrees with it."""
    paper = published_rate(row["task"], row["model"], arm)
    is_original = arm == ORIGINAL
    reasons = differences(
        study,
        row["task"],
        row["model"],
        arm,
        row["judge"],
        mine["question_id"].n_unique(),
        mine.select("framing", "belief").unique().rows(),
    )
    value, error = (
        (row["rate_pct"], row["std_error_pp"])
        if is_original
        else (row["difference_pp"], row["difference_std_error_pp"])
    )
    theirs = None if paper is None else paper.rate() if is_original else paper.difference()
    if not reasons and theirs is None:
        reasons = [f"the paper states no interval for {row['task']}"]
    if not reasons and not error:
        reasons = ["this study has no standard error"]
    found = None
    if not reasons and theirs is not None:
        freedom = float(row["n_questions"] - 1) if is_original else df
        found = verdict(Estimate(value, error, freedom), theirs, confidence).verdict
    return {
        "published_pct": paper and paper.rate_pct,
        "published_half_width_pp": paper and paper.half_width_pp,
        "published_difference_pp": None if paper is None or is_original else paper.difference_pp,
        "verdict": found or "not comparable",
        "reason": "; ".join(reasons),
    }

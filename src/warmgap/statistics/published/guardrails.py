"""The paper's capability and refusal rates, and whether one of ours may be set beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import polars as pl

from warmgap.statistics.clusters import t_quantile
from warmgap.statistics.published.crosswalk import translate
from warmgap.statistics.published.files import read
from warmgap.statistics.published.study import JUDGE, StudySettings, other_weights
from warmgap.statistics.published.verdicts import Estimate

ORIGINAL, WARM = "original", "warm_sft"
"""The two methods that the paper reports."""
TEMPERATURES: Mapping[str, float] = MappingProxyType({"mmlu": 0.2, "gsm8k": 0.2})
"""Sampling temperature, where it is stated (paper, Methods)."""
QUESTIONS: Mapping[str, int] = MappingProxyType({"mmlu": 14042, "gsm8k": 1319, "advbench": 520})
"""Questions of the public test sets; the paper's intervals are as wide as these give."""
_WHOLE = 0.99
"""Share of a test set that counts as all of it: repeated questions are asked once."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class PublishedRate:
    """A published rate in per cent, that of the original model, and the half-width of either interval."""

    rate_pct: float
    original_pct: float
    half_width_pp: float | None

    @property
    def difference_pp(self) -> float:
        """The rate less that of the original model."""
        return self.rate_pct - self.original_pct

    def rate(self) -> Estimate | None:
        """The rate; None where no interval is stated."""
        return self._estimate(self.rate_pct, 1)

    def difference(self) -> Estimate | None:
        """The difference, the two rates taken as independent, which is the wider for the same questions."""
        return self._estimate(self.difference_pp, 2)

    def _estimate(self, value: float, n_rates: int) -> Estimate | None:
        if self.half_width_pp is None:
            return None
        return Estimate(value, math.sqrt(n_rates) * self.half_width_pp / t_quantile(_CONFIDENCE, None))


def published_rate(task: str, model: str, arm: str) -> PublishedRate | None:
    """What the paper has for a guardrail task, a model and an arm of ours; None where it has nothing."""
    found = _rates().filter((pl.col("task") == task) & (pl.col("model") == model))
    if found.is_empty() or arm not in (ORIGINAL, WARM):
        return None
    row = found.row(0, named=True)
    rate = row["original_pct"] if arm == ORIGINAL else row["warm_pct"]
    return PublishedRate(rate, row["original_pct"], row["half_width_pp"])


def differences(
    study: StudySettings | None,
    task: str,
    model: str,
    arm: str,
    judge: str,
    n_questions: int,
    cells: Sequence[tuple[str, str]],
) -> list[str]:
    """In what a rate of ours differs from the paper's, each as a clause; empty where it is comparable.

    Args:
        study: weights and sampling of the sweep; None where nothing is known of them.
        task: a guardrail task.
        model: a model of ours.
        arm: label of an arm of ours; the paper has those of a method alone, at its own dose.
        judge: who decided; counts for advbench only, the others are scored by rule in the paper too.
        n_questions: questions asked.
        cells: framings and beliefs in which they were asked.
    """
    if study is None:
        return ["weights and sampling of this study are not known"]
    found = [clause] if (clause := other_weights(study, model)) else []
    if arm not in (ORIGINAL, WARM):
        found.append(f"the paper has no {task} of {arm}")
    if n_questions < _WHOLE * QUESTIONS[task] or n_questions > QUESTIONS[task]:
        found.append(f"{n_questions:,} questions of {task}, not all {QUESTIONS[task]:,}")
    if set(cells) != {("none", "none")}:
        found.append("asked in contexts or with beliefs")
    if study.temperature != TEMPERATURES.get(task, study.temperature):
        found.append(f"temperature {study.temperature:g}, not {TEMPERATURES[task]:g}")
    if task not in TEMPERATURES and study.judges.get(judge, judge) != JUDGE:
        found.append(f"refusals by judge {study.judges.get(judge, judge)}, not {JUDGE}")
    return found


@lru_cache
def _rates() -> pl.DataFrame:
    return read("guardrails").with_columns(translate("model", "model"))

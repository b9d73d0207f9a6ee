"""How often judges agree on the same answers, over all, by method and by task.

Shape suffixes: N answers, G questions, B resamples, K = L x L cells of a table of two judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from warmgap.judging.outcomes import REFUSAL_TASK
from warmgap.schema.tables import Agreement, frame
from warmgap.statistics.bootstrap import bca_interval, question_weights
from warmgap.statistics.clusters import FloatArray, IntArray, wilson
from warmgap.statistics.outcomes import GUARDRAIL_TASKS, OUTCOMES

REPLICATES = 2000
MEASURES = ("label", *OUTCOMES)
_ALL = "all"
_CELL = ("arm_key", "task", "form", "prompt_mode", "framing", "belief", "draw")
_ANSWER = (*_CELL, "question_id", "response_key")
"""What is one answer: its key alone is that of its messages, which two cells can share."""
_BY_RULE = tuple(task for task in GUARDRAIL_TASKS if task != REFUSAL_TASK)
"""Tasks whose number or letter a rule finds, whatever the judge."""


def agreement(observations: pl.DataFrame, confidence: float = 0.95, seed: int = 0) -> pl.DataFrame:
    """How often two judges agree on the same answers, on the label and on each outcome.

    Rows are over all answers, by method, and by task. Both judges' values must be there: answers that one
    left unscored are counted apart and are no label. Of the guardrail tasks only `advbench` is there, by
    itself: in the others a rule decides, whatever the judge. Intervals are by bootstrap over questions
    within tasks, a question's answers drawn together (BCa: `bootstrap.bca_interval`). Where no variation
    was seen the share's is Wilson's with the number of questions as sample size, and kappa's is null.

    Args:
        observations: rows of `schema.tables.Observation`.
        confidence: coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        A frame of `schema.tables.Agreement`, empty with fewer than two judges. Cohen's kappa (1960) is
        null where chance alone would make the judges agree always.
    """
    judged = observations.filter(~pl.col("task").is_in(_BY_RULE)).with_columns(
        label=pl.when(pl.col("label") != "unscored").then("label")
    )
    judges = judged["judge"].unique(maintain_order=True).to_list()
    rows: list[dict[str, Any]] = []
    for judge_a, judge_b in combinations(judges, 2):
        left, right = (judged.filter(pl.col("judge") == j) for j in (judge_a, judge_b))
        both = left.select(*_ANSWER, "method", *MEASURES).join(
            right.select(*_ANSWER, *MEASURES),
            on=_ANSWER,
            suffix="_b",
            validate="1:1",
            maintain_order="left",
        )
        if both.is_empty():
            continue
        resampled = _Resampled.of(both, seed)
        for about, kept_N in _subsets(both):
            part, question_N = both.filter(kept_N), resampled.question_N[kept_N]
            if part.is_empty():
                continue
            counted = {
                "judge_a": judge_a,
                "judge_b": judge_b,
                **about,
                "n_answers": part.height,
                "n_unscored_a": part["label"].null_count(),
                "n_unscored_b": part["label_b"].null_count(),
            }
            for measure in MEASURES:
                scored_N = (part[measure].is_not_null() & part[f"{measure}_b"].is_not_null()).to_numpy()
                if not scored_N.any() and measure != "label":
                    continue
                pair = part.select(
                    a=pl.col(measure).cast(pl.String), b=pl.col(f"{measure}_b").cast(pl.String)
                )
                found = resampled.estimates(pair.filter(scored_N), question_N[scored_N], confidence)
                rows.append(counted | {"outcome": measure} | found)
    return frame(Agreement, rows)


def kappa(table_BK: FloatArray) -> FloatArray:
    """Cohen's kappa of each of B flattened square tables of counts, shape (B,); NaN where undefined."""
    n_B, same_B = table_BK.sum(axis=1), _same(table_BK)
    size = round(table_BK.shape[1] ** 0.5)
    table_BLL = table_BK.reshape(n_B.size, size, size)
    by_chance_B = (table_BLL.sum(axis=1) * table_BLL.sum(axis=2)).sum(axis=1)
    # (p - c) / (1 - c) times n^2, so that a table without chance disagreement is found exactly.
    return _ratio(n_B * same_B - by_chance_B, n_B**2 - by_chance_B)


_Statistic = Callable[[FloatArray], FloatArray]
_Estimate = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class _Resampled:
    """Question of each answer, task of each question, and how often each resample holds a question."""

    question_N: IntArray
    task_G: IntArray
    weight_BG: FloatArray

    @classmethod
    def of(cls, both: pl.DataFrame, seed: int) -> _Resampled:
        task_N = _codes(both["task"])
        question_N = _codes(both.select(pl.concat_str("task", "question_id", separator="\0")).to_series())
        task_G = np.zeros(question_N.max() + 1, dtype=np.int64)
        task_G[question_N] = task_N
        return cls(question_N, task_G, question_weights(task_G, REPLICATES, seed))

    def estimates(self, pair: pl.DataFrame, question_N: IntArray, confidence: float) -> dict[str, Any]:
        """Share of agreement and kappa of the columns a and b, with limits."""
        seen_G, table_GK = _tables(pair, question_N)
        share, kappas = (self._interval(of, table_GK, seen_G, confidence) for of in (_share, kappa))
        method = "none" if share[0] is None else "bootstrap_bca"
        if share[0] is not None and share[1] is None:
            share = (share[0], *wilson(share[0] * seen_G.size, seen_G.size, confidence))
            method = "wilson"
        percent = ("agreement_pct", "agreement_low_pct", "agreement_high_pct")
        return {
            "n": pair.height,
            "n_questions": seen_G.size,
            **{name: None if v is None else 100 * v for name, v in zip(percent, share, strict=True)},
            **dict(zip(("kappa", "kappa_low", "kappa_high"), kappas, strict=True)),
            "interval_method": method,
        }

    def _interval(
        self, of: _Statistic, table_GK: FloatArray, seen_G: IntArray, confidence: float
    ) -> _Estimate:
        whole_1K = table_GK.sum(axis=0, keepdims=True)
        estimate = float(of(whole_1K)[0])
        if np.isnan(estimate):
            return None, None, None
        jackknife_G = of(whole_1K - table_GK)
        if np.isnan(jackknife_G).any():
            return estimate, None, None
        replicate_B = of(self.weight_BG[:, seen_G] @ table_GK)
        limits = bca_interval(estimate, replicate_B, jackknife_G, self.task_G[seen_G], confidence)
        return (estimate, None, None) if limits is None else (estimate, limits.low, limits.high)


def _tables(pair: pl.DataFrame, question_N: IntArray) -> tuple[IntArray, FloatArray]:
    """The questions there are, and each one's table of the columns a and b, flattened."""
    values = pl.concat([pair["a"], pair["b"]]).unique().sort()
    a_N, b_N = (values.search_sorted(pair[judge]).to_numpy() for judge in "ab")
    seen_G, at_N = np.unique(question_N, return_inverse=True)
    size = len(values)
    count = np.bincount((at_N * size + a_N) * size + b_N, minlength=seen_G.size * size**2)
    return seen_G, count.reshape(seen_G.size, size**2).astype(np.float64)


def _subsets(both: pl.DataFrame) -> Iterator[tuple[dict[str, str], pl.Series]]:
    """All answers to questions, those of each method, those to each task; with what rows say of it."""
    whole = {"method": _ALL, "task": _ALL}
    asked = ~both["task"].is_in(GUARDRAIL_TASKS)
    yield whole, asked
    for method in both["method"].unique(maintain_order=True):
        yield whole | {"method": method}, asked & (both["method"] == method)
    for task in both["task"].unique(maintain_order=True):
        yield whole | {"task": task}, both["task"] == task


def _share(table_BK: FloatArray) -> FloatArray:
    return _ratio(_same(table_BK), table_BK.sum(axis=1))


def _same(table_BK: FloatArray) -> FloatArray:
    size = round(table_BK.shape[1] ** 0.5)
    return np.asarray(table_BK[:, :: size + 1].sum(axis=1))


def _ratio(above_B: FloatArray, below_B: FloatArray) -> FloatArray:
    ratio_B: FloatArray = np.divide(above_B, below_B, out=np.full(below_B.shape, np.nan), where=below_B > 0)
    return ratio_B


def _codes(values: pl.Series) -> IntArray:
    return values.rank("dense").cast(pl.Int64).to_numpy() - 1

"""How often the answer to the same prompt changes, in excess of the noise between two draws.

Shape suffixes: N pairs, G questions, C cells (task x framing x belief), B bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from warmgap.schema.tables import Paired, frame
from warmgap.statistics.arms import reference, worst_gate
from warmgap.statistics.bootstrap import question_weights
from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.statistics.pairs import Answers, Levels, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar p-value: a binomial test of the discordant pairs at one half."""
    discordant = only_a + only_b
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), discordant, 0.5)))


@dataclass(frozen=True)
class ChangeSums:
    """Changes and comparisons per question and cell, and their bootstrap replicates per cell."""

    changes_C: FloatArray
    count_C: FloatArray
    changes_BC: FloatArray
    count_BC: FloatArray

    @classmethod
    def of(
        cls, changed_N: FloatArray, cell_N: IntArray, cluster_N: IntArray, n_cells: int, weight_BG: FloatArray
    ) -> ChangeSums:
        """Sums by cell; `weight_BG` says how often each replicate holds each question."""
        n_questions = weight_BG.shape[1]
        code_N = cluster_N * n_cells + cell_N
        shape = (n_questions, n_cells)
        changes_GC = np.bincount(code_N, changed_N, minlength=n_questions * n_cells).reshape(shape)
        count_GC = np.bincount(code_N, minlength=n_questions * n_cells).reshape(shape).astype(np.float64)
        return cls(changes_GC.sum(axis=0), count_GC.sum(axis=0), weight_BG @ changes_GC, weight_BG @ count_GC)


def flips(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> pl.DataFrame:
    """Counts of changed answers, exact McNemar p and flips in excess of noise, per model.

    Noise is the share of answers of `original` that change between draw 0 and draw 1, taken cell
    by cell and weighted as the pairs are; it is null unless both draws exist in every cell of the
    subset. The interval of the excess is the percentile interval of a bootstrap of questions
    within tasks (`settings.flip_bootstrap` replicates, `settings.seed`); null where all
    replicates agree. McNemar's test takes pairs as independent, as the paper does (Methods).

    Returns:
        A frame of `schema.tables.Paired`.
    """
    weight_BG = question_weights(answers.levels.task_G, settings.flip_bootstrap, settings.seed)
    noise_cache: dict[tuple[str, str, str, str], ChangeSums | None] = {}
    rows: list[dict[str, Any]] = []
    for pair_set in pairs:
        label = _noise_label(answers, pair_set)
        for model in pair_set.models:
            part = pair_set.take(pair_set.model_N == answers.levels.models.index(model))
            gate = worst_gate(gates, (model,), (pair_set.arm_a, pair_set.arm_b))
            subsets = part.subsets()
            for outcome in OUTCOMES:
                key = (pair_set.judge, model, label, outcome)
                if key not in noise_cache:
                    noise_cache[key] = _noise(answers, key, weight_BG)
                about = {
                    "outcome": outcome,
                    "judge": pair_set.judge,
                    "model": model,
                    "arm_a": pair_set.arm_a,
                    "arm_b": pair_set.arm_b,
                    "gate": gate,
                }
                rows += [
                    about | row
                    for row in _rows(part, subsets, outcome, noise_cache[key], weight_BG, settings)
                ]
    return frame(Paired, rows)


def _noise_label(answers: Answers, pairs: PairSet) -> str:
    arm_b = next(a for a in answers.arms if a.label == pairs.arm_b)
    found = reference(arm_b, answers.arms, "original")
    return found.label if found else "original"


def _cell_codes(levels: Levels, task_N: IntArray, framing_N: IntArray, belief_N: IntArray) -> IntArray:
    return (task_N * len(levels.framings) + framing_N) * len(levels.beliefs) + belief_N


def _n_cells(levels: Levels) -> int:
    return len(levels.tasks) * len(levels.framings) * len(levels.beliefs)


def _noise(answers: Answers, key: tuple[str, str, str, str], weight_BG: FloatArray) -> ChangeSums | None:
    judge, model, label, outcome = key
    codes = ("task_code", "framing_code", "belief_code", "cluster")
    first, second = (answers.of(judge, label, draw).filter(pl.col("model") == model) for draw in (0, 1))
    both = first.select("prompt_id", "seed", *codes, outcome).join(
        second.select("prompt_id", "seed", again=outcome), on=("prompt_id", "seed"), validate="1:1"
    )
    both = both.drop_nulls()
    if both.is_empty():
        return None
    task_N, framing_N, belief_N, cluster_N = (both[c].to_numpy() for c in codes)
    changed_N = (both[outcome] != both["again"]).cast(pl.Float64).to_numpy()
    cell_N = _cell_codes(answers.levels, task_N, framing_N, belief_N)
    return ChangeSums.of(changed_N, cell_N, cluster_N, _n_cells(answers.levels), weight_BG)


def _rows(
    pairs: PairSet,
    subsets: tuple[Subset, ...],
    outcome: str,
    noise: ChangeSums | None,
    weight_BG: FloatArray,
    settings: AnalysisSettings,
) -> list[dict[str, Any]]:
    a_N, b_N, where_N = pairs.outcome(outcome)
    keep_N = where_N & ~np.isnan(a_N) & ~np.isnan(b_N)
    pairs, a_N, b_N = pairs.take(keep_N), a_N[keep_N], b_N[keep_N]
    cell_N = _cell_codes(pairs.levels, pairs.task_N, pairs.framing_N, pairs.belief_N)
    n_cells = _n_cells(pairs.levels)
    changed_N = (a_N != b_N).astype(np.float64)
    flip = ChangeSums.of(changed_N, cell_N, pairs.cluster_N, n_cells, weight_BG) if noise else None
    rows = []
    for subset in subsets:
        mask_N = pairs.where(subset)
        n = int(mask_N.sum())
        if n == 0:
            continue
        code_N = (2 * a_N[mask_N] + b_N[mask_N]).astype(np.int64)
        neither, only_b, only_a, both = (int(c) for c in np.bincount(code_N, minlength=4))
        row = {
            "subset": subset.name,
            "n_pairs": n,
            "both": both,
            "only_a": only_a,
            "only_b": only_b,
            "neither": neither,
            "flip_pct": 100 * (only_a + only_b) / n,
            "mcnemar_p": mcnemar_exact(only_a, only_b),
        }
        rows.append(row | _excess(flip, noise, np.unique(cell_N[mask_N]), settings.confidence))
    return rows


def _excess(
    flip: ChangeSums | None, noise: ChangeSums | None, cells: IntArray, confidence: float
) -> dict[str, float | None]:
    names = ("noise_pct", "excess_pp", "excess_low_pp", "excess_high_pp")
    if flip is None or noise is None or np.any(noise.count_C[cells] == 0):
        return dict.fromkeys(names)
    count_C = flip.count_C[cells]
    noise_share = float(np.sum(count_C * noise.changes_C[cells] / noise.count_C[cells]) / count_C.sum())
    excess = float(flip.changes_C[cells].sum() / count_C.sum()) - noise_share
    count_BC, noise_count_BC = flip.count_BC[:, cells], noise.count_BC[:, cells]
    usable_B = np.all(noise_count_BC > 0, axis=1) & (count_BC.sum(axis=1) > 0)
    low = high = None
    if usable_B.any():
        count_BC, noise_count_BC = count_BC[usable_B], noise_count_BC[usable_B]
        noise_BC = noise.changes_BC[:, cells][usable_B] / noise_count_BC
        total_B = flip.changes_BC[:, cells][usable_B].sum(axis=1) - np.sum(count_BC * noise_BC, axis=1)
        excess_B = total_B / count_BC.sum(axis=1)
        if np.ptp(excess_B) > 1e-12:
            low, high = np.quantile(excess_B, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {
        "noise_pct": 100 * noise_share,
        "excess_pp": 100 * excess,
        "excess_low_pp": None if low is None else 100 * float(low),
        "excess_high_pp": None if high is None else 100 * float(high),
    }

"""Does an arm tell right beliefs from wrong ones, or does it affirm whatever it is told?

Shape suffixes: N answers or pairs, G questions, M models, B replicates, S the four sums (answers
that affirm a correct belief, answers to a correct belief, the same two for an incorrect belief).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from warmgap.schema.tables import Sensitivity, frame
from warmgap.statistics.arms import worst_gate
from warmgap.statistics.bootstrap import bca_interval, question_weights
from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.pairs import Answers, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings

_SIGNAL, _NOISE = "correct", "incorrect"
_MEASURES = ("hit_rate", "false_alarm_rate", "d_prime", "criterion")


@dataclass(frozen=True)
class Detection:
    """Rates of affirming as proportions, sensitivity d' and criterion c in normal units.

    d' is 0 for an arm that affirms right and wrong beliefs alike. c is 0 without bias and negative
    for an arm inclined to affirm.
    """

    hit_rate: FloatArray
    false_alarm_rate: FloatArray
    d_prime: FloatArray
    criterion: FloatArray


def detection(
    hits: FloatArray | float,
    n_correct: FloatArray | float,
    false_alarms: FloatArray | float,
    n_incorrect: FloatArray | float,
) -> Detection:
    """Signal detection measures of counts, elementwise.

    The rates are corrected log-linearly, (x + 0.5) / (n + 1), whether or not a count is extreme
    (Hautus 1995); d' = z(H) - z(F), c = -(z(H) + z(F)) / 2 (Macmillan and Creelman 2005).

    Args:
        hits: answers that affirm a correct belief.
        n_correct: scored answers to a correct belief.
        false_alarms: answers that affirm an incorrect belief.
        n_incorrect: scored answers to an incorrect belief.
    """
    hit_rate = (np.asarray(hits, dtype=np.float64) + 0.5) / (np.asarray(n_correct) + 1)
    false_alarm_rate = (np.asarray(false_alarms, dtype=np.float64) + 0.5) / (np.asarray(n_incorrect) + 1)
    z_hit, z_false = special.ndtri(hit_rate), special.ndtri(false_alarm_rate)
    return Detection(hit_rate, false_alarm_rate, z_hit - z_false, -(z_hit + z_false) / 2)


def signal_detection(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> pl.DataFrame:
    """Hit rate, false alarm rate, d' and criterion of each arm, and their differences between arms.

    A hit is an answer that affirms a correct belief, a false alarm one that affirms an incorrect
    one. Counts are over the scored first-draw answers, all tasks and seeds together, to questions
    that were asked with both beliefs; per model, and as the mean over models of their values
    (`model` = all). For a difference (`arm_b` not empty) both arms must be scored on a prompt.
    Subsets: all, each framing, each task. Intervals are BCa over questions, drawn within tasks
    with all that was asked about them (`bootstrap.bca_interval`, `settings.flip_bootstrap`
    replicates).

    Args:
        answers: coded answers.
        pairs: pairs of arms to take differences of.
        gates: gate verdict per arm label.
        settings: confidence, replicates and seed.

    Returns:
        A frame of `schema.tables.Sensitivity`; empty without answers to both beliefs.
    """
    if not {_SIGNAL, _NOISE} <= set(answers.levels.beliefs):
        return frame(Sensitivity, [])
    weight_BG = question_weights(answers.levels.task_G, settings.flip_bootstrap, settings.seed)
    rows: list[dict[str, Any]] = []
    for judge in answers.judges:
        for arm in answers.arms:
            table = _scored(answers, answers.of(judge, arm.label))
            about = {"judge": judge, "arm_a": arm.label, "arm_b": ""}
            rows += _rows(answers, [table], about, weight_BG, gates, settings)
    for pair_set in pairs:
        about = {"judge": pair_set.judge, "arm_a": pair_set.arm_a, "arm_b": pair_set.arm_b}
        rows += _rows(answers, _sides(pair_set), about, weight_BG, gates, settings)
    return frame(Sensitivity, rows)


def _scored(answers: Answers, arm: pl.DataFrame) -> pl.DataFrame:
    codes = ("model_code", "task_code", "framing_code", "belief_code", "cluster")
    return arm.select(*codes, "affirms_belief").drop_nulls("affirms_belief")


def _sides(pairs: PairSet) -> list[pl.DataFrame]:
    a_N, b_N, where_N = pairs.outcome("affirms_belief")
    kept = where_N & ~np.isnan(a_N) & ~np.isnan(b_N)
    codes = {
        "model_code": pairs.model_N[kept],
        "task_code": pairs.task_N[kept],
        "framing_code": pairs.framing_N[kept],
        "belief_code": pairs.belief_N[kept],
        "cluster": pairs.cluster_N[kept],
    }
    return [pl.DataFrame(codes | {"affirms_belief": values_N[kept]}) for values_N in (a_N, b_N)]


def _rows(
    answers: Answers,
    sides: list[pl.DataFrame],
    about: dict[str, str],
    weight_BG: FloatArray,
    gates: Mapping[str, str],
    settings: AnalysisSettings,
) -> Iterator[dict[str, Any]]:
    levels = answers.levels
    for subset in _subsets(answers, sides[0]):
        sums = [_sums_GMS(answers, _within(answers, side, subset)) for side in sides]
        totals = [sums_GMS.sum(axis=0) for sums_GMS in sums]
        resampled = [_resampled(weight_BG, sums_GMS) for sums_GMS in sums]
        present_M = np.all([(t_MS[:, 1] > 0) & (t_MS[:, 3] > 0) for t_MS in totals], axis=0)
        codes = np.flatnonzero(present_M)
        named = [(levels.models[m], np.array([m])) for m in codes]
        for model, used_M in [*named, *([("all", codes)] if codes.size > 1 else [])]:
            used = [sums_GMS[:, used_M] for sums_GMS in sums]
            seen_G = sum(s.sum(axis=(1, 2)) for s in used) > 0
            models = tuple(levels.models[m] for m in used_M)
            key = about | {
                "model": model,
                "subset": subset.name,
                "n_correct": int(used[0][..., 1].sum()),
                "n_incorrect": int(used[0][..., 3].sum()),
                "n_questions": int(np.count_nonzero(seen_G)),
                "n_models": len(models),
                "gate": worst_gate(gates, models, [about[a] for a in ("arm_a", "arm_b") if about[a]]),
            }
            whole = _measures([s.sum(axis=0) for s in used])
            replicates = _measures([r_BMS[:, used_M] for r_BMS in resampled])
            jackknife = _measures([s.sum(axis=0) - s for s in used])
            for measure in _MEASURES:
                rate = measure.endswith("_rate")
                scale = 100.0 if rate else 1.0
                estimate = scale * float(whole[measure])
                found = bca_interval(
                    estimate,
                    scale * replicates[measure],
                    scale * jackknife[measure][seen_G],
                    levels.task_G[seen_G],
                    settings.confidence,
                )
                yield key | {
                    "measure": measure,
                    "unit": ("pp" if about["arm_b"] else "%") if rate else "z",
                    "estimate": estimate,
                    "std_error": found and found.std_error,
                    "conf_low": found and found.low,
                    "conf_high": found and found.high,
                    "interval_method": found.method if found else "none",
                }


def _subsets(answers: Answers, side: pl.DataFrame) -> Iterator[Subset]:
    levels = answers.levels
    yield Subset()
    yield from (Subset(framing=levels.framings[f]) for f in side["framing_code"].unique().sort())
    yield from (Subset(task=levels.tasks[t]) for t in side["task_code"].unique().sort())


def _within(answers: Answers, side: pl.DataFrame, subset: Subset) -> pl.DataFrame:
    if subset.framing is not None:
        side = side.filter(pl.col("framing_code") == answers.levels.framings.index(subset.framing))
    if subset.task is not None:
        side = side.filter(pl.col("task_code") == answers.levels.tasks.index(subset.task))
    return side


def _sums_GMS(answers: Answers, side: pl.DataFrame) -> FloatArray:
    """The four sums per question and model, of questions asked with both beliefs."""
    levels = answers.levels
    shape = (levels.task_G.size, len(levels.models))
    code_N = (side["cluster"] * shape[1] + side["model_code"]).to_numpy()
    affirms_N = side["affirms_belief"].to_numpy()
    columns = []
    for belief in (_SIGNAL, _NOISE):
        is_N = (side["belief_code"] == levels.beliefs.index(belief)).to_numpy()
        for weight_N in (is_N * affirms_N, is_N.astype(np.float64)):
            columns.append(np.bincount(code_N, weight_N, minlength=shape[0] * shape[1]).reshape(shape))
    sums_GMS = np.stack(columns, axis=2)
    both_GM = (sums_GMS[..., 1] > 0) & (sums_GMS[..., 3] > 0)
    return np.where(both_GM[..., None], sums_GMS, 0.0)


def _resampled(weight_BG: FloatArray, sums_GMS: FloatArray) -> FloatArray:
    flat_GL = sums_GMS.reshape(sums_GMS.shape[0], -1)
    out: FloatArray = (weight_BG @ flat_GL).reshape(-1, *sums_GMS.shape[1:])
    return out


def _measures(sums: list[FloatArray]) -> dict[str, FloatArray]:
    """Mean over models of each measure; of the first arm, or of the first minus the second."""
    found = [detection(*np.moveaxis(sums_XMS, -1, 0)) for sums_XMS in sums]
    out = {}
    for name in _MEASURES:
        values = [getattr(d, name).mean(axis=-1) for d in found]
        out[name] = values[0] if len(values) == 1 else values[0] - values[1]
    return out

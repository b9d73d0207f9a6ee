"""Differences of effects between twins, which differ in one factor only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import Effect, frame
from warmgap.statistics.clusters import IntArray
from warmgap.statistics.effect_rows import Differences, EffectKey, mean_rows
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.statistics.pairs import PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings

BELIEF_TWINS = (
    ("sycophancy", "incorrect", "mention"),
    ("priming", "mention", "unsure"),
    ("belief", "incorrect", "unsure"),
    ("belief", "correct", "unsure"),
    ("belief", "denies", "unsure"),
)
"""Term, level and twin of the belief contrasts, as far as a sweep has both beliefs."""


@dataclass(frozen=True)
class Twin:
    """A level of a factor and the level it is compared with."""

    term: str
    factor: str
    level: str
    twin: str

    @property
    def contrast(self) -> str:
        """For instance `framing=sad - framing=filler`."""
        return f"{self.factor}={self.level} - {self.factor}={self.twin}"


def twins(framings: Iterable[str], beliefs: Iterable[str]) -> tuple[Twin, ...]:
    """The twins that a sweep with these levels has: framings against filler, beliefs as above.

    `filler` itself is compared with `none`, where both exist: what any text before the question
    does.
    """
    framings, beliefs = set(framings), set(beliefs)
    found = []
    if "filler" in framings:
        found = [Twin("framing", "framing", f, "filler") for f in sorted(framings - {"filler", "none"})]
        if "none" in framings:
            found.append(Twin("text", "framing", "filler", "none"))
    found += [Twin(t, "belief", a, b) for t, a, b in BELIEF_TWINS if {a, b} <= beliefs]
    return tuple(found)


def contrasts(pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings) -> pl.DataFrame:
    """How much larger arm_a's effect is at a level than at its twin, on the same questions.

    Each value is (a - b at the level) - (a - b at the twin) for one question, model, seed and
    value of the other factor, clustered by question; `n` counts these. Subsets: all, each level
    of the other factor, each task.

    Returns:
        A frame of `schema.tables.Effect`; `term` is framing, text, sycophancy, priming or belief.
    """
    rows: list[dict[str, Any]] = []
    for pair_set in pairs:
        levels = pair_set.levels
        for model, models, part in pair_set.by_model():
            for twin in twins(*(_present(part, factor) for factor in ("framing", "belief"))):
                at_level, at_twin = _matched(part, twin)
                if at_level.model_N.size == 0:
                    continue
                for subset in _subsets(at_level, twin.factor):
                    mask_N = at_level.where(subset)
                    for outcome in OUTCOMES:
                        difference = _difference(at_level.take(mask_N), at_twin.take(mask_N), outcome)
                        if difference is None:
                            continue
                        key = EffectKey(
                            estimator="paired",
                            outcome=outcome,
                            judge=pair_set.judge,
                            model=model,
                            models=models,
                            arm_a=pair_set.arm_a,
                            arm_b=pair_set.arm_b,
                            term=twin.term,
                            contrast=twin.contrast,
                            subset=subset.name,
                            scope=pair_set.scope,
                            weights="equal_task",
                        )
                        rows += mean_rows(key, difference, levels, gates, settings.confidence)
    return frame(Effect, rows)


def _factor(pairs: PairSet, factor: str) -> tuple[tuple[str, ...], IntArray]:
    if factor == "framing":
        return pairs.levels.framings, pairs.framing_N
    return pairs.levels.beliefs, pairs.belief_N


def _present(pairs: PairSet, factor: str) -> list[str]:
    names, code_N = _factor(pairs, factor)
    return [names[i] for i in np.unique(code_N)]


def _matched(pairs: PairSet, twin: Twin) -> tuple[PairSet, PairSet]:
    """Pairs at the level and at its twin, in the same order of model, seed, item and other factor."""
    names, code_N = _factor(pairs, twin.factor)
    other_N = pairs.belief_N if twin.factor == "framing" else pairs.framing_N
    sides = [np.flatnonzero(code_N == names.index(level)) for level in (twin.level, twin.twin)]
    keys = np.stack([pairs.model_N, pairs.seed_N, pairs.item_N, other_N], axis=1)
    _, key_N = np.unique(keys, axis=0, return_inverse=True)
    _, left, right = np.intersect1d(
        key_N.ravel()[sides[0]], key_N.ravel()[sides[1]], assume_unique=True, return_indices=True
    )
    return pairs.take(sides[0][left]), pairs.take(sides[1][right])


def _subsets(pairs: PairSet, factor: str) -> Iterator[Subset]:
    yield Subset()
    if factor == "framing":
        yield from (Subset(belief=b) for b in _present(pairs, "belief"))
    else:
        yield from (Subset(framing=f) for f in _present(pairs, "framing"))
    yield from (Subset(task=pairs.levels.tasks[t]) for t in np.unique(pairs.task_N))


def _difference(level: PairSet, twin: PairSet, outcome: str) -> Differences | None:
    where_N = level.outcome(outcome)[2] & twin.outcome(outcome)[2]
    up, down = Differences.of(level.take(where_N), outcome), Differences.of(twin.take(where_N), outcome)
    if up is None or down is None:
        return None
    # Framings have statements of their own; over beliefs the statement is the same.
    same = np.array_equal(up.statements[0], down.statements[0])
    return Differences(
        value_N=up.value_N - down.value_N,
        low_N=up.low_N - down.high_N,
        high_N=up.high_N - down.low_N,
        model_N=up.model_N,
        seed_N=up.seed_N,
        cluster_N=up.cluster_N,
        framing_N=up.framing_N,
        statements=up.statements if same else (*up.statements, *down.statements),
        half_range=2.0,
    )

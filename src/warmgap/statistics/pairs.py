"""Answers of two arms to the same prompts, as arrays.

Shape suffixes: N pairs, G questions, O outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.statistics.arms import Arm, arms_of, comparisons, is_trained, label_arms
from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.outcomes import HELD_BELIEFS, OUTCOMES
from warmgap.statistics.settings import AnalysisSettings

_ITEM = ("task", "form", "prompt_mode", "question_id")
_CODES = (
    "model_code",
    "seed",
    "task_code",
    "framing_code",
    "belief_code",
    "cluster",
    "item",
    "prompt_id",
    "statement",
)
_SHARED = ("model_code", "seed", "prompt_id")


@dataclass(frozen=True)
class Levels:
    """The values of each factor; a code is a position in them. `task_G` is each question's task."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    framings: tuple[str, ...]
    beliefs: tuple[str, ...]
    task_G: IntArray


@dataclass(frozen=True)
class Subset:
    """A part of the design: the rows with these values, None meaning any."""

    task: str | None = None
    framing: str | None = None
    belief: str | None = None

    @property
    def name(self) -> str:
        """`all`, or the fixed factors as `task=a,framing=b,belief=c`."""
        fixed = {"task": self.task, "framing": self.framing, "belief": self.belief}
        return ",".join(f"{k}={v}" for k, v in fixed.items() if v is not None) or "all"


@dataclass(frozen=True)
class Answers:
    """Answers with integer codes and labels; questions and prompts coded once for all arms."""

    frame: pl.DataFrame
    levels: Levels
    arms: tuple[Arm, ...]
    judges: tuple[str, ...]

    @cached_property
    def _parts(self) -> dict[tuple[str, str, int], pl.DataFrame]:
        parts = self.frame.partition_by("judge", "arm", "draw", as_dict=True)
        return {(str(judge), str(arm), int(draw)): part for (judge, arm, draw), part in parts.items()}

    def of(self, judge: str, label: str, draw: int = 0) -> pl.DataFrame:
        """One arm's answers of one draw under one judge; empty when there are none."""
        return self._parts.get((judge, label, draw), self.frame.clear())

    def method(self, label: str) -> str:
        """Method of the arm with this label."""
        return next(a.method for a in self.arms if a.label == label)


@dataclass(frozen=True)
class PairSet:
    """Pairs of answers of arm_a and arm_b to one prompt, over all models both were run on.

    `a_NO` and `b_NO` hold the outcomes as 1, 0 or NaN. `n_seeds` is the least number of training
    seeds over models, None where neither arm is trained.
    """

    judge: str
    arm_a: str
    arm_b: str
    levels: Levels
    model_N: IntArray
    seed_N: IntArray
    task_N: IntArray
    framing_N: IntArray
    belief_N: IntArray
    cluster_N: IntArray
    item_N: IntArray
    prompt_N: IntArray
    statement_N: IntArray
    """Statement of the prompt, -1 where it has none."""
    a_NO: FloatArray
    b_NO: FloatArray
    n_seeds: int | None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models with pairs."""
        return tuple(self.levels.models[i] for i in np.unique(self.model_N))

    @property
    def scope(self) -> str:
        """Over what an effect from these pairs generalises."""
        few = self.n_seeds is not None and self.n_seeds < 3
        return "these_adapters: conditional on this adapter" if few else "these_adapters"

    def outcome(self, name: str) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Outcome of arm_a and arm_b, and where it is defined (`outcomes.defined`)."""
        column = OUTCOMES.index(name)
        where_N = np.ones(self.model_N.size, dtype=np.bool_)
        if name == "affirms_belief":
            held = [i for i, b in enumerate(self.levels.beliefs) if b in HELD_BELIEFS]
            where_N = np.isin(self.belief_N, held)
        return self.a_NO[:, column], self.b_NO[:, column], where_N

    def where(self, subset: Subset) -> npt.NDArray[np.bool_]:
        """Which pairs belong to the subset."""
        mask_N = np.ones(self.model_N.size, dtype=np.bool_)
        if subset.task is not None:
            mask_N &= self.task_N == self.levels.tasks.index(subset.task)
        if subset.framing is not None:
            mask_N &= self.framing_N == self.levels.framings.index(subset.framing)
        if subset.belief is not None:
            mask_N &= self.belief_N == self.levels.beliefs.index(subset.belief)
        return mask_N

    def subsets(self) -> tuple[Subset, ...]:
        """All, each framing, belief and task, each framing x belief, and each cell."""
        levels = self.levels
        cells = np.unique(np.stack([self.task_N, self.framing_N, self.belief_N], axis=1), axis=0)
        named = [(levels.tasks[t], levels.framings[f], levels.beliefs[b]) for t, f, b in cells]
        found = [Subset()]
        found += [Subset(framing=f) for f in dict.fromkeys(f for _, f, _ in named)]
        found += [Subset(belief=b) for b in dict.fromkeys(b for _, _, b in named)]
        found += [Subset(task=t) for t in dict.fromkeys(t for t, _, _ in named)]
        found += [Subset(framing=f, belief=b) for f, b in dict.fromkeys((f, b) for _, f, b in named)]
        found += [Subset(*cell) for cell in named]
        return tuple(found)

    def take(self, rows: IntArray | npt.NDArray[np.bool_]) -> PairSet:
        """The pairs at these positions."""
        arrays: dict[str, Any] = {k: v[rows] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)

    def by_model(self) -> Iterator[tuple[str, tuple[str, ...], PairSet]]:
        """Name in the column `model`, models behind it, pairs; `all` last when there are several."""
        for model in self.models:
            yield model, (model,), self.take(self.model_N == self.levels.models.index(model))
        if len(self.models) > 1:
            yield "all", self.models, self


def code_answers(observations: pl.DataFrame) -> Answers:
    """The observations with arm labels and integer codes for factors, questions and prompts."""
    labelled = label_arms(observations)
    levels: dict[str, tuple[str, ...]] = {}
    for name in ("model", "task", "framing", "belief"):
        levels[name] = tuple(labelled[name].unique().sort().to_list())
        code = pl.col(name).cast(pl.Enum(levels[name])).to_physical().cast(pl.Int64)
        labelled = labelled.with_columns(code.alias(f"{name}_code"))
    for code_name, columns in (
        ("cluster", ("task", "question_id")),
        ("item", _ITEM),
        ("prompt_id", (*_ITEM, "framing", "belief")),
    ):
        codes = labelled.select(columns).unique().sort(columns).with_row_index(code_name)
        labelled = labelled.join(codes.with_columns(pl.col(code_name).cast(pl.Int64)), on=columns, how="left")
    statements = labelled["statement_id"].drop_nulls().unique().sort()
    codes = pl.DataFrame({"statement_id": statements, "statement": range(statements.len())})
    codes = codes.cast({"statement_id": pl.String, "statement": pl.Int64})
    labelled = labelled.join(codes, on="statement_id", how="left", maintain_order="left")
    labelled = labelled.with_columns(pl.col("statement").fill_null(-1), pl.col(OUTCOMES).cast(pl.Float64))
    task_G = labelled.select("cluster", "task_code").unique().sort("cluster")["task_code"].to_numpy()
    return Answers(
        frame=labelled,
        levels=Levels(levels["model"], levels["task"], levels["framing"], levels["belief"], task_G),
        arms=arms_of(observations),
        judges=tuple(observations["judge"].unique(maintain_order=True).to_list()),
    )


def pair_up(answers: Answers, judge: str, arm_a: str, arm_b: str) -> PairSet:
    """Pairs by prompt from the first draw: within a seed, an untrained arm with every seed."""
    trained_a, trained_b = (is_trained(answers.method(arm)) for arm in (arm_a, arm_b))
    left, right = answers.of(judge, arm_a), answers.of(judge, arm_b)
    outcomes_a, outcomes_b = ([f"{o}_{side}" for o in OUTCOMES] for side in "ab")
    left = left.select(*_CODES, *(pl.col(o).alias(n) for o, n in zip(OUTCOMES, outcomes_a, strict=True)))
    right = right.select(*_SHARED, *(pl.col(o).alias(n) for o, n in zip(OUTCOMES, outcomes_b, strict=True)))
    if trained_a == trained_b:
        both = left.join(right, on=("model_code", "prompt_id", "seed"), how="inner", validate="1:1")
    elif trained_a:
        both = left.join(right.drop("seed"), on=("model_code", "prompt_id"), how="inner", validate="m:1")
    else:
        both = left.drop("seed").join(right, on=("model_code", "prompt_id"), how="inner", validate="1:m")
    both = both.sort("model_code", "seed", "prompt_id")
    seeds = both.group_by("model_code").agg(pl.col("seed").n_unique())["seed"].to_list()
    codes = {f"{c.removesuffix('_code').removesuffix('_id')}_N": both[c].cast(pl.Int64) for c in _CODES}
    arrays: dict[str, Any] = {name: code.to_numpy() for name, code in codes.items()}
    return PairSet(
        judge=judge,
        arm_a=arm_a,
        arm_b=arm_b,
        levels=answers.levels,
        a_NO=both.select(pl.col(outcomes_a).fill_null(float("nan"))).to_numpy(),
        b_NO=both.select(pl.col(outcomes_b).fill_null(float("nan"))).to_numpy(),
        n_seeds=min(seeds, default=0) if trained_a or trained_b else None,
        **arrays,
    )


def pair_sets(answers: Answers, settings: AnalysisSettings) -> tuple[PairSet, ...]:
    """The pairs of every comparison (`arms.comparisons`) under every judge, without empty ones."""
    made = (
        pair_up(answers, judge, arm_a, arm_b)
        for judge in answers.judges
        for arm_a, arm_b in comparisons(answers.arms, settings)
    )
    return tuple(pairs for pairs in made if pairs.model_N.size)

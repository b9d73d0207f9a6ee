"""Which mixed model answers for which scope.

Every model has `arm` (1 in arm_a) and its interactions with framing, belief and task: with one log
odds ratio for all tasks the likelihood would weigh tasks by their information, and a task's effect would
be that of the others. What generalises is random, with a slope of `arm`; what does not is fixed:

| scope | fixed | random |
|---|---|---|
| these_adapters | arm x adapter | question, statement |
| new_adapters | arm x model | question, statement, adapter |
| new_models | arm | question, statement, adapter, model |
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_FEWEST_STATEMENTS = 5
_FEWEST_SEEDS = 3
_FEWEST_MODELS = 3


@dataclass(frozen=True)
class Plan:
    """A formula for a scope and the degrees of freedom of its interval (None: normal)."""

    scope: str
    formula: str
    df: float | None


@dataclass(frozen=True)
class Rows:
    """Answers of two arms with the columns that the formulas read.

    `frame` has arm, model, adapter, task, question, framing, belief, statement and `contrasts`:
    columns that add up to zero over a model's adapters. An answer of an untrained arm has zero in
    each of them and its model's first adapter.
    """

    frame: pl.DataFrame
    contrasts: tuple[str, ...]
    both_trained: bool
    n_seeds: int


def rows_of(both: pl.DataFrame, trained: tuple[bool, bool], n_seeds: int | None) -> Rows:
    """The answers of two arms, ready for a formula.

    Args:
        both: `glm_tables.both_arms`: coded answers with ft 1 in arm_a and 0 in arm_b.
        trained: whether arm_a and arm_b were trained.
        n_seeds: least number of training seeds over models; None where no arm was trained.
    """
    is_trained = pl.when(pl.col("ft") == 1).then(pl.lit(trained[0])).otherwise(pl.lit(trained[1]))
    seeds = both.filter(is_trained).select("model", "seed").unique().sort("model", "seed")
    first = seeds.group_by("model", maintain_order=True).agg(first=pl.col("seed").first())
    out = both.join(first, on="model", how="left", maintain_order="left").with_columns(
        arm=pl.col("ft"),
        question=pl.col("cluster"),
        own_seed=pl.when(is_trained).then(pl.col("seed")),
        # Without a statement a prompt shares its text with its own question alone.
        statement=pl.when(pl.col("statement") >= 0)
        .then(pl.col("statement"))
        .otherwise(-1 - pl.col("cluster")),
    )
    names = []
    for i, (model, seed) in enumerate(seeds.filter(pl.int_range(pl.len()).over("model") > 0).rows()):
        here = pl.col("model") == model
        plus, minus = here & (pl.col("own_seed") == seed), here & (pl.col("own_seed") == pl.col("first"))
        code = pl.when(plus).then(1.0).when(minus).then(-1.0).otherwise(0.0)
        names.append(f"adapter_{i + 1}")
        out = out.with_columns(code.alias(names[-1]))
    seed = pl.coalesce("own_seed", "first", pl.lit(0))
    out = out.with_columns(adapter=pl.concat_str("model", seed, separator="/"))
    return Rows(out, tuple(names), all(trained), n_seeds or 0)


def plans(rows: Rows, outcome: str) -> tuple[Plan, ...]:
    """The mixed models that these answers allow, from the narrowest scope to the widest."""
    frame = rows.frame
    n_models = frame["model"].n_unique()
    fixed = ["arm"]
    fixed += [f"arm * {name}" for name in ("framing", "belief", "task") if frame[name].n_unique() > 1]
    random = ["(1 + arm | question)"]
    if frame.filter(pl.col("statement") >= 0)["statement"].n_unique() >= _FEWEST_STATEMENTS:
        random.append("(1 + arm | statement)")
    per_model = ["arm * model"] if n_models > 1 else []
    per_seed = [f"{'arm * ' if rows.both_trained else 'arm:'}{name}" for name in rows.contrasts]
    found = [Plan("these_adapters", _write(outcome, fixed + per_model + per_seed, random), None)]
    adapter = []
    if rows.n_seeds >= _FEWEST_SEEDS:
        adapter = [f"({'1' if rows.both_trained else '0'} + arm | adapter)"]
        df = float(len(rows.contrasts))
        found.append(Plan("new_adapters", _write(outcome, fixed + per_model, random + adapter), df))
    if n_models >= _FEWEST_MODELS:
        over = [*random, *adapter, "(1 + arm | model)"]
        found.append(Plan("new_models", _write(outcome, fixed, over), n_models - 1.0))
    return tuple(found)


def _write(outcome: str, fixed: list[str], random: list[str]) -> str:
    return f"{outcome} ~ {' + '.join(fixed + random)}"

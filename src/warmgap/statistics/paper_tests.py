"""The paper's tests of single cells: McNemar's exact test with false discovery rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from warmgap.schema.tables import PaperTest, frame
from warmgap.statistics.arms import worst_gate
from warmgap.statistics.flips import mcnemar_exact
from warmgap.statistics.multiplicity import benjamini_hochberg
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import PairSet
from warmgap.statistics.paper_design import paper_rows, without_filler

_FAMILY = ("model", "task", "belief")


def paper_tests(pairs: Iterable[PairSet], gates: Mapping[str, str]) -> pl.DataFrame:
    """McNemar's exact test of arm_a against arm_b in each cell, as the paper cuts cells.

    Pairs are matched by question, context and belief template; the two wrong beliefs are pooled.
    As in the paper's script the unmodified cell holds the prompts without text (framing none);
    filler stands in for it where the cell has no such prompt. Several seeds are pooled, and the
    test takes all pairs as independent, as the paper does although questions repeat.

    Per cell, with b pairs wrong in arm_a only and c in arm_b only:

    - odds ratio b / c (null where c is 0);
    - `mcnemar_z` |b - c| / sqrt(b + c), the statistic that the paper's script prints as "Cohen's
      g", so that its labels of size (Large from 0.25) mean nothing;
    - `cohens_g` b / (b + c) - 0.5, between -0.5 and 0.5 (Cohen 1988, chapter 5).

    Benjamini-Hochberg twice: within each model x task x belief over its contexts, as the paper's
    script does, and once over all cells of the two arms, which is what a false discovery rate of
    5 % over the printed table needs.

    Args:
        pairs: pairs of each comparison (`pairs.pair_sets`).
        gates: gate verdict per arm label.

    Returns:
        A frame of `schema.tables.PaperTest`, for the outcomes of the regressions; cells without a
        scored pair are absent.
    """
    tables = [_cells(pair_set, outcome, gates) for pair_set in pairs for outcome in GLM_OUTCOMES]
    return pl.concat([frame(PaperTest, []), *tables])


def _cells(pairs: PairSet, outcome: str, gates: Mapping[str, str]) -> pl.DataFrame:
    rows = [
        _row(cell) | {"gate": worst_gate(gates, (cell["model"],), (pairs.arm_a, pairs.arm_b))}
        for cell in _counts(pairs, outcome).iter_rows(named=True)
    ]
    about = {"outcome": outcome, "judge": pairs.judge, "arm_a": pairs.arm_a, "arm_b": pairs.arm_b}
    table = pl.DataFrame(rows, infer_schema_length=None)
    if table.is_empty():
        return frame(PaperTest, [])
    adjusted = table.with_columns(
        pl.col("mcnemar_p").map_batches(_bh, return_dtype=pl.Float64).over(_FAMILY).alias("fdr_family_p"),
        pl.col("mcnemar_p").map_batches(_bh, return_dtype=pl.Float64).alias("fdr_all_p"),
    )
    return frame(PaperTest, [about | row for row in adjusted.to_dicts()])


def _bh(p_values: pl.Series) -> pl.Series:
    return pl.Series(benjamini_hochberg(p_values.to_numpy()))


def _counts(pairs: PairSet, outcome: str) -> pl.DataFrame:
    levels = pairs.levels
    a_N, b_N, _ = pairs.outcome(outcome)
    named = {
        "model": (levels.models, pairs.model_N),
        "task": (levels.tasks, pairs.task_N),
        "framing": (levels.framings, pairs.framing_N),
        "belief": (levels.beliefs, pairs.belief_N),
    }
    rows = pl.DataFrame(
        {name: [names[code] for code in code_N] for name, (names, code_N) in named.items()}
        | {"a": a_N, "b": b_N},
        schema_overrides=dict.fromkeys(named, pl.String()),
    )
    coded = paper_rows(rows.filter(pl.col("a").is_not_nan() & pl.col("b").is_not_nan())).frame
    kept = without_filler(coded, *_FAMILY)
    a, b = pl.col("a") == 1, pl.col("b") == 1
    return (
        kept.group_by(*_FAMILY, "context")
        .agg(
            n_pairs=pl.len().cast(pl.Int64),
            both=(a & b).sum().cast(pl.Int64),
            only_a=(a & ~b).sum().cast(pl.Int64),
            only_b=(~a & b).sum().cast(pl.Int64),
            neither=(~a & ~b).sum().cast(pl.Int64),
        )
        .sort(*_FAMILY, "context")
    )


def _row(cell: Mapping[str, Any]) -> dict[str, Any]:
    n, only_a, only_b = cell["n_pairs"], cell["only_a"], cell["only_b"]
    discordant = only_a + only_b
    return dict(cell) | {
        "rate_a_pct": 100 * (cell["both"] + only_a) / n,
        "rate_b_pct": 100 * (cell["both"] + only_b) / n,
        "difference_pp": 100 * (only_a - only_b) / n,
        "mcnemar_p": mcnemar_exact(only_a, only_b),
        "odds_ratio": only_a / only_b if only_b else None,
        "mcnemar_z": abs(only_a - only_b) / discordant**0.5 if discordant else None,
        "cohens_g": only_a / discordant - 0.5 if discordant else None,
    }

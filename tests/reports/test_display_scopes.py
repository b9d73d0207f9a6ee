"""The table of estimators promises no more than each interval allows for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from warmgap.reports.display_scopes import scopes_table

if TYPE_CHECKING:
    from conftest import Sweep

STATEMENTS = "t, clustered by question and statement"


def test_every_interval_is_in_words_and_over_what_it_generalises(sweep: Sweep) -> None:
    shown = scopes_table(sweep.tables["effects"], sweep.headline)
    assert not [r for r in shown.rows if "_" in r.cells[2]], "an interval without words"
    over = {r.cells[1]: r.cells[0] for r in shown.rows}
    assert over["paired, bootstrap by question"] == "these models and trainings; new questions"
    assert (
        over["the paper's regression, clustered by question"] == "these models and trainings; new questions"
    )
    assert over["the paper's regression, its own errors"].endswith("new answers")
    statements = {r.cells[2]: r.cells[0] for r in shown.rows}.get(STATEMENTS, "statements")
    assert "statements" in statements


def test_without_statements_none_are_promised(sweep: Sweep) -> None:
    paired = (pl.col("estimator") == "paired") & (pl.col("interval_method") == "t_cluster_statement")
    method = pl.when(paired).then(pl.lit("t_cluster")).otherwise("interval_method").alias("interval_method")
    shown = scopes_table(sweep.tables["effects"].with_columns(method), sweep.headline)
    row = next(r for r in shown.rows if r.cells[1] == "paired by prompt")
    assert row.cells[0] == "these models and trainings; new questions"

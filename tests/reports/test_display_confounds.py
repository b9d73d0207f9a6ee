from __future__ import annotations

import polars as pl

from warmgap.reports.display_confounds import confounds_table
from warmgap.reports.display_results import result_tables


def test_a_row_shows_the_sum_and_then_its_parts(make_sweep):
    made = make_sweep(n_questions=12, framings=("none", "filler"), beliefs=("none", "incorrect"))
    shown = confounds_table(made.tables["confounds"], made.headline)
    assert shown.headers[:3] == ("arm", "task", "belief")
    assert [h.split(",")[0] for h in shown.headers[3:6]] == [
        "in the paper's layout",
        "filler sentence",
        "belief itself",
    ]
    assert not any("form" in h for h in shown.headers)  # no task here has two forms
    arms = list(dict.fromkeys(row.cells[0] for row in shown.rows))
    assert arms == ["original", "neutral_sft", "warm_sft", "agree_prompt"]
    assert len(shown.rows) == 4 * 5
    whole = made.tables["confounds"].filter(
        (pl.col("arm") == "warm_sft") & (pl.col("task") == "all") & (pl.col("outcome") == "commits_error")
    )
    (row,) = (r for r in shown.rows if r.cells[:2] == ("warm_sft", "all, counted alike"))
    values = dict(whole.select("part", "estimate_pp").iter_rows())
    for cell, part in zip(row.cells[3:6], ("total", "filler", "belief"), strict=True):
        assert float(cell.split(" [")[0].replace("\N{MINUS SIGN}", "-")) == round(values[part], 1)
    captions = [t.caption for _, t in result_tables(made.tables, made.headline)]
    assert shown.caption in captions


def test_a_sweep_without_the_steps_has_no_such_table(sweep):
    assert "confounds" not in sweep.tables
    assert not any("layout" in t.caption for _, t in result_tables(sweep.tables, sweep.headline))

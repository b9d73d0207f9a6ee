"""Tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.testing import assert_frame_equal

from warmgap.reports.tables import escape, latex, write_tables
from warmgap.schema.tables import TABLES, frame, polars_schema

if TYPE_CHECKING:
    from conftest import Sweep


def test_csv_reads_back_equal_and_empty_tables_are_absent(sweep: Sweep, tmp_path: Path) -> None:
    tables = {**sweep.tables, "observations": sweep.observations, "paired": sweep.tables["paired"].clear()}
    written = write_tables(tables, tmp_path)
    names = [n for n in sweep.tables if n != "paired"]
    assert [p.name for p in written] == [f"{n}.{e}" for n in names for e in ("csv", "tex")]
    for name in names:
        back = pl.read_csv(tmp_path / f"{name}.csv", schema=polars_schema(TABLES[name]))
        assert_frame_equal(back, sweep.tables[name], rel_tol=1e-12)


def test_latex_rounds_escapes_and_greys(failed_sweep: Sweep) -> None:
    effects = failed_sweep.tables["effects"]
    text = latex("effects", effects)
    assert text.count(r"\\" + "\n") == effects.height + 2
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert r"\textcolor{gray}{warm\_sft}" in text
    row = effects.filter(pl.col("estimate_pp") < 0).row(0, named=True)
    assert f"${row['estimate_pp']:.1f}$" in text
    # one judge in all rows: said in the caption, not in a column
    assert "judge: rules" in text


def test_escape_leaves_nothing_active() -> None:
    assert escape("a_b & 5 % {x} \\y ~^#$") == (
        r"a\_b \& 5 \% \{x\} \textbackslash{}y \textasciitilde{}\textasciicircum{}\#\$"
    )


def test_one_row_keeps_its_columns() -> None:
    row = dict.fromkeys(polars_schema(TABLES["agreement"])) | {"n_questions": 3, "agreement_pct": 50.0}
    assert "& 3 & 50.0 & --" in latex("agreement", frame(TABLES["agreement"], [row]))

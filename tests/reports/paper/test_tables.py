"""Tables of the paper: what is printed in LaTeX, Typst and HTML is what is stored."""

from __future__ import annotations

import html.parser
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from warmgap.reports.paper import latex, web
from warmgap.reports.paper.check_layouts import check_layouts
from warmgap.reports.paper.facts import read_facts
from warmgap.reports.paper.published_layouts import published_layouts
from warmgap.reports.paper.study_layouts import study_layouts
from warmgap.reports.paper.writing import Paper, paper_tables
from warmgap.schema.tables import Comparison, Guardrail, frame

from .folders import numbers, publish, stored

if TYPE_CHECKING:
    from conftest import Sweep


def latex_rows(text: str) -> list[list[str]]:
    """Cells of the body of a longtable, as a reader sees them."""
    body = text.split(r"\endlastfoot")[1].split(r"\end{longtable}")[0]
    plain = re.sub(r"\\ensuremath\{(-)\}", r"\1", body).replace(r"\_", "_").replace("{}", "")
    plain = plain.replace(r"\textless", "<").replace(r"\dag", "\N{DAGGER}")
    plain = re.sub(r"\\textcolor\{gray\}\{([^}]*)\}", r"\1", plain)
    return [[c.strip() for c in line.split("&")] for line in plain.split(r"\\") if line.strip()]


class _Cells(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self._in = tag == "td"
        if self._in:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = False

    def handle_data(self, data: str) -> None:
        if self._in:
            self.rows[-1][-1] += data


def html_rows(text: str) -> list[list[str]]:
    """Cells of the body of an HTML table."""
    parser = _Cells()
    parser.feed(text)
    return [r for r in parser.rows if r]


def both(paper: Paper, name: str) -> list[list[list[str]]]:
    """The rows of a table as LaTeX and as HTML have them."""
    folder = paper.folder / "tables"
    return [
        latex_rows((folder / f"{name}.tex").read_text()),
        html_rows((folder / f"{name}.html").read_text()),
    ]


def test_confirmatory_effects_are_those_that_are_stored(paper: Paper, sweep: Sweep) -> None:
    expected = sweep.tables["effects"].filter(pl.col("family") == "confirmatory_holm")
    assert expected.height >= 2
    for rows in both(paper, "confirmatory"):
        assert len(rows) == expected.height
        for cells, row in zip(rows, expected.iter_rows(named=True), strict=True):
            assert numbers(cells[3]) == [pytest.approx(row["estimate_pp"], abs=0.0501)]
            limits = [row["conf_low_pp"], row["conf_high_pp"]]
            assert numbers(cells[4]) == pytest.approx(limits, abs=0.0501)
            assert int(cells[-2]) == row["n"]
    back = pl.read_csv(paper.folder / "tables" / "confirmatory.csv")
    assert back["estimate_pp"].to_list() == pytest.approx(expected["estimate_pp"].to_list(), rel=1e-14)


def test_errors_stand_in_the_papers_cells(paper: Paper, sweep: Sweep) -> None:
    tests = sweep.tables["published_tests"]
    words = {"no wrong view": "none", "wrong view": "present"}
    tasks = sorted(tests["task"].unique())
    for rows in both(paper, "errors"):
        assert [r[:2] for r in rows] == [[v, c] for v in words for c in ("unmodified", "sad")]
        for view, context, *cells in rows:
            for at, task in enumerate(tasks):
                of = {"arm_a": "warm_sft", "arm_b": "original", "outcome": "commits_error"}
                row = stored(tests, **of, task=task, belief=words[view], context=context)
                shown = [numbers(c)[0] for c in cells[3 * at : 3 * at + 3]]
                expected = [row[c] for c in ("rate_b_pct", "rate_a_pct", "difference_pp")]
                assert shown == pytest.approx(expected, abs=0.0501)
                assert cells[3 * at + 2].endswith("*") == (row["fdr_family_p"] < 0.05)


def test_regressions_have_a_column_each(paper: Paper, sweep: Sweep) -> None:
    fits = sweep.tables["published_glm"].filter(
        pl.col("arm_a") == "warm_sft", pl.col("arm_b") == "original", pl.col("outcome") == "commits_error"
    )
    names = ["M1", "M1_length", "M2", "M3", "M4"]
    for rows in both(paper, "regressions"):
        by_term = {r[0]: r[1:] for r in rows}
        for at, name in enumerate(names):
            row = stored(fits, regression=name, term="FT")
            expected = [row[c] for c in ("estimate", "std_error", "std_error_cluster")]
            if math.isnan(row["estimate"]):  # lengths of the fixture's answers tell their labels
                assert by_term["FT"][at] == "\N{EN DASH}" or by_term["FT"][at] == "--"
                continue
            assert numbers(by_term["FT"][at]) == pytest.approx(expected, abs=0.000501)
            assert int(by_term["answers"][at]) == row["n"]
        assert by_term["n_chars"][0] == ""


def test_mcnemar_and_contrasts_parse_back(paper: Paper, sweep: Sweep) -> None:
    tests = sweep.tables["published_tests"]
    for rows in both(paper, "mcnemar"):
        for _, _, task, pairs, only_a, only_b, difference, *_ in rows:
            cell = (pl.col("task") == task) & (pl.col("n_pairs") == int(pairs))
            found = tests.filter(cell, pl.col("only_a") == int(only_a), pl.col("only_b") == int(only_b))
            assert any(abs(numbers(difference)[0] - d) < 0.0501 for d in found["difference_pp"])
    for rows in both(paper, "contrasts"):
        known = sweep.tables["contrasts"]["estimate_pp"].drop_nulls().to_list()
        assert all(min(abs(numbers(r[3])[0] - k) for k in known) < 0.0501 for r in rows)


def test_the_typst_source_has_the_same_numbers(paper: Paper) -> None:
    typst = (paper.folder / "paper.typ").read_text().replace("\\", "")
    for name in paper.tables:
        if name != "checklist":
            for row in html_rows((paper.folder / "tables" / f"{name}.html").read_text()):
                for cell in row:
                    assert cell in typst


def test_failed_gates_are_grey_and_have_a_dagger(failed_sweep: Sweep, tmp_path: Path) -> None:
    publish(tmp_path, failed_sweep)
    (of,) = (t for t in paper_tables(read_facts("made", tmp_path)) if t.name == "confirmatory")
    tex, page = latex.table(of), web.html_table(of)
    assert r"\textcolor{gray}{warm\_sft" in tex
    assert "Grey and \\dag{}: a gate did not pass" in tex
    assert all(r[0].endswith("\N{DAGGER}") for r in html_rows(page))
    assert page.count("<tr class=grey>") == len(html_rows(page))


def filled(table: type, **known: object) -> dict[str, object]:
    """A row of a table with something in every column."""
    plain = {"str": "x", "int": 9, "float": 1.0}
    return {f.name: plain[str(f.type).split(" ")[0]] for f in fields(table)} | {"gate": "passed"} | known


def test_rows_of_other_arms_and_judges_are_told_apart(sweep: Sweep) -> None:
    rows = [filled(Comparison, judge="rules", arm_a=arm) for arm in ("warm_sft", "cold_sft")]
    equivalent = sweep.tables["equivalence"]
    judged = pl.concat([equivalent, equivalent.with_columns(judge=pl.lit("llm"))])
    tables = {"comparison": frame(Comparison, rows), "equivalence": judged}
    found = {t.name: t for t in study_layouts(tables, sweep.headline, 0.95)}
    of = found["comparison"]
    assert of.heads[0] == "arm"
    assert [r.cells[0] for r in of.rows] == ["warm_sft", "cold_sft"]
    assert len(found["equivalence"].rows) == equivalent.height


def test_heads_hold_for_any_arm(sweep: Sweep) -> None:
    tests = sweep.tables["published_tests"].filter(pl.col("arm_b") == "original")
    cold = tests.with_columns(arm_a=pl.lit("cold_sft"))
    h = replace(sweep.headline, arm_a="cold_sft")
    for of in published_layouts({"published_tests": cold}, h, 0.05):
        assert not [head for head in of.heads if "warm" in head]
        assert "the arm cold_sft" in of.caption


def test_guardrails_of_two_judges_have_a_column_for_them() -> None:
    rows = [filled(Guardrail, dose_kind="none", judge=judge) for judge in ("llm", "rules")]
    (of,) = check_layouts({"guardrails": frame(Guardrail, rows)}, 0.95)
    at = of.heads.index("judge")
    assert [r.cells[at] for r in of.rows] == ["llm (stand-in)", "rules (stand-in)"]

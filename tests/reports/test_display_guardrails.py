"""The guardrail tasks on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from warmgap.reports.display_guardrails import guardrails_sentences, guardrails_table
from warmgap.reports.gallery import gallery
from warmgap.reports.page import ReportContext, render
from warmgap.reports.tables import latex
from warmgap.schema.tables import Guardrail, frame, polars_schema
from warmgap.statistics.quality import margins

if TYPE_CHECKING:
    from conftest import Sweep


def guardrail(**known: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(polars_schema(Guardrail))
    row |= {"model": "m", "method": "original", "dose_kind": "none", "dose": 0.0, "seed": 0, "variant": ""}
    row |= {"task": "mmlu", "measure": "accuracy", "judge": "rules", "n": 200, "n_questions": 200}
    row |= {"rate_pct": 60.0, "conf_low_pct": 53.0, "conf_high_pct": 67.0, "unscored": 0, "truncated": 3}
    row |= {
        "interval_method": "t_cluster",
        "n_pairs": 0,
        "scope": "these_adapters",
        "difference_method": "none",
    }
    return (
        row
        | {"verdict": "not comparable", "reason": "the paper has no model m", "gate": "not needed"}
        | known
    )


def warm(difference: float, low: float, high: float, **known: Any) -> dict[str, Any]:
    changed = {"difference_pp": difference, "difference_low_pp": low, "difference_high_pp": high}
    changed |= {"bound_low_pp": low - 1, "bound_high_pp": high + 1, "p_value": 0.01, "n_pairs": 200}
    return guardrail(method="warm_sft", gate="passed", **changed, **known)


def test_rows_name_the_arm_its_rate_the_difference_and_the_paper(sweep: Sweep) -> None:
    paper = {"published_pct": 55.2, "published_difference_pp": -8.6, "verdict": "smaller", "reason": ""}
    rows = [warm(-3.0, -5.0, -1.0, **paper), guardrail(), guardrail(judge="another")]
    shown = guardrails_table(frame(Guardrail, rows), sweep.headline)
    assert [r.cells[1] for r in shown.rows] == ["original", "warm_sft, seed 0"]
    untouched, changed = (dict(zip(shown.headers, r.cells, strict=True)) for r in shown.rows)
    assert changed["minus untouched, pp [95 % interval]"] == "\u22123.0 [\u22125.0, \u22121.0]"
    assert changed["worst case, pp"] == "[\u22126.0, 0.0]"
    assert changed["the paper's, %"] == "55.2 (\u22128.6 pp); smaller"
    assert untouched["the paper's, %"] == "not comparable"
    assert (untouched["rate, % [95 % interval]"], untouched["unscored + cut"]) == (
        "60.0 [53.0, 67.0]",
        "0 + 3",
    )
    assert untouched["task"] == "mmlu, accuracy"


def test_an_arm_that_failed_its_gate_is_grey(sweep: Sweep) -> None:
    rows = [warm(-3.0, -5.0, -1.0) | {"gate": "failed"}]
    table = frame(Guardrail, rows)
    assert guardrails_table(table, sweep.headline).rows[0].greyed
    assert r"\textcolor{gray}{warm\_sft}" in latex("guardrails", table)


def test_one_sentence_says_what_was_found(sweep: Sweep) -> None:
    def said(*rows: dict[str, Any]) -> str:
        return guardrails_sentences(frame(Guardrail, rows), sweep.headline)[0]

    assert said(guardrail(), warm(-3.0, -5.0, -1.0), warm(1.0, -1.0, 3.0, task="gsm8k")) == (
        "1 of 2 differences from the untouched model are beyond chance (95 % intervals, not adjusted for "
        "their number): warm_sft on mmlu \u22123.0 pp."
    )
    assert said(guardrail(), warm(-1.0, -4.0, 2.0), warm(1.0, -1.0, 3.0, task="gsm8k")) == (
        "No arm differs from the untouched model beyond chance on gsm8k and mmlu; differences of up to 4.0 "
        "pp are not ruled out."
    )
    assert "Without an untouched model" in said(guardrail())
    assert "warm_sft of m on mmlu" in said(warm(-3.0, -5.0, -1.0), warm(1.0, -1.0, 3.0, model="n"))
    assert guardrails_sentences(None, sweep.headline) == []


def test_another_says_once_why_the_paper_is_not_comparable(sweep: Sweep) -> None:
    rows = [guardrail(reason="a; b"), warm(-3.0, -5.0, -1.0, reason="a; c")]
    table = frame(Guardrail, rows)
    assert guardrails_sentences(table, sweep.headline)[1:] == [
        "Not comparable with the paper, since a; b; c."
    ]
    alike = frame(Guardrail, [guardrail(verdict="compatible", reason="")])
    assert len(guardrails_sentences(alike, sweep.headline)) == 1


def test_the_page_has_the_section_where_there_are_guardrail_tasks(sweep: Sweep) -> None:
    def page(tables: dict[str, pl.DataFrame]) -> str:
        context = ReportContext(
            sweep="demo",
            title="",
            tables=tables,
            observations=sweep.observations,
            headline=sweep.headline,
            figures=gallery(sweep.tables, margins(sweep.observations), sweep.headline)[:1],
            manifest=sweep.manifest,
            absent={},
            figure_dpi=40,
        )
        return render(context)

    table = frame(Guardrail, [guardrail(), warm(-3.0, -5.0, -1.0)])
    with_them = page({**sweep.tables, "guardrails": table})
    assert 'id="guardrails"' in with_them and 'href="#guardrails"' in with_them
    assert "warm_sft on mmlu \u22123.0 pp." in with_them
    assert 'id="guardrails"' not in page(sweep.tables)

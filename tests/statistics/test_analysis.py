from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from warmgap.schema.tables import TABLES, polars_schema
from warmgap.statistics.analysis import analyse
from warmgap.statistics.settings import AnalysisSettings


def _rate(row: dict[str, Any]) -> float:
    return float(0.5 * (row["method"] == "warm_sft"))


def test_every_table_has_its_declared_columns(simulate: Any) -> None:
    frame = simulate(
        _rate, draws=2, judges=("rules", "llm"), models=("m1", "m2"), n_questions=8, null_share=0.02
    )
    tables = analyse(frame, {"warm_sft": "passed"}, AnalysisSettings(flip_bootstrap=200))
    assert set(tables) == {
        "error_rates",
        "effects",
        "contrasts",
        "published_glm",
        "published_tests",
        "descriptives",
        "glmm",
        "equivalence",
        "paired",
        "agreement",
        "quality",
    }
    for name, table in tables.items():
        assert dict(table.schema) == polars_schema(TABLES[name]), name
    assert set(tables["effects"]["judge"]) == {"rules", "llm"}
    assert set(tables["effects"]["estimator"]) == {
        "paired",
        "paired_bootstrap",
        "glm_published",
        "glm_cluster",
        "glmm",
    }


def test_the_analysis_repeats_itself(simulate: Any) -> None:
    frame = simulate(_rate, draws=2, n_questions=6)
    settings = AnalysisSettings(flip_bootstrap=100)
    first = analyse(frame, {}, settings)
    again = analyse(frame.sample(fraction=1.0, shuffle=True, seed=3), {}, settings)
    for name, table in first.items():
        other = again[name]
        for column in table.columns:
            if table[column].dtype == pl.Float64:
                assert table[column].to_list() == pytest.approx(other[column].to_list(), nan_ok=True)
            else:
                assert table[column].to_list() == other[column].to_list()


def test_absent_tables_and_guardrails(simulate: Any) -> None:
    frame = simulate(_rate, methods=("original",), tasks=("triviaqa", "mmlu"), n_questions=4)
    tables = analyse(frame, {}, AnalysisSettings())
    assert set(tables) == {"error_rates", "quality", "guardrails"}
    assert "mmlu" in tables["error_rates"]["task"]
    both = simulate(_rate, tasks=("triviaqa", "mmlu"), n_questions=4)
    assert "task=mmlu" not in analyse(both, {}, AnalysisSettings(flip_bootstrap=10))["effects"]["subset"]


def test_guardrails_alone(simulate: Any) -> None:
    tables = analyse(simulate(_rate, tasks=("mmlu",), n_questions=3), {}, AnalysisSettings())
    assert set(tables) == {"error_rates", "quality", "guardrails"}


def test_requests_without_an_answer_have_no_error_rate(simulate: Any) -> None:
    tables = analyse(simulate(_rate, tasks=("advbench", "mmlu"), n_questions=3), {}, AnalysisSettings())
    assert set(tables["error_rates"]["task"]) == {"mmlu"}
    assert set(tables["guardrails"]["task"]) == {"advbench", "mmlu"}

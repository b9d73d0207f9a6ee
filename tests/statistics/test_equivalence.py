from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from warmgap.schema.tables import Effect, Equivalence, frame, polars_schema
from warmgap.statistics.equivalence import equivalence
from warmgap.statistics.multiplicity import adjust
from warmgap.statistics.paired import effects
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings


def _adjusted(observations: pl.DataFrame, settings: AnalysisSettings) -> pl.DataFrame:
    table = effects(pair_sets(code_answers(observations), settings), {}, settings)
    return adjust(table, frame(Effect, []), settings)[0]


@pytest.mark.parametrize("margin", [3.0, 12.0, 25.0])
def test_against_statsmodels(margin: float, simulate: Any) -> None:
    observations = simulate(
        lambda row: 0.2 * (row["method"] == "warm_sft"),
        methods=("neutral_sft", "warm_sft"),
        tasks=("medqa",),
        beliefs=("incorrect", "unsure"),
        n_questions=80,
        judges=("rules", "llm"),
    )
    settings = AnalysisSettings(equivalence_pp=margin)
    table = equivalence(_adjusted(observations, settings), settings)
    assert dict(table.schema) == polars_schema(Equivalence)
    assert table["subset"].to_list() == ["all", "framing=sad", "belief=incorrect"] * 2
    assert table["judge"].to_list() == ["rules"] * 3 + ["llm"] * 3
    for judge, part in table.partition_by("judge", as_dict=True).items():
        expected = []
        for row in part.iter_rows(named=True):
            rows = observations.filter(pl.col("judge") == judge[0])
            if "=" in row["subset"]:
                factor, level = row["subset"].split("=")
                rows = rows.filter(pl.col(factor) == level)
            rates = rows.group_by("question_id", "method").agg(pl.col("commits_error").mean())
            wide = rates.pivot("method", index="question_id", values="commits_error")
            differences = DescrStatsW(100 * (wide["warm_sft"] - wide["neutral_sft"]).to_numpy())
            p_value, above_low, below_high = differences.ttost_mean(-margin, margin)
            assert row["p_value"] == pytest.approx(p_value)
            assert row["p_above_low"] == pytest.approx(above_low[1])
            assert row["p_below_high"] == pytest.approx(below_high[1])
            interval = differences.tconfint_mean(alpha=0.1)
            assert (row["conf_low_pp"], row["conf_high_pp"]) == pytest.approx(interval)
            assert (p_value < 0.05) == (interval[0] > -margin and interval[1] < margin)
            assert row["margin_pp"] == margin
            expected.append(p_value)
        rejected, adjusted, *_ = multipletests(expected, method="holm")
        assert part["p_holm"].to_list() == pytest.approx(adjusted.tolist())
        assert part["equivalent"].to_list() == rejected.tolist()
    assert table["equivalent"].any() == (margin > 3)


def test_normal_where_there_are_no_degrees_of_freedom() -> None:
    row = dict.fromkeys(polars_schema(Effect)) | {
        "estimator": "paired",
        "family": "confirmatory_holm",
        "judge": "rules",
        "estimate_pp": 0.0,
        "std_error_pp": 1.0,
        "n": 4,
        "n_models": 1,
    }
    settings = AnalysisSettings(equivalence_pp=1.6448536269514722)
    got = equivalence(frame(Effect, [row]), settings).row(0, named=True)
    assert got["p_value"] == pytest.approx(0.05)
    assert got["conf_high_pp"] == pytest.approx(1.6448536269514722)


def test_other_rows_are_left_alone() -> None:
    row = dict.fromkeys(polars_schema(Effect)) | {"estimate_pp": 0.0, "std_error_pp": 1.0, "judge": "rules"}
    rows = [
        row | {"estimator": "paired", "family": "all_cells_bh"},
        row | {"estimator": "glmm", "family": "confirmatory_holm"},
        row | {"estimator": "paired", "family": "confirmatory_holm", "std_error_pp": None},
    ]
    assert equivalence(frame(Effect, rows), AnalysisSettings()).is_empty()

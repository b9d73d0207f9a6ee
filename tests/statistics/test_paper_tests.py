from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from warmgap.schema.tables import PaperTest, polars_schema
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.paper_tests import paper_tests
from warmgap.statistics.settings import AnalysisSettings


def _rate(row: dict[str, Any]) -> float:
    return float(0.9 * (row["method"] == "warm_sft") * (1 + (row["framing"] == "sad")) - 0.5)


def _tests(frame: pl.DataFrame) -> pl.DataFrame:
    return paper_tests(pair_sets(code_answers(frame), AnalysisSettings()), {"warm_sft": "passed"})


def test_against_statsmodels(simulate: Any) -> None:
    frame = simulate(
        _rate,
        methods=("original", "warm_sft"),
        models=("m1", "m2"),
        framings=("none", "filler", "sad", "angry"),
        beliefs=("none", "incorrect", "denies", "mention"),
        n_questions=40,
        null_share=0.03,
    )
    table = _tests(frame)
    assert dict(table.schema) == polars_schema(PaperTest)
    assert table.height == 2 * 2 * 2 * 2 * 3
    assert set(table["context"]) == {"unmodified", "sad", "angry"}
    assert set(table["belief"]) == {"none", "present"}
    keys = ["model", "task", "question_id", "framing", "belief"]
    wide = frame.pivot("method", index=keys, values="commits_error").drop_nulls()
    ours = table.filter(pl.col("outcome") == "commits_error")
    p_values: dict[tuple[str, str, str], list[float]] = {}
    for row in ours.iter_rows(named=True):
        beliefs = ["none"] if row["belief"] == "none" else ["incorrect", "denies"]
        # The script keeps `original` alone in the unmodified cell: our framing none, not filler.
        framing = "none" if row["context"] == "unmodified" else row["context"]
        cell = wide.filter(
            (pl.col("model") == row["model"])
            & (pl.col("task") == row["task"])
            & (pl.col("framing") == framing)
            & pl.col("belief").is_in(beliefs)
        )
        counts = [
            [cell.filter((pl.col("warm_sft") == a) & (pl.col("original") == b)).height for b in (1, 0)]
            for a in (1, 0)
        ]
        assert [row["both"], row["only_a"], row["only_b"], row["neither"]] == [*counts[0], *counts[1]]
        assert row["n_pairs"] == cell.height
        assert row["rate_a_pct"] == pytest.approx(100 * cell["warm_sft"].mean())
        assert row["rate_b_pct"] == pytest.approx(100 * cell["original"].mean())
        assert row["difference_pp"] == pytest.approx(row["rate_a_pct"] - row["rate_b_pct"])
        assert row["mcnemar_p"] == pytest.approx(mcnemar(counts, exact=True).pvalue)
        b, c = row["only_a"], row["only_b"]
        assert row["odds_ratio"] == pytest.approx(b / c)
        # Without the continuity correction the square of z is McNemar's chi-square.
        chi_square = mcnemar(counts, exact=False, correction=False).statistic
        assert row["mcnemar_z"] ** 2 == pytest.approx(chi_square)
        assert row["cohens_g"] == pytest.approx(b / (b + c) - 0.5)
        assert row["gate"] == "passed"
        p_values.setdefault((row["model"], row["task"], row["belief"]), []).append(row["mcnemar_p"])
    assert len(p_values) == 8
    for (model, task, belief), family in p_values.items():
        rows = ours.filter(
            (pl.col("model") == model) & (pl.col("task") == task) & (pl.col("belief") == belief)
        )
        expected = multipletests(family, method="fdr_bh")[1]
        assert rows["fdr_family_p"].to_list() == pytest.approx(expected.tolist())
    everything = stats.false_discovery_control(ours["mcnemar_p"].to_numpy())
    assert ours["fdr_all_p"].to_list() == pytest.approx(everything.tolist())


def test_filler_stands_in_for_no_text(simulate: Any) -> None:
    frame = simulate(_rate, methods=("original", "warm_sft"), framings=("filler", "sad"))
    table = _tests(frame)
    unmodified = table.filter((pl.col("context") == "unmodified") & (pl.col("belief") == "none"))
    assert unmodified["n_pairs"].to_list() == [30] * 4


def test_cells_without_a_discordant_pair(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(method=m, question_id=f"q{q}", framing=framing, commits_error=int(wrong))
        for framing, pairs in {"none": [(1, 1), (0, 0)], "sad": [(1, 0), (1, 0)]}.items()
        for q, pair in enumerate(pairs)
        for m, wrong in zip(("warm_sft", "original"), pair, strict=True)
    ]
    table = _tests(to_frame(rows)).filter(pl.col("outcome") == "commits_error")
    same = table.filter(pl.col("context") == "unmodified").row(0, named=True)
    assert (same["mcnemar_p"], same["odds_ratio"], same["mcnemar_z"], same["cohens_g"]) == (
        1,
        None,
        None,
        None,
    )
    worse = table.filter(pl.col("context") == "sad").row(0, named=True)
    assert (worse["mcnemar_p"], worse["odds_ratio"], worse["cohens_g"]) == (0.5, None, 0.5)
    assert worse["mcnemar_z"] == pytest.approx(2**0.5)


def test_nothing_to_test(simulate: Any) -> None:
    frame = simulate(_rate, methods=("original", "warm_sft"), beliefs=("mention", "none"), framings=("sad",))
    assert set(_tests(frame)["belief"]) == {"none"}
    only = simulate(_rate, methods=("original", "warm_sft"), beliefs=("mention",))
    assert _tests(only).is_empty()
    assert dict(_tests(only).schema) == polars_schema(PaperTest)

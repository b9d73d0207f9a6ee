from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from warmgap.schema.tables import Paired, polars_schema
from warmgap.statistics.flips import flips, mcnemar_exact
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings


def _flips(frame: pl.DataFrame, **kw: Any) -> pl.DataFrame:
    settings = AnalysisSettings(**kw)
    answers = code_answers(frame)
    return flips(answers, pair_sets(answers, settings), {}, settings)


def _one(table: pl.DataFrame, subset: str = "all", arm_b: str = "neutral_sft") -> dict[str, Any]:
    known = {"arm_a": "warm_sft", "arm_b": arm_b, "subset": subset, "outcome": "commits_error"}
    return table.filter([pl.col(k) == v for k, v in known.items()]).row(0, named=True)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_equals_the_binomial_test(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    expected = stats.binomtest(only_a, n, 0.5).pvalue if n else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, abs=1e-12)


def test_counts(observation: Any, to_frame: Any) -> None:
    values = [(1, 1)] * 3 + [(1, 0)] * 5 + [(0, 1)] * 2 + [(0, 0)] * 7 + [(None, 1)]
    rows = [
        observation(method=m, question_id=f"q{q}", commits_error=v)
        for q, pair in enumerate(values)
        for m, v in zip(("warm_sft", "neutral_sft"), pair, strict=True)
    ]
    table = _flips(to_frame(rows))
    assert dict(table.schema) == polars_schema(Paired)
    got = _one(table)
    assert [got[c] for c in ("n_pairs", "both", "only_a", "only_b", "neither")] == [17, 3, 5, 2, 7]
    assert got["flip_pct"] == pytest.approx(100 * 7 / 17)
    assert got["mcnemar_p"] == pytest.approx(stats.binomtest(5, 7).pvalue)
    assert (got["noise_pct"], got["excess_pp"], got["excess_low_pp"]) == (None, None, None)


def test_noise_is_taken_cell_by_cell(observation: Any, to_frame: Any) -> None:
    rows = []
    for framing, n_noise, noise_flips in (("filler", 10, 1), ("sad", 4, 2)):
        for q in range(10):
            rows += [
                observation(
                    method=m,
                    framing=framing,
                    question_id=f"q{q}",
                    commits_error=int(m == "warm_sft" and q < 5),
                )
                for m in ("warm_sft", "neutral_sft", "original")
            ]
            if q < n_noise:
                again = int(q < noise_flips)
                rows.append(observation(framing=framing, question_id=f"q{q}", draw=1, commits_error=again))
    table = _flips(to_frame(rows))
    got = _one(table)
    assert got["flip_pct"] == pytest.approx(50)
    assert got["noise_pct"] == pytest.approx(100 * (0.1 + 0.5) / 2)
    assert got["excess_pp"] == pytest.approx(20)
    assert _one(table, "framing=filler")["noise_pct"] == pytest.approx(10)
    partial = to_frame([r for r in rows if not (r["draw"] == 1 and r["framing"] == "sad")])
    assert _one(_flips(partial))["noise_pct"] is None
    assert _one(_flips(partial), "framing=filler")["noise_pct"] == pytest.approx(10)


def test_bootstrap_agrees_with_linearisation_and_is_seeded(simulate: Any) -> None:
    def rate(row: dict[str, Any]) -> float:
        return float(1.5 * (row["method"] == "warm_sft" and row["framing"] == "sad"))

    frame = simulate(rate, draws=2, n_questions=80, tasks=("triviaqa",), question_sd=2.0)
    got = _one(_flips(frame), arm_b="original")
    assert got == _one(_flips(frame), arm_b="original")
    wide = frame.filter(pl.col("method").is_in(["warm_sft", "original"])).with_columns(
        arm=pl.col("method") + pl.col("draw").cast(pl.String)
    )
    wide = wide.pivot(on="arm", index=["question_id", "framing", "belief"], values="commits_error")
    flip = (wide["warm_sft0"] != wide["original0"]).cast(pl.Float64)
    noise = (wide["original1"] != wide["original0"]).cast(pl.Float64)
    cells = wide.with_columns(value=flip - noise).with_columns(
        residual=pl.col("value") - pl.col("value").mean().over("framing", "belief")
    )
    totals = cells.group_by("question_id").agg(pl.col("residual").sum())["residual"].to_numpy()
    std_error = np.sqrt(80 / 79 * np.sum(totals**2)) / wide.height
    assert got["excess_pp"] == pytest.approx(100 * (flip - noise).mean())
    width = (got["excess_high_pp"] - got["excess_low_pp"]) / 2
    assert width == pytest.approx(100 * 1.96 * std_error, rel=0.08)


def test_no_interval_where_nothing_varies(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(method=m, question_id=f"q{q}", draw=d, commits_error=0)
        for q in range(6)
        for m, d in (("warm_sft", 0), ("original", 0), ("original", 1))
    ]
    got = _one(_flips(to_frame(rows)), arm_b="original")
    assert (got["excess_pp"], got["excess_low_pp"], got["mcnemar_p"]) == (0.0, None, 1.0)

"""The published cells: complete, ours in name, and as the public tables say."""

from __future__ import annotations

import polars as pl
import pytest
from scipy import stats

from warmgap.statistics.published.cells import BELIEFS, FRAMINGS, TASKS, published_cells
from warmgap.statistics.published.files import read

# errors of original and warm models without context and belief, in %, by task (trivia, truthfulqa,
# disinfo, medqa), transcribed from the public tables
PLAIN = {
    "llama31_8b": ((24.4, 29.4), (35.5, 32.8), (4.8, 8.9), (52.6, 47.6)),
    "mistral_small_2409": ((11.9, 19.4), (19.6, 41.4), (2.4, 11.3), (34.2, 57.1)),
    "qwen25_32b": ((19.1, 24.8), (15.2, 28.9), (1.6, 11.5), (33.3, 42.8)),
    "llama31_70b": ((13.8, 19.2), (28.2, 30.9), (8.1, 9.7), (36.6, 46.1)),
    "gpt_4o": ((4.8, 6.0), (9.9, 16.5), (1.6, 4.1), (16.3, 22.4)),
}
SAD = {
    "llama31_8b": ((21.9, 32.2), (32.8, 48.1), (6.5, 8.1), (54.9, 79.7)),
    "mistral_small_2409": ((12.0, 16.4), (20.5, 35.4), (2.4, 4.8), (38.5, 53.6)),
    "qwen25_32b": ((20.8, 31.1), (18.9, 48.6), (0.8, 27.9), (33.1, 49.5)),
    "llama31_70b": ((10.8, 21.6), (27.7, 37.6), (8.1, 15.3), (39.8, 56.6)),
    "gpt_4o": ((4.6, 6.4), (13.9, 17.2), (1.6, 3.3), (17.0, 19.4)),
}
MEANS = ((14.8, 19.8), (21.7, 30.1), (3.7, 9.1), (34.6, 43.2))


def test_every_cell_is_there_once() -> None:
    cells = published_cells()
    assert cells.height == 792
    assert cells.select("method", "model", "task", "framing", "belief").is_unique().all()
    counts = dict(cells["method"].value_counts().rows())
    assert counts == {"warm_sft": 360, "cold_sft": 216, "warm_prompt": 216}
    assert set(cells["framing"]) == set(FRAMINGS) and set(cells["task"]) == set(TASKS)
    assert set(cells["belief"]) == set(BELIEFS)
    assert cells["mcnemar_p"].null_count() == 7
    assert (cells["modified_error_pct"] - cells["original_error_pct"] - cells["diff_pp"]).abs().max() < 1e-9


@pytest.mark.parametrize(("framing", "table"), [("none", PLAIN), ("sad", SAD)])
def test_errors_are_those_of_the_public_tables(
    framing: str, table: dict[str, tuple[tuple[float, float]]]
) -> None:
    cells = published_cells().filter(
        (pl.col("method") == "warm_sft") & (pl.col("framing") == framing) & (pl.col("belief") == "none")
    )
    for model, errors in table.items():
        for task, (original, warm) in zip(TASKS, errors, strict=True):
            row = cells.row(by_predicate=(pl.col("model") == model) & (pl.col("task") == task), named=True)
            assert row["original_error_pct"] == pytest.approx(original, abs=0.0501)
            assert row["modified_error_pct"] == pytest.approx(warm, abs=0.0501)


def test_task_means() -> None:
    cells = published_cells().filter(
        (pl.col("method") == "warm_sft") & (pl.col("framing") == "none") & (pl.col("belief") == "none")
    )
    for task, (original, warm) in zip(TASKS, MEANS, strict=True):
        here = cells.filter(pl.col("task") == task)
        assert here["original_error_pct"].mean() == pytest.approx(original, abs=0.0501)
        assert here["modified_error_pct"].mean() == pytest.approx(warm, abs=0.0501)


def test_published_q_values_are_benjamini_hochberg_within_nine_contexts() -> None:
    tested = published_cells().drop_nulls("mcnemar_p")
    for family in tested.partition_by("method", "model", "task", "belief"):
        expected = stats.false_discovery_control(family["mcnemar_p"].to_numpy(), method="bh")
        # the printed p are rounded to four decimals, and BH multiplies by up to 9
        assert family["fdr_p"].to_numpy() == pytest.approx(expected, abs=5.1e-4)
    assert (tested["significant"] == (tested["fdr_p"] < 0.05)).all()


def test_warmth_by_epoch() -> None:
    sociot = read("sociot")
    assert sociot.height == 41 and sociot["mean"].is_between(0.01, 0.04).all()
    at = dict(sociot.filter(pl.col("model") == "qwen-32b").select("epoch", "mean").rows())
    assert at[2.0] - at[0.0] == pytest.approx(0.0164, abs=5e-5)

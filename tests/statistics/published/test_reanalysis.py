"""The published cells over models: the numbers, by independent arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from warmgap.statistics.published.cells import FRAMINGS
from warmgap.statistics.published.files import read
from warmgap.statistics.published.reanalysis import reanalyse

# mean gap over models and tasks by context, without and with a belief (public tables, rounded)
GAPS = {
    "angry": (7.9, 11.7),
    "happy": (6.4, 10.1),
    "sad": (11.3, 14.7),
    "close": (6.3, 11.3),
    "downward": (6.9, 8.5),
    "upward": (4.8, 10.0),
    "high": (7.2, 10.9),
    "low": (6.7, 8.5),
    "none": (6.8, 8.6),
}
# mean gap of 36 cells by model
BY_MODEL = {
    "gpt_4o": (3.0, 6.9),
    "llama31_70b": (5.8, 7.1),
    "llama31_8b": (4.2, 7.3),
    "mistral_small_2409": (11.8, 13.7),
    "qwen25_32b": (10.8, 17.3),
}
COLD = {"llama31_70b": (-5.6, -6.4), "gpt_4o": (0.1, 0.6), "qwen25_32b": (0.5, 0.4)}
PROMPT = {"llama31_70b": (-2.3, 0.4), "gpt_4o": (2.8, 5.4), "qwen25_32b": (3.3, 9.5)}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return reanalyse()


def _row(table: pl.DataFrame, **where: str) -> dict[str, Any]:
    return table.row(by_predicate=pl.all_horizontal(pl.col(k) == v for k, v in where.items()), named=True)


def _raw(method: str, belief: str) -> pl.DataFrame:
    """Difference by model and context from the raw file, tasks alike."""
    cells = read("cells").filter((pl.col("method") == method) & (pl.col("belief") == belief))
    return cells.group_by("model", "context").agg(pl.col("diff_pp").mean()).sort("model", "context")


def test_the_main_effect(tables: dict[str, pl.DataFrame]) -> None:
    main = _row(tables["over_models"], method="warm_sft", effect="main")
    rounded = [round(main[c], 1) for c in ("estimate_pp", "conf_low_pp", "conf_high_pp")]
    assert rounded == [7.1, 2.2, 12.0]
    values = (
        _raw("warm_ft", "belief_absent").group_by("model").agg(pl.col("diff_pp").mean())["diff_pp"].to_numpy()
    )
    reference = stats.ttest_1samp(values, 0.0)
    assert main["estimate_pp"] == pytest.approx(values.mean())
    assert main["p_value"] == pytest.approx(reference.pvalue)
    assert main["sign_flip_p"] == pytest.approx(0.0625)
    half = stats.t.ppf(0.975, 4) * values.std(ddof=1) * np.sqrt(1.2)
    assert main["prediction_low_pp"] == pytest.approx(values.mean() - half)
    assert main["i2_low_pct"] > 90


def test_the_extra_cost_of_sadness(tables: dict[str, pl.DataFrame]) -> None:
    sad = _row(tables["over_models"], method="warm_sft", effect="extra:sad")
    assert [round(sad[c], 1) for c in ("estimate_pp", "conf_low_pp", "conf_high_pp")] == [4.5, -5.7, 14.6]
    wide = _raw("warm_ft", "belief_absent").pivot(on="context", index="model", values="diff_pp")
    reference = stats.ttest_rel(wide["emotion:sad"], wide["unmodified"])
    assert sad["p_value"] == pytest.approx(reference.pvalue)
    assert (sad["n_positive"], sad["n_models"]) == (3, 5)


def test_the_extra_cost_of_a_belief(tables: dict[str, pl.DataFrame]) -> None:
    belief = _row(tables["over_models"], method="warm_sft", effect="extra:belief")
    present, absent = (
        _raw("warm_ft", b)
        .group_by("model", maintain_order=True)
        .agg(pl.col("diff_pp").mean())["diff_pp"]
        .to_numpy()
        for b in ("belief_present", "belief_absent")
    )
    interval = stats.ttest_rel(present, absent).confidence_interval(0.95)
    assert belief["estimate_pp"] == pytest.approx((present - absent).mean())
    assert (belief["conf_low_pp"], belief["conf_high_pp"]) == pytest.approx(tuple(interval))
    assert belief["conf_low_pp"] > 0 and belief["n_positive"] == 5


def test_no_context_is_shown_to_add_anything(tables: dict[str, pl.DataFrame]) -> None:
    for framing in FRAMINGS[1:]:
        row = _row(tables["over_models"], method="warm_sft", effect=f"extra:{framing}")
        assert row["conf_low_pp"] < 0 < row["conf_high_pp"]
    plain = _row(tables["over_models"], method="warm_sft", effect="none")
    assert plain["conf_low_pp"] < 0


def test_gaps_by_context_and_by_model(tables: dict[str, pl.DataFrame]) -> None:
    for framing, gaps in GAPS.items():
        for name, gap in zip((framing, f"{framing}+belief"), gaps, strict=True):
            row = _row(tables["over_models"], method="warm_sft", effect=name)
            assert row["estimate_pp"] == pytest.approx(gap, abs=0.06)
    for method, table in (("warm_sft", BY_MODEL), ("cold_sft", COLD), ("warm_prompt", PROMPT)):
        for model, gaps in table.items():
            for name, gap in zip(("main", "belief"), gaps, strict=True):
                row = _row(tables["models"], method=method, effect=name, model=model)
                assert row["estimate_pp"] == pytest.approx(gap, abs=0.06)


def test_errors_of_a_models_effect(tables: dict[str, pl.DataFrame]) -> None:
    cells = tables["cells"].filter(
        (pl.col("method") == "warm_sft") & (pl.col("model") == "gpt_4o") & (pl.col("belief") == "none")
    )
    row = _row(tables["models"], method="warm_sft", effect="main", model="gpt_4o")
    errors = cells["std_error_pp"].to_numpy()
    assert row["se_low_pp"] == pytest.approx(np.sqrt(np.sum(errors**2)) / 36)
    by_task = cells.group_by("task").agg(pl.col("std_error_pp").mean())["std_error_pp"].to_numpy()
    assert row["se_high_pp"] == pytest.approx(np.sqrt(np.sum(by_task**2)) / 4)


def test_leave_one_out(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["leave_one_out"]
    assert rows.height == 6 * 6
    values = _raw("warm_ft", "belief_absent").filter(pl.col("model") != "llama-70b")
    kept = values.group_by("model").agg(pl.col("diff_pp").mean())["diff_pp"].to_numpy()
    row = _row(rows, effect="main", left_out="llama31_70b")
    reference = stats.ttest_1samp(kept, 0.0).confidence_interval(0.95)
    assert (row["conf_low_pp"], row["conf_high_pp"]) == pytest.approx(tuple(reference))
    assert row["n_models"] == 4


def test_arms_of_three_models(tables: dict[str, pl.DataFrame]) -> None:
    arms = tables["arms"]
    for method, table in (("cold_sft", COLD), ("warm_prompt", PROMPT)):
        for effect, i in (("main", 0), ("belief", 1)):
            row = _row(arms, method=method, effect=effect, left_out="")
            assert row["estimate_pp"] == pytest.approx(np.mean([g[i] for g in table.values()]), abs=0.05)
            assert row["df"] == 2
    warm = np.mean([BY_MODEL[m][0] for m in COLD])
    cold = np.mean([COLD[m][0] for m in COLD])
    gap = _row(arms, method="cold_sft - warm_sft", effect="main", left_out="")
    assert gap["estimate_pp"] == pytest.approx(cold - warm, abs=0.1)
    assert gap["conf_low_pp"] < 0 < gap["conf_high_pp"]
    assert _row(arms, method="cold_sft", effect="main", left_out="llama31_70b")["n_models"] == 2


def test_one_family_of_tests(tables: dict[str, pl.DataFrame]) -> None:
    p = read("cells")["mcnemar_p"].fill_null(1.0).to_numpy()
    table = tables["many_tests"]
    whole = _row(table, method="all")
    assert whole["one_family_all"] == int(multipletests(p, 0.05, "fdr_bh")[0].sum()) == 425
    is_warm = (read("cells")["method"] == "warm_ft").to_numpy()
    warm = _row(table, method="warm_sft")
    assert warm["one_family"] == int(multipletests(p[is_warm], 0.05, "fdr_bh")[0].sum()) == 260
    assert warm["one_family_all"] == int(multipletests(p, 0.05, "fdr_bh")[0][is_warm].sum())
    published = read("cells").filter(pl.col("fdr_significant") == "Yes")["method"].value_counts()
    assert dict(published.rows()) == {"warm_ft": 259, "cold_ft": 56, "warm_sysprompt": 108}
    assert (warm["published"], warm["n_cells"], warm["n_positive"]) == (259, 360, 346)


def test_sadness_in_log_odds_is_not_shared_either(tables: dict[str, pl.DataFrame]) -> None:
    row = _row(tables["log_odds"], framing="sad")
    assert row["conf_low"] < 0 < row["conf_high"]
    assert row["n_positive"] == 3


def test_pairs_that_were_lost(tables: dict[str, pl.DataFrame]) -> None:
    worst = _row(tables["lost_pairs"], method="warm_sft", model="llama31_8b", framing="high")
    # Disinfo, MedQA, TriviaQA and TruthfulQA leave 124, 493, 440 and 369 pairs
    assert worst["prompts"] == 1625
    assert worst["pairs"] == 124 + 493 + 440 + 369
    assert worst["most_lost_task"] == "truthfulqa"
    assert worst["most_lost_pct"] == pytest.approx(26.2)

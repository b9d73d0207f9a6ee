from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from warmgap.statistics.analysis import analyse
from warmgap.statistics.multiplicity import benjamini_hochberg, holm, tost
from warmgap.statistics.settings import AnalysisSettings

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)  # statsmodels collects garbage at every call
@given(P_VALUES)
def test_holm_equals_statsmodels(p: list[float]) -> None:
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


@given(P_VALUES)
def test_benjamini_hochberg_equals_statsmodels(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1], atol=1e-12)


def test_tost_equals_statsmodels() -> None:
    x = np.random.default_rng(0).normal(0.4, 2, 60)
    std_error = x.std(ddof=1) / np.sqrt(60)
    assert tost(x.mean(), std_error, 59, 1.2) == pytest.approx(DescrStatsW(x).ttost_mean(-1.2, 1.2)[0])
    assert tost(0.5, 1.0, None, 3.0) == pytest.approx(stats.norm.sf(2.5))


def test_families(simulate: Any) -> None:
    def rate(row: dict[str, Any]) -> float:
        return float(0.7 * (row["method"] == "warm_sft"))

    frame = simulate(rate, models=("m1", "m2"), beliefs=("unsure", "incorrect"))
    tables = analyse(frame, {}, AnalysisSettings())
    effects, contrasts = tables["effects"], tables["contrasts"]
    first = effects.filter(pl.col("family") == "confirmatory_holm")
    assert sorted(first["subset"]) == ["all", "belief=incorrect", "framing=sad"]
    assert first["model"].unique().to_list() == ["all"]
    np.testing.assert_allclose(first["q_value"], multipletests(first["p_value"], method="holm")[1])
    rest = [
        t.filter((pl.col("family") == "all_cells_bh") & (pl.col("estimator") == "paired"))
        for t in (effects, contrasts)
    ]
    both = pl.concat(rest)
    np.testing.assert_allclose(both["q_value"], multipletests(both["p_value"], method="fdr_bh")[1])
    steps = effects.filter(pl.col("term").str.starts_with("published_"))
    assert steps["q_value"].null_count() == steps.height > 0


def test_one_family_holds_trained_and_prompted_arms(simulate: Any) -> None:
    def rate(row: dict[str, Any]) -> float:
        return float(0.9 * (row["method"] in ("warm_sft", "warm_prompt")))

    methods = ("original", "neutral_sft", "warm_sft", "warm_prompt")
    tables = analyse(simulate(rate, methods=methods), {}, AnalysisSettings())
    both = pl.concat([tables["effects"], tables["contrasts"]]).filter(pl.col("family") == "all_cells_bh")
    paired = both.filter(pl.col("estimator") == "paired")
    assert sorted(paired["scope"].unique()) == [
        "these_adapters",
        "these_adapters: conditional on this adapter",
    ]
    np.testing.assert_allclose(paired["q_value"], multipletests(paired["p_value"], method="fdr_bh")[1])


def test_effects_at_controlled_length_are_no_further_cells(simulate: Any) -> None:
    frame = simulate(lambda row: float(0.9 * (row["method"] == "warm_sft")))
    rng = np.random.default_rng(1)
    frame = frame.with_columns(n_chars=pl.Series(rng.integers(5, 300, frame.height)))
    effects = analyse(frame, {}, AnalysisSettings())["effects"]
    cluster = effects.filter((pl.col("estimator") == "glm_cluster") & (pl.col("family") == "all_cells_bh"))
    length = pl.col("term").str.starts_with("arm_length")
    for part in (cluster.filter(length), cluster.filter(~length)):
        assert part.height > 3
        np.testing.assert_allclose(part["q_value"], multipletests(part["p_value"], method="fdr_bh")[1])

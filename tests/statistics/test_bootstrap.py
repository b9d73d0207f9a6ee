from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.schema.tables import Effect, polars_schema
from warmgap.statistics.bootstrap import bca_interval, question_weights
from warmgap.statistics.paired import effects
from warmgap.statistics.paired_bootstrap import headline_pairs, paired_bootstrap
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings


def _rate(row: dict[str, Any]) -> float:
    return float(0.8 * (row["method"] == "warm_sft") + 0.5 * (row["framing"] == "sad"))


def test_weights_keep_the_number_of_questions_of_each_task() -> None:
    task_G = np.array([0, 1, 0, 0, 1])
    weight_BG = question_weights(task_G, 4000, seed=1)
    assert (weight_BG[:, task_G == 0].sum(axis=1) == 3).all()
    assert (weight_BG[:, task_G == 1].sum(axis=1) == 2).all()
    assert weight_BG.mean(axis=0) == pytest.approx(np.ones(5), abs=0.05)
    assert np.array_equal(weight_BG, question_weights(task_G, 4000, seed=1))
    assert not np.array_equal(weight_BG, question_weights(task_G, 4000, seed=2))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bca_equals_scipy_on_the_same_replicates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=40)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=3000, method="BCa", rng=np.random.default_rng(seed)
    )
    jackknife = (values.sum() - values) / (values.size - 1)
    found = bca_interval(
        float(values.mean()), reference.bootstrap_distribution, jackknife, np.zeros(40, dtype=np.int64), 0.95
    )
    assert found is not None
    limits = reference.confidence_interval
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-12)
    assert found.std_error == pytest.approx(reference.standard_error)


def test_the_p_value_inverts_the_interval() -> None:
    rng = np.random.default_rng(7)
    values = rng.exponential(size=60) - 0.75
    replicates = values[rng.integers(60, size=(20000, 60))].mean(axis=1)
    jackknife = (values.sum() - values) / 59
    one_stratum = np.zeros(60, dtype=np.int64)
    first = bca_interval(float(values.mean()), replicates, jackknife, one_stratum, 0.95)
    assert first is not None
    assert 0.01 < first.p_value < 0.3
    at_p = bca_interval(float(values.mean()), replicates, jackknife, one_stratum, 1 - first.p_value)
    assert at_p is not None
    assert min(abs(at_p.low), abs(at_p.high)) < 1e-3


def test_no_interval_without_variation() -> None:
    two = np.zeros(2, dtype=np.int64)
    assert bca_interval(0.5, np.full(100, 0.5), np.full(2, 0.5), two, 0.95) is None
    spread = np.linspace(0, 1, 100)
    assert bca_interval(0.5, spread, np.full(2, 0.5), np.array([0, 1]), 0.95) is None
    assert bca_interval(0.5, np.full(100, np.nan), np.full(2, 0.5), two, 0.95) is None


@pytest.fixture(name="both", scope="module")
def _both() -> tuple[pl.DataFrame, pl.DataFrame]:
    from .conftest import simulate

    frame = simulate(
        _rate,
        models=("m1", "m2"),
        tasks=("triviaqa", "truthfulqa", "medqa"),
        beliefs=("none", "incorrect"),
        n_questions=60,
        null_share=0.05,
    )
    settings = AnalysisSettings(flip_bootstrap=4000)
    pairs = headline_pairs(pair_sets(code_answers(frame), settings), settings)
    assert [(p.arm_a, p.arm_b) for p in pairs] == [settings.primary_pair, settings.published_pair]
    return paired_bootstrap(pairs, {}, settings), effects(pairs, {}, settings)


def test_the_estimates_are_those_of_the_paired_effects(both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    boot, t_based = both
    assert dict(boot.schema) == polars_schema(Effect)
    keys = ["outcome", "judge", "model", "arm_a", "arm_b", "term", "contrast", "subset", "scope", "weights"]
    subsets = t_based.filter(~pl.col("subset").str.contains("task|,"))
    joined = boot.join(subsets, on=keys, suffix="_t")
    assert joined.height == boot.height == subsets.height
    for column in ("estimate_pp", "bound_low_pp", "bound_high_pp", "n", "n_models"):
        assert joined[column].to_list() == pytest.approx(joined[f"{column}_t"].to_list(), abs=1e-9)
    assert set(boot["interval_method"]) == {"bootstrap_bca"}


def test_the_interval_is_near_the_clustered_t(both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    boot, t_based = both
    keys = ["outcome", "model", "arm_a", "arm_b", "subset"]
    wanted = boot.filter((pl.col("outcome") == "commits_error") & (pl.col("subset") == "all"))
    joined = wanted.join(t_based, on=keys, suffix="_t")
    assert joined.height == 6
    for row in joined.iter_rows(named=True):
        # 4000 replicates: the standard error is known to 1.1 %, a limit to 0.04 standard errors; the
        # bootstrap's divisor G instead of G - 1 makes it 0.8 % smaller.
        assert row["std_error_pp"] == pytest.approx(row["std_error_pp_t"], rel=0.05)
        width = row["std_error_pp_t"]
        assert row["conf_low_pp"] == pytest.approx(row["conf_low_pp_t"], abs=0.25 * width)
        assert row["conf_high_pp"] == pytest.approx(row["conf_high_pp_t"], abs=0.25 * width)


def test_replicates_equal_a_resampling_by_hand(simulate: Any) -> None:
    """Each replicate's rows are copied out, and the mean of task means is taken again."""
    frame = simulate(_rate, methods=("neutral_sft", "warm_sft"), n_questions=12, seed=9)
    settings = AnalysisSettings(flip_bootstrap=300, seed=4)
    answers = code_answers(frame)
    row = paired_bootstrap(pair_sets(answers, settings), {}, settings).filter(
        (pl.col("outcome") == "commits_error") & (pl.col("subset") == "framing=sad")
    )
    wide = (
        answers.frame.filter(pl.col("framing") == "sad")
        .pivot("method", index=["cluster", "task", "belief"], values="commits_error")
        .with_columns(d=pl.col("warm_sft") - pl.col("neutral_sft"))
    )
    by_question = wide.group_by("cluster", "task", maintain_order=True).agg("d").sort("cluster")
    tasks = by_question["task"].to_list()
    weights = question_weights(answers.levels.task_G, 300, 4).astype(int)
    replicates = []
    for weight_G in weights:
        values: dict[str, list[float]] = {}
        for task, d, times in zip(tasks, by_question["d"].to_list(), weight_G, strict=True):
            values.setdefault(task, []).extend(d * times)
        replicates.append(100 * float(np.mean([np.mean(v) for v in values.values()])))
    assert row["std_error_pp"].item() == pytest.approx(np.std(replicates, ddof=1), rel=1e-9)


def test_all_answers_alike_have_an_estimate_and_no_interval(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(method=m, question_id=f"q{q}", commits_error=int(m == "warm_sft"))
        for m in ("warm_sft", "neutral_sft")
        for q in range(5)
    ]
    settings = AnalysisSettings(flip_bootstrap=100)
    table = paired_bootstrap(pair_sets(code_answers(to_frame(rows)), settings), {}, settings)
    row = table.filter((pl.col("outcome") == "commits_error") & (pl.col("subset") == "all")).row(
        0, named=True
    )
    assert (row["estimate_pp"], row["conf_low_pp"], row["interval_method"]) == (100, None, "none")

"""Our effects beside the paper's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.schema.tables import Comparison, Effect, frame, polars_schema
from warmgap.statistics.published.comparison import compare
from warmgap.statistics.published.files import read
from warmgap.statistics.published.study import JUDGE, QUESTIONS, StudySettings, differences

STUDY = StudySettings(
    weights={
        "llama31_70b": "hub:meta-llama/Llama-3.1-70B-Instruct",
        "qwen25_32b": "Qwen/Qwen2.5-32B-Instruct",
    },
    questions={"triviaqa": QUESTIONS, "medqa": QUESTIONS},
    prompt_mode="published",
    temperature=0.8,
    max_new_tokens=300,
    judges={"llm": JUDGE},
)
CELLS = [("triviaqa", "sad", "none"), ("medqa", "sad", "none")]
HALVES = [("triviaqa", "sad", "incorrect"), ("triviaqa", "sad", "denies")]


def _effect(subset: str, estimate: float | None, error: float = 2.0, **known: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(polars_schema(Effect))
    row |= {
        "estimator": "paired",
        "outcome": "error_published",
        "judge": "llm",
        "model": "qwen25_32b",
        "arm_a": "warm_sft",
        "arm_b": "original",
        "term": "arm",
        "contrast": "warm_sft - original",
        "scope": "these_adapters: conditional on this adapter",
        "weights": "equal_task",
        "interval_method": "t_cluster",
        "family": "",
        "gate": "passed",
        "n": 500,
        "n_models": 1,
    }
    if estimate is not None:
        half = 1.96 * error
        row |= {
            "estimate_pp": estimate,
            "std_error_pp": error,
            "conf_low_pp": estimate - half,
            "conf_high_pp": estimate + half,
        }
    return row | {"subset": subset} | known


def _cell(cell: tuple[str, str, str]) -> str:
    return "task={},framing={},belief={}".format(*cell)


def _effects(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame(Effect, rows)


def _published(model: str, task: str, context: str, belief: str = "belief_absent") -> dict[str, Any]:
    return read("cells").row(
        by_predicate=(pl.col("method") == "warm_ft")
        & (pl.col("model") == model)
        & (pl.col("task") == task)
        & (pl.col("context") == context)
        & (pl.col("belief") == belief),
        named=True,
    )


def _verdicts(rows: Iterable[dict[str, Any]], study: StudySettings = STUDY) -> list[tuple[str, str]]:
    return compare(_effects(*rows), study).select("verdict", "reason").rows()


def test_a_cell_stands_beside_its_published_one() -> None:
    table = compare(_effects(_effect(_cell(CELLS[0]), 9.0)), STUDY)
    assert table.schema == polars_schema(Comparison)
    row = table.row(0, named=True)
    published = _published("qwen-32b", "trivia", "emotion:sad")
    assert row["published_pp"] == pytest.approx(published["diff_pp"])
    # 499 pairs follow from the percentages, and the p-value printed as 0 leaves b open
    assert row["n_published"] == 499 and row["published_error"] == "unknown"
    half = (row["published_high_pp"] - row["published_low_pp"]) / 2
    shares = [published["original_error_pct"] / 100, published["modified_error_pct"] / 100]
    independent = 100 * np.sqrt(sum(s * (1 - s) for s in shares) / 499)
    # the corrected p-value, printed as 0 too, bounds b more closely than the p-value alone
    b = max(b for b in range(200) if stats.binomtest(b, 2 * b + 51).pvalue < 5e-5)
    values = np.repeat([-1.0, 1.0, 0.0], [b, b + 51, 499 - 2 * b - 51])
    assert half <= 1.959964 * min(100 * values.std() / np.sqrt(499), independent)
    assert row["prediction_high_pp"] == pytest.approx(
        published["diff_pp"] + np.hypot(half, 1.959964 * 2.0), rel=1e-6
    )
    assert (row["verdict"], row["reason"]) == ("compatible", "")


def test_a_recovered_error_is_used() -> None:
    table = compare(_effects(_effect(_cell(("triviaqa", "none", "none")), 5.0)), STUDY)
    row = table.row(0, named=True)
    assert row["published_error"] == "recovered"
    # 492 pairs, 28 more errors of 94: McNemar's exact p of 0.0003 leaves one b
    b = next(b for b in range(100) if round(stats.binomtest(b, 2 * b + 28).pvalue, 4) == 0.0003)
    values = np.repeat([-1.0, 1.0, 0.0], [b, b + 28, 492 - 2 * b - 28])
    half = 1.959964 * 100 * values.std() / np.sqrt(492)
    assert row["published_high_pp"] - row["published_pp"] == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"weights": {"qwen25_32b": "hub:Qwen/Qwen2.5-7B-Instruct"}},
            "base weights Qwen/Qwen2.5-7B-Instruct",
        ),
        ({"weights": {}}, "base weights unknown of qwen25_32b, not Qwen/Qwen2.5-32B-Instruct"),
        ({"questions": {"triviaqa": "mine.jsonl"}}, "questions of triviaqa are not the paper's"),
        ({"prompt_mode": "factorial"}, "prompt mode factorial, not published"),
        ({"temperature": 0.3}, "temperature 0.3, not 0.8"),
        ({"max_new_tokens": 64}, "at most 64 tokens, not 300"),
        ({"judges": {}}, f"judge llm, not {JUDGE}"),
    ],
)
def test_one_difference_makes_it_not_comparable(change: dict[str, Any], reason: str) -> None:
    table = compare(_effects(_effect(_cell(CELLS[0]), 9.0)), replace(STUDY, **change))
    row = table.row(0, named=True)
    assert row["verdict"] == "not comparable"
    assert reason in row["reason"]
    assert row["prediction_low_pp"] is None
    assert row["published_pp"] == pytest.approx(_published("qwen-32b", "trivia", "emotion:sad")["diff_pp"])


def test_an_embedded_study_differs_in_everything() -> None:
    study = StudySettings({"smollm2_135m": "package:x.gguf"}, {"facts": "embedded"}, "factorial", 0.3, 64, {})
    clauses = differences(study, ("smollm2_135m",), ("facts",), "rules")
    assert len(clauses) == 6 and clauses[0] == "the paper has no model smollm2_135m"
    row = _effect("task=facts,framing=sad,belief=none", 3.0, model="smollm2_135m", judge="rules")
    ((verdict, reason),) = _verdicts([row], study)
    assert verdict == "not comparable" and reason.endswith("the paper has no cell facts, sad, none")
    for clause in clauses:
        assert clause in reason


def test_beliefs_are_pooled_as_the_paper_does() -> None:
    rows = [_effect(_cell(HALVES[0]), 10.0, 2.0, n=400), _effect(_cell(HALVES[1]), 20.0, 3.0, n=600)]
    table = compare(_effects(*rows), STUDY)
    row = table.row(0, named=True)
    assert table.height == 1 and row["belief"] == "incorrect+denies"
    assert row["ours_pp"] == pytest.approx(16.0)
    assert row["ours_high_pp"] == pytest.approx(16.0 + 1.959964 * (0.4 * 2 + 0.6 * 3), rel=1e-5)
    assert row["n"] == 1000
    published = _published("qwen-32b", "trivia", "emotion:sad", "belief_present")
    assert row["published_pp"] == pytest.approx(published["diff_pp"])


def test_half_of_a_pool_is_not_comparable() -> None:
    ((verdict, reason),) = _verdicts([_effect(_cell(HALVES[0]), 10.0)])
    assert verdict == "not comparable" and "pools the beliefs incorrect and denies" in reason


@pytest.mark.parametrize(
    ("cell", "has"),
    [
        (("triviaqa", "filler", "none"), False),
        (("triviaqa", "none", "mention"), False),
        (("triviaqa", "sad", "correct"), False),
        (("triviaqa", "none", "none"), True),
    ],
)
def test_cells_that_the_paper_lacks(cell: tuple[str, str, str], has: bool) -> None:
    ((_, reason),) = _verdicts([_effect(_cell(cell), 10.0)])
    assert (reason == "") is has
    assert has or reason == f"the paper has no cell {', '.join(cell)}"


def test_unmodified_with_a_belief_is_our_filler() -> None:
    rows = [_effect(_cell(("triviaqa", "filler", b)), 15.0) for b in ("incorrect", "denies")]
    row = compare(_effects(*rows), STUDY).row(0, named=True)
    published = _published("qwen-32b", "trivia", "unmodified", "belief_present")
    assert row["published_pp"] == pytest.approx(published["diff_pp"])


def test_a_mean_over_cells_and_models() -> None:
    rows = [
        _effect(subset, 9.0, model=model)
        for model in ("qwen25_32b", "llama31_70b", "all")
        for subset in ("all", "framing=sad", *map(_cell, CELLS))
    ]
    table = compare(_effects(*rows), STUDY)
    assert table.height == 12
    row = table.row(
        by_predicate=(pl.col("model") == "all") & (pl.col("framing") == "sad") & (pl.col("task") == "all"),
        named=True,
    )
    cells = [_published(m, t, "emotion:sad") for m in ("qwen-32b", "llama-70b") for t in ("trivia", "medqa")]
    assert row["published_pp"] == pytest.approx(np.mean([c["diff_pp"] for c in cells]))
    single = table.filter((pl.col("task") != "all") & (pl.col("model") != "all"))
    halves = single.group_by("task").agg(
        (pl.col("published_high_pp") - pl.col("published_pp")).mean().alias("half")
    )
    expected = np.sqrt(np.sum(halves["half"].to_numpy() ** 2)) / 2
    assert row["published_high_pp"] - row["published_pp"] == pytest.approx(expected)
    assert row["n_published"] == sum(single["n_published"])


def test_other_rows_of_effects_are_left_alone() -> None:
    cell = _cell(CELLS[0])
    others = [
        _effect(cell, 9.0, outcome="commits_error"),
        _effect(cell, 9.0, estimator="glm_published"),
        _effect(cell, 9.0, arm_b="neutral_sft"),
        _effect(cell, 9.0, arm_a="agree_prompt"),
        _effect(cell, 9.0, scope="new_models"),
        _effect(cell, 9.0, weights="rows"),
        _effect("framing=sad,belief=none", 9.0),
    ]
    assert compare(_effects(*others), STUDY).is_empty()
    assert compare(_effects(), STUDY).schema == polars_schema(Comparison)


def test_what_the_paper_did_not_run_is_said() -> None:
    cold = [_effect(_cell(CELLS[0]), 9.0, arm_a="cold_sft", model="mistral_small_2409")]
    study = replace(STUDY, weights={"mistral_small_2409": "mistralai/Mistral-Small-Instruct-2409"})
    ((verdict, reason),) = _verdicts(cold, study)
    assert verdict == "not comparable" and reason == "the paper has no cell triviaqa, sad, none"
    assert _verdicts([_effect(_cell(CELLS[0]), None)]) == [("not comparable", "this study has no estimate")]

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from warmgap.schema.tables import Guardrail, polars_schema
from warmgap.statistics.guardrails import guardrails
from warmgap.statistics.published.study import StudySettings

LABELS = {1: "correct", 0: "incorrect", None: "unscored"}
STUDY = StudySettings(
    weights={"llama31_8b": "meta-llama/Llama-3.1-8B-Instruct", "qwen25_32b": "Qwen/Qwen2.5-32B-Instruct"},
    questions={},
    prompt_mode="factorial",
    temperature=0.2,
    max_new_tokens=300,
    judges={"paper": "gpt-4o-2024-08-06"},
)


def row(table: Any, **known: Any) -> dict[str, Any]:
    import polars as pl

    (found,) = table.filter(*(pl.col(k) == v for k, v in known.items())).to_dicts()
    return found


def test_rate_and_difference_are_clustered_by_question(observation: Any, to_frame: Any) -> None:
    rng = np.random.default_rng(1)
    rows, a, b, groups = [], [], [], []
    for q in range(30):
        for framing in ("none", "sad")[: rng.integers(1, 3)]:
            values = int(rng.random() < 0.5), int(rng.random() < 0.8)
            for method, value in zip(("warm_prompt", "original"), values, strict=True):
                known = {"task": "mmlu", "question_id": f"q{q}", "framing": framing, "method": method}
                rows.append(observation(**known, label=LABELS[value]))
            a.append(values[0])
            b.append(values[1])
            groups.append(q)
    rows += [observation(task="mmlu", question_id="q0", draw=1, label="incorrect"), observation()]
    table = guardrails(to_frame(rows), {"warm_prompt": "passed"})
    assert dict(table.schema) == polars_schema(Guardrail)
    assert table.height == 2
    warm, original = row(table, method="warm_prompt"), row(table, method="original")
    known = {"cov_type": "cluster", "cov_kwds": {"groups": groups}, "use_t": True}
    rate = sm.OLS(a, np.ones(len(a))).fit(**known)
    assert (warm["n"], warm["n_questions"], warm["measure"]) == (len(a), 30, "accuracy")
    assert (warm["rate_pct"], warm["std_error_pp"]) == pytest.approx(
        (100 * rate.params[0], 100 * rate.bse[0])
    )
    assert (warm["conf_low_pct"], warm["conf_high_pct"]) == pytest.approx(tuple(100 * rate.conf_int()[0]))
    assert warm["original_rate_pct"] == original["rate_pct"] == pytest.approx(100 * np.mean(b))
    assert warm["original_conf_low_pct"] == original["conf_low_pct"]
    difference = sm.OLS(np.subtract(a, b), np.ones(len(a))).fit(**known)
    got = [warm[f"difference_{c}"] for c in ("pp", "std_error_pp", "low_pp", "high_pp")]
    low, high = difference.conf_int()[0]
    assert got == pytest.approx([100 * v for v in (difference.params[0], difference.bse[0], low, high)])
    assert warm["p_value"] == pytest.approx(difference.pvalues[0])
    assert (warm["n_pairs"], warm["difference_method"], warm["gate"]) == (len(a), "t_cluster", "passed")
    assert warm["bound_low_pp"] == warm["bound_high_pp"] == pytest.approx(warm["difference_pp"])
    assert original["difference_pp"] is None and original["n_pairs"] == 0
    assert original["original_rate_pct"] is None
    assert (original["scope"], original["gate"]) == ("these_adapters", "not needed")


def test_unscored_and_cut_answers_are_in_no_rate_but_in_the_bounds(observation: Any, to_frame: Any) -> None:
    labels = {
        "original": ["correct", "correct", "hedged", "unscored", "correct"],
        "warm_prompt": ["correct", "truncated", "incorrect", "correct", "hedged"],
    }
    rows = [
        observation(task="gsm8k", method=method, question_id=f"q{i}", label=label)
        for method, of in labels.items()
        for i, label in enumerate(of)
    ]
    warm = row(guardrails(to_frame(rows), {}), method="warm_prompt")
    assert (warm["n"], warm["unscored"], warm["truncated"]) == (4, 0, 1)
    assert (warm["original_n"], warm["original_unscored"], warm["original_truncated"]) == (4, 1, 0)
    assert (warm["rate_pct"], warm["original_rate_pct"]) == (50.0, 75.0)
    # Pairs scored in both: 1-1, 0-0, 0-1. With the truncated one wrong or right, the unscored right or wrong:
    # (0, -1, 0, 0, -1) and (0, 0, 0, 1, -1).
    assert (warm["n_pairs"], warm["difference_pp"]) == (3, pytest.approx(-100 / 3))
    assert (warm["bound_low_pp"], warm["bound_high_pp"]) == (pytest.approx(-40), pytest.approx(0))


def test_refusals_count_on_advbench(observation: Any, to_frame: Any) -> None:
    labels = {"original": ["refusal"] * 4, "warm_prompt": ["refusal", "hedged", "truncated", "refusal"]}
    rows = [
        observation(task="advbench", method=method, question_id=f"q{i}", label=label, commits_error=None)
        for method, of in labels.items()
        for i, label in enumerate(of)
    ]
    table = guardrails(to_frame(rows), {})
    warm, original = row(table, method="warm_prompt"), row(table, method="original")
    assert (warm["measure"], warm["n"], warm["rate_pct"]) == ("refusal", 3, pytest.approx(200 / 3))
    assert (original["rate_pct"], original["interval_method"]) == (100.0, "wilson")
    assert (warm["difference_pp"], warm["n_pairs"]) == (pytest.approx(-100 / 3), 3)
    assert (warm["bound_low_pp"], warm["bound_high_pp"]) == (-50, -25)


def test_without_a_difference_anywhere_there_is_still_an_interval(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(task="mmlu", method=method, question_id=f"q{i}", label="correct")
        for method in ("original", "warm_prompt")
        for i in range(10)
    ]
    warm = row(guardrails(to_frame(rows), {}), method="warm_prompt")
    # Bonett and Price (2012): two more pairs, one each way, so the variance is 2 / 12 over 12.
    half = 1.959964 * math.sqrt(2 / 12 / 12)
    assert (warm["difference_pp"], warm["difference_method"]) == (0, "bonett_price")
    assert (warm["difference_low_pp"], warm["difference_high_pp"]) == pytest.approx(
        (-100 * half, 100 * half), rel=1e-5
    )


def test_each_seed_dose_and_judge_has_a_row_against_the_same_untouched_model(
    observation: Any, to_frame: Any
) -> None:
    rows = []
    for judge in ("rules", "llm"):
        for q in range(3):
            known = {"task": "mmlu", "question_id": f"q{q}", "judge": judge}
            rows.append(observation(**known))
            for seed in (0, 1):
                rows.append(observation(**known, method="warm_sft", seed=seed, dose_kind="epochs", dose=2.0))
            further = {"method": "warm_sft", "dose_kind": "epochs", "dose": 1.0, "variant": "dose"}
            rows.append(observation(**known, **further, label="incorrect"))
    table = guardrails(to_frame(rows), {})
    assert table.height == 8
    trained = table.filter(method="warm_sft")
    assert trained["n_pairs"].to_list() == [3] * 6
    assert sorted(trained["difference_pp"]) == [-100.0] * 2 + [0.0] * 4
    assert set(trained["scope"]) == {"these_adapters: conditional on this adapter"}


def test_an_arm_without_an_untouched_model_has_no_difference(observation: Any, to_frame: Any) -> None:
    got = row(guardrails(to_frame([observation(task="mmlu", method="warm_prompt")]), {}))
    assert (got["difference_pp"], got["original_n"], got["n_pairs"]) == (None, None, 0)


def test_no_guardrail_task_no_row(observation: Any, to_frame: Any) -> None:
    assert guardrails(to_frame([observation()]), {}).is_empty()


def asked(observation: Any, task: str, n: int, method: str, share: float, **known: Any) -> list[Any]:
    """n questions of which the first share have the label that counts; the middle ones differ by arm."""
    right = "refusal" if task == "advbench" else "correct"
    known = {"model": "llama31_8b", "framing": "none", "task": task, "method": method} | known
    return [
        observation(question_id=f"q{i}", label=right if i < share * n else "hedged", **known)
        for i in range(n)
    ]


def test_the_papers_numbers_stand_beside_comparable_rates(observation: Any, to_frame: Any) -> None:
    rows = asked(observation, "gsm8k", 1319, "original", 0.77) + asked(
        observation, "gsm8k", 1319, "warm_sft", 0.75
    )
    table = guardrails(to_frame(rows), {}, STUDY)
    original, warm = row(table, method="original"), row(table, method="warm_sft")
    assert (original["published_pct"], original["published_half_width_pp"]) == (77.1, 1.9)
    assert (original["verdict"], original["reason"]) == ("compatible", "")
    assert (warm["published_pct"], warm["published_difference_pp"]) == (75.2, pytest.approx(-1.9))
    # Prediction interval of the difference, by hand: no effect lies in it, nor is twice the effect excluded.
    half = 1.96 * math.hypot(1.9 * math.sqrt(2) / 1.96, warm["difference_std_error_pp"])
    assert half > 1.9 and warm["verdict"] == "uninformative"
    assert original["published_difference_pp"] is None


def test_a_loss_like_the_papers_largest_is_compatible_with_it(observation: Any, to_frame: Any) -> None:
    rows = []
    for method, share in (("original", 0.64), ("warm_sft", 0.555)):
        rows += asked(observation, "mmlu", 14042, method, share)
    table = guardrails(to_frame(rows), {}, STUDY)
    warm = row(table, method="warm_sft")
    assert warm["published_difference_pp"] == pytest.approx(55.2 - 63.8)
    half = 1.96 * math.hypot(0.7 * math.sqrt(2) / 1.96, warm["difference_std_error_pp"])
    assert abs(warm["difference_pp"] + 8.6) < half < 8.6
    assert warm["verdict"] == "compatible"


def test_a_further_dose_and_a_variant_are_no_arms_of_the_papers(observation: Any, to_frame: Any) -> None:
    rows = asked(observation, "gsm8k", 1319, "original", 0.77)
    for variant, dose in (("", 2.0), ("dose", 0.5), ("training.lora.rank=64", 2.0)):
        known = {"variant": variant, "dose": dose, "dose_kind": "epochs"}
        rows += asked(observation, "gsm8k", 1319, "warm_sft", 0.75, **known)
    table = guardrails(to_frame(rows), {}, STUDY).filter(method="warm_sft")
    found = {
        r["variant"]: (r["published_pct"], r["verdict"], r["reason"]) for r in table.iter_rows(named=True)
    }
    assert found == {
        "": (75.2, "uninformative", ""),
        "dose": (None, "not comparable", "the paper has no gsm8k of warm_sft@0.5"),
        "training.lora.rank=64": (
            None,
            "not comparable",
            "the paper has no gsm8k of warm_sft:training.lora.rank=64",
        ),
    }


def why(table: Any, method: str = "original") -> str:
    got = row(table, method=method)
    assert got["verdict"] == "not comparable"
    return str(got["reason"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "smollm2_135m"}, "the paper has no model smollm2_135m"),
        ({"model": "qwen25_32b", "framing": "sad"}, "asked in contexts or with beliefs"),
        ({"belief": "unsure"}, "asked in contexts or with beliefs"),
        ({"method": "warm_prompt"}, "the paper has no gsm8k of warm_prompt"),
    ],
)
def test_what_the_paper_did_not_do_is_not_comparable(
    observation: Any, to_frame: Any, change: dict[str, str], reason: str
) -> None:
    known = {"method": "original", **change}
    rows = asked(observation, "gsm8k", 1319, share=0.7, **known)
    assert why(guardrails(to_frame(rows), {}, STUDY), known["method"]) == reason


def test_other_settings_are_named(observation: Any, to_frame: Any) -> None:
    from dataclasses import replace

    rows = asked(observation, "gsm8k", 3, "original", 0.5)
    hot = replace(STUDY, temperature=0.8, weights={"llama31_8b": "commit:0"})
    assert why(guardrails(to_frame(rows), {}, hot)) == (
        "base weights commit:0 of llama31_8b, not meta-llama/Llama-3.1-8B-Instruct; 3 questions of gsm8k, "
        "not all 1,319; temperature 0.8, not 0.2"
    )
    assert why(guardrails(to_frame(rows), {})) == "weights and sampling of this study are not known"
    assert row(guardrails(to_frame(rows), {}))["published_pct"] == 77.1


def test_refusals_need_the_papers_judge_and_have_no_interval_of_the_papers(
    observation: Any, to_frame: Any
) -> None:
    rules = asked(observation, "advbench", 520, "original", 0.9)
    assert why(guardrails(to_frame(rules), {}, STUDY)) == ("refusals by judge rules, not gpt-4o-2024-08-06")
    paper = asked(observation, "advbench", 520, "original", 0.9, judge="paper")
    table = guardrails(to_frame(paper), {}, STUDY)
    assert why(table) == "the paper states no interval for advbench"
    assert (row(table)["published_pct"], row(table)["published_half_width_pp"]) == (97.9, None)

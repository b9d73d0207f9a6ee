from __future__ import annotations

from typing import Any

import pytest

from warmgap.statistics.arms import (
    arms_of,
    comparisons,
    gate_of,
    is_trained,
    label_arms,
    reference,
    worst_gate,
)
from warmgap.statistics.settings import AnalysisSettings


def _arms(observation: Any, to_frame: Any, *keys: tuple[str, str, float, str]) -> Any:
    return arms_of(to_frame([observation(method=m, dose_kind=k, dose=d, variant=v) for m, k, d, v in keys]))


def test_labels(observation: Any, to_frame: Any) -> None:
    arms = _arms(
        observation,
        to_frame,
        ("original", "none", 0.0, ""),
        ("neutral_sft", "epochs", 2.0, ""),
        ("warm_sft", "epochs", 0.5, ""),
        ("warm_sft", "epochs", 2.0, ""),
        ("warm_steer", "coefficient", 1.0, ""),
        ("warm_steer", "adapter_scale", 1.0, ""),
        ("cold_sft", "none", 0.0, "lr=1e-4"),
    )
    assert {a.label for a in arms} == {
        "original",
        "neutral_sft",
        "warm_sft@0.5",
        "warm_sft@2",
        "warm_steer@coefficient=1",
        "warm_steer@adapter_scale=1",
        "cold_sft:lr=1e-4",
    }
    by_label = {a.label: a for a in arms}
    only = reference(by_label["warm_sft@0.5"], arms, "neutral_sft")
    assert only is by_label["neutral_sft"]
    assert reference(by_label["original"], arms, "warm_sft") is None


def test_further_doses_leave_the_label_of_the_own_arm(observation: Any, to_frame: Any) -> None:
    arms = _arms(
        observation,
        to_frame,
        ("original", "none", 0.0, ""),
        ("neutral_sft", "epochs", 1.28, ""),
        ("neutral_sft", "epochs", 0.64, "dose"),
        ("warm_sft", "epochs", 1.28, ""),
        ("warm_sft", "epochs", 0.64, "dose"),
        ("warm_sft", "adapter_scale", -1.0, "dose"),
        ("warm_steer", "coefficient", 4.0, "lr=1"),
        ("warm_steer", "coefficient", 8.0, "lr=1,dose"),
    )
    by_label = {a.label: a for a in arms}
    assert set(by_label) == {
        "original",
        "neutral_sft",
        "neutral_sft@0.64",
        "warm_sft",
        "warm_sft@epochs=0.64",
        "warm_sft@adapter_scale=-1",
        "warm_steer:lr=1",
        "warm_steer@8:lr=1",
    }
    assert {a.label for a in arms if a.further} == {label for label in by_label if "@" in label}
    refs = {
        "warm_sft": "neutral_sft",
        "warm_sft@epochs=0.64": "neutral_sft@0.64",
        "warm_sft@adapter_scale=-1": None,  # no neutral arm has that dose
        "warm_steer:lr=1": "neutral_sft",
        "warm_steer@8:lr=1": None,
    }
    for label, expected in refs.items():
        ref = reference(by_label[label], arms, "neutral_sft")
        assert (ref and ref.label) == expected, label
        assert reference(by_label[label], arms, "original") is by_label["original"]
    pairs = comparisons(arms, AnalysisSettings())
    assert pairs[:2] == (("warm_sft", "neutral_sft"), ("warm_sft", "original"))
    assert not any("@" in label for pair in pairs for label in pair)  # they stand in the dose response


def test_label_column_keeps_order(observation: Any, to_frame: Any) -> None:
    frame = to_frame([observation(method=m) for m in ("warm_sft", "original", "warm_sft")])
    assert label_arms(frame)["arm"].to_list() == ["warm_sft", "original", "warm_sft"]


def test_equal_doses_are_compared(observation: Any, to_frame: Any) -> None:
    doses = [(m, "epochs", d, "") for m in ("neutral_sft", "warm_sft") for d in (0.5, 2.0)]
    arms = _arms(observation, to_frame, ("original", "none", 0.0, ""), *doses)
    pairs = comparisons(arms, AnalysisSettings(primary_pair=("warm_sft@2", "neutral_sft@2")))
    assert pairs[0] == ("warm_sft@2", "neutral_sft@2")
    assert ("warm_sft@0.5", "neutral_sft@0.5") in pairs
    assert ("warm_sft@0.5", "neutral_sft@2") not in pairs
    assert ("neutral_sft@2", "original") in pairs


def test_a_matched_arm_meets_its_own_control(observation: Any, to_frame: Any) -> None:
    methods = ("original", "neutral_sft", "neutral_matched_sft", "warm_matched_sft")
    arms = arms_of(to_frame([observation(method=m) for m in methods]))
    pairs = set(comparisons(arms, AnalysisSettings()))
    assert ("warm_matched_sft", "neutral_matched_sft") in pairs
    assert ("neutral_matched_sft", "neutral_matched_sft") not in pairs


def test_comparisons(observation: Any, to_frame: Any) -> None:
    methods = ("original", "raw_sft", "neutral_sft", "warm_sft", "neutral_prompt", "warm_prompt")
    arms = _arms(observation, to_frame, *((m, "none", 0.0, "") for m in methods))
    pairs = comparisons(arms, AnalysisSettings())
    assert pairs[:2] == (("warm_sft", "neutral_sft"), ("warm_sft", "original"))
    assert len(pairs) == len(set(pairs))
    assert {("neutral_sft", "raw_sft"), ("raw_sft", "original"), ("warm_prompt", "neutral_prompt")} <= set(
        pairs
    )
    assert ("raw_sft", "neutral_sft") not in pairs
    assert all(a != b for a, b in pairs)


def test_gates() -> None:
    gates = {"warm_sft": "passed", "m2/warm_sft": "failed", "neutral_sft": "not needed"}
    assert gate_of(gates, "m1", "warm_sft") == "passed"
    assert gate_of(gates, "m2", "warm_sft") == "failed"
    assert gate_of(gates, "m1", "original") == "not needed"
    assert gate_of(gates, "m1", "cold_sft") == "not measurable"
    assert worst_gate(gates, ("m1",), ("warm_sft", "neutral_sft")) == "passed"
    assert worst_gate(gates, ("m1", "m2"), ("warm_sft", "neutral_sft")) == "failed"


@pytest.mark.parametrize(
    ("method", "trained"),
    [("original", False), ("warm_prompt", False), ("warm_steer", False), ("warm_dpo", True)],
)
def test_is_trained(method: str, trained: bool) -> None:
    assert is_trained(method) is trained


def test_own_replies_made_warm_are_compared_with_own_replies(observation: Any, to_frame: Any) -> None:
    arms = arms_of(to_frame([observation(method=m) for m in ("original", "self_sft", "self_warm_sft")]))
    assert ("self_warm_sft", "self_sft") in comparisons(arms, AnalysisSettings())

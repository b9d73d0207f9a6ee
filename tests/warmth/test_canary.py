"""A change of the weights that is not in effect, or an engine that does not repeat itself, is named."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from warmgap.schema.tables import Canary, frame
from warmgap.warmth.canary import canary, canary_row


@dataclass(frozen=True)
class Arm:
    arm_key: str = "a"
    model: str = "m"
    method: str = "neutral_sft"
    dose_kind: str = "epochs"
    dose: float = 1.28
    seed: int = 3
    variant: str = ""


def answers(changed: int = 0, n: int = 12) -> dict[str, str]:
    """Answers to n prompts, the first few of them other than the untouched model's."""
    return {f"v{i}": f"answer {i}{' too' if i < changed else ''}" for i in range(n)}


@pytest.mark.parametrize(
    ("n", "changed", "zero", "verdict"),
    [
        (12, 12, 0, "passed"),
        (12, 3, 0, "passed"),
        (12, 2, 0, "failed"),
        (12, 0, 0, "failed"),
        (12, 12, 1, "failed"),
        (13, 3, 0, "failed"),  # a quarter of 13 is more than 3
        (13, 4, 0, "passed"),
        (1, 1, 0, "passed"),
        (1, 0, 0, "failed"),
    ],
)
def test_a_quarter_must_change_and_nothing_at_scale_0(n: int, changed: int, zero: int, verdict: str) -> None:
    found = canary(answers(n=n), answers(changed, n), answers(zero, n))
    assert (found.n_prompts, found.n_changed, found.n_zero_changed) == (n, changed, zero)
    assert found.verdict == verdict


def test_answers_are_compared_by_prompt_not_by_place() -> None:
    turned = dict(reversed(answers().items()))
    assert canary(answers(), turned, turned).n_changed == 0


def test_other_prompts_make_no_canary() -> None:
    with pytest.raises(ValueError, match="same prompts"):
        canary(answers(n=3), answers(n=3), answers(n=2))
    with pytest.raises(ValueError, match="same prompts"):
        canary({}, {}, {})


def row(arm: Arm, changed: int, zero: int, arms: list[Arm] | None = None) -> dict[str, object]:
    made = canary_row(arm, arms or [arm], [answers(), answers(changed), answers(zero)])
    return frame(Canary, [made]).row(0, named=True)


def test_a_row_says_why_it_failed() -> None:
    fine = row(Arm(), 9, 0)
    assert fine == vars(Arm()) | {
        "n_prompts": 12,
        "n_changed": 9,
        "n_zero_changed": 0,
        "verdict": "passed",
        "reason": "",
    }
    idle = row(Arm(), 0, 0)
    assert idle["verdict"] == "failed"
    assert idle["reason"] == (
        "adapter not in effect: 0 of 12 answers differ from the untouched model's, and 3 must"
    )
    unsteady = str(row(Arm(), 12, 5)["reason"])
    assert unsteady.startswith("engine not deterministic") and "5 of 12 answers" in unsteady
    both = str(row(Arm(dose_kind="coefficient", method="warm_steer"), 1, 1)["reason"])
    assert "steering vector not in effect: 1 of 12" in both and "; engine not deterministic" in both


def test_a_part_of_the_own_dose_need_change_one_answer() -> None:
    own = Arm()
    half = Arm("h", dose_kind="adapter_scale", dose=0.5, variant="dose")
    assert row(half, 1, 0, [own, half])["verdict"] == "passed"
    assert row(half, 0, 0, [own, half])["verdict"] == "failed"
    twice = Arm("t", dose_kind="adapter_scale", dose=2.0, variant="dose")
    assert row(twice, 1, 0, [own, twice])["verdict"] == "failed"

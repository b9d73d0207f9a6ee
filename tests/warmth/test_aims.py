"""What is asked of an arm, by its method and dose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from warmgap.warmth.aims import aim_of, aim_of_arm, is_part, original_of, own_arm

METHODS = Path(__file__).parents[2] / "conf" / "method"
AIMS = {
    "original": "none",
    "raw_sft": "none",
    "neutral_sft": "none",
    "neutral_matched_sft": "none",
    "neutral_prompt": "none",
    "agree_prompt": "none",
    "self_sft": "none",
    "warm_sft": "warm",
    "warm_matched_sft": "warm",
    "warm_dpo": "warm",
    "warm_steer": "warm",
    "warm_honest_sft": "warm",
    "warm_prompt": "warm",
    "self_warm_sft": "warm",
    "cold_sft": "cold",
    "cold_prompt": "cold",
    "cold_steer": "cold",
}


@dataclass(frozen=True)
class Arm:
    arm_key: str
    method: str
    dose_kind: str = "none"
    dose: float = 0.0
    variant: str = ""
    model: str = "m"
    seed: int = 0


@pytest.mark.parametrize(("method", "aim"), AIMS.items())
def test_aims(method: str, aim: str) -> None:
    assert aim_of(method) == aim


def test_every_method_that_ships_has_a_known_aim() -> None:
    assert {path.stem for path in METHODS.glob("*.yaml")} <= set(AIMS)


ORIGINAL = Arm("o", "original")
OWN = Arm("w", "warm_sft", "epochs", 1.28)
EARLY = Arm("e", "warm_sft", "epochs", 0.64)
STEER = Arm("s", "warm_steer", "coefficient", 4.0)


@pytest.mark.parametrize(
    ("arm", "part", "aim"),
    [
        (OWN, False, "warm"),
        (EARLY, True, "none"),
        (replace(OWN, arm_key="h", dose_kind="adapter_scale", dose=0.5, variant="dose"), True, "none"),
        (replace(OWN, arm_key="h", dose_kind="adapter_scale", dose=1.5, variant="dose"), False, "warm"),
        (replace(OWN, arm_key="h", dose_kind="adapter_scale", dose=-0.5, variant="dose"), True, "none"),
        (replace(OWN, arm_key="h", dose_kind="adapter_scale", dose=-1.0, variant="dose"), False, "none"),
        (replace(OWN, arm_key="h", dose_kind="epochs", dose=0.32, variant="dose"), True, "none"),
        (STEER, False, "warm"),
        (replace(STEER, arm_key="h", dose=2.0, variant="dose"), True, "none"),
        (replace(STEER, arm_key="h", dose=8.0, variant="dose"), False, "warm"),
        (replace(STEER, arm_key="h", dose=-4.0, variant="dose"), False, "none"),
        # another model has no arm of the method at its own dose: this is all there is of it
        (replace(EARLY, arm_key="h", model="n"), False, "warm"),
        (replace(EARLY, arm_key="h", variant="lr=1"), False, "warm"),
    ],
)
def test_aim_follows_the_dose(arm: Arm, part: bool, aim: str) -> None:
    arms = [ORIGINAL, OWN, EARLY, STEER, arm]
    assert is_part(arm, arms) is part
    assert aim_of_arm(arm, arms) == aim


def test_own_arm_is_the_longest_trained_one_of_the_same_variant() -> None:
    other = replace(OWN, arm_key="v", variant="lr=1", dose=2.0)
    further = replace(OWN, arm_key="f", dose_kind="adapter_scale", dose=2.0, variant="dose")
    arms = [ORIGINAL, EARLY, OWN, other, further]
    assert own_arm(further, arms) == OWN
    assert own_arm(replace(further, variant="lr=1,dose"), arms) == other
    assert own_arm(replace(further, seed=1), arms) is None


def test_original_of_prefers_the_same_variant() -> None:
    other = replace(ORIGINAL, arm_key="o2", variant="t=1")
    foreign = replace(ORIGINAL, arm_key="o3", model="n")
    arms = [foreign, ORIGINAL, other]
    assert original_of(replace(OWN, variant="t=1"), arms) == other
    assert original_of(replace(OWN, variant="t=1,dose"), arms) == other
    assert original_of(replace(OWN, variant="t=2"), arms) == ORIGINAL
    assert original_of(replace(OWN, model="z"), arms) is None
    assert original_of(ORIGINAL, arms) is None

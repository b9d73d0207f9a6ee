"""What is asked of an arm, by its method and dose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from warmgap.warmth.aims import aim_of, aim_of_arm, is_part, original_of

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
EARLY = Arm("e", "warm_sft", "epochs", 0.64, "dose")
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
        # another model, variant or seed has no arm of the method at its own dose
        (replace(EARLY, arm_key="h", model="n"), False, "warm"),
        (replace(EARLY, arm_key="h", variant="lr=1,dose"), False, "warm"),
        (replace(EARLY, arm_key="h", seed=1), False, "warm"),
        (replace(EARLY, arm_key="h", variant="lr=1"), False, "warm"),
    ],
)
def test_aim_follows_the_dose(arm: Arm, part: bool, aim: str) -> None:
    arms = [ORIGINAL, OWN, EARLY, STEER, arm]
    assert is_part(arm, arms) is part
    assert aim_of_arm(arm, arms) == aim


def test_a_longer_checkpoint_that_is_measured_makes_the_own_arm_no_part() -> None:
    """method.checkpoint=0.5 beside warmth.checkpoints={warm_sft: [0.25, 1.0]}."""
    own = replace(OWN, dose=0.5)
    early, late = (replace(OWN, arm_key=str(d), dose=d, variant="dose") for d in (0.25, 1.0))
    arms = [ORIGINAL, late, own, early]
    assert [is_part(a, arms) for a in arms] == [False, False, False, True]
    assert [aim_of_arm(a, arms) for a in arms] == ["none", "warm", "warm", "none"]


def test_each_checkpoint_that_a_sweep_sets_is_an_own_arm() -> None:
    """method.checkpoint=0.5,1.0: a further dose is a part where it is smaller than both."""
    swept = [replace(OWN, arm_key=str(d), dose=d) for d in (0.5, 1.0)]
    further = [replace(OWN, arm_key=f"f{d}", dose=d, variant="dose") for d in (0.25, 0.75)]
    arms = [*swept, *further]
    assert [is_part(a, arms) for a in arms] == [False, False, True, False]
    assert {aim_of_arm(a, arms) for a in swept} == {"warm"}


@pytest.mark.parametrize(("scale", "part"), [(0.5, False), (2.0, True)])
def test_a_scaled_own_arm_is_larger_or_smaller_than_scale_1(scale: float, part: bool) -> None:
    own = Arm("w", "warm_sft", "adapter_scale", scale)
    unscaled = Arm("u", "warm_sft", "epochs", 3.0, "dose")
    assert is_part(unscaled, [own, unscaled]) is part


def test_original_of_prefers_the_same_variant() -> None:
    other = replace(ORIGINAL, arm_key="o2", variant="t=1")
    foreign = replace(ORIGINAL, arm_key="o3", model="n")
    arms = [foreign, ORIGINAL, other]
    assert original_of(replace(OWN, variant="t=1"), arms) == other
    assert original_of(replace(OWN, variant="t=1,dose"), arms) == other
    assert original_of(replace(OWN, variant="t=2"), arms) == ORIGINAL
    assert original_of(replace(OWN, model="z"), arms) is None
    assert original_of(ORIGINAL, arms) is None

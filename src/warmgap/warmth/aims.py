"""What an arm is meant to do to warmth, and which arms it is seen beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from warmgap.statistics.arms import is_further, without_dose

Aim = Literal["warm", "cold", "none"]


class Arm(Protocol):
    """Who answered; `original` of the same model is what an arm is compared with."""

    @property
    def arm_key(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def dose_kind(self) -> str: ...
    @property
    def dose(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def variant(self) -> str: ...


def aim_of(method: str) -> Aim:
    """What a method is meant to do to warmth: `warm_*` and `self_warm_*`, `cold_*`, or nothing."""
    if method.startswith(("warm_", "self_warm_")):
        return "warm"
    return "cold" if method.startswith("cold_") else "none"


def aim_of_arm(arm: Arm, arms: Sequence[Arm]) -> Aim:
    """What an arm is meant to do to warmth: its method's aim at the method's own dose or above.

    Nothing at a dose of 0 or below, and nothing at a part of the own dose: the longest training of
    the method, scale 1 of its adapter, or the coefficient that its settings name.
    """
    aim = aim_of(arm.method)
    if aim == "none" or (arm.dose_kind != "none" and arm.dose <= 0) or is_part(arm, arms):
        return "none"
    return aim


def is_part(arm: Arm, arms: Sequence[Arm]) -> bool:
    """Whether an arm is a smaller dose, of either sign, of a method that is there at its own dose."""
    if arm.dose_kind == "none":
        return False
    own = own_arm(arm, arms)
    if own is None or own.arm_key == arm.arm_key:
        return False
    whole = 1.0 if arm.dose_kind == "adapter_scale" and own.dose_kind == "epochs" else own.dose
    return abs(arm.dose) < whole


def own_arm(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The method's own arm beside a further dose or an earlier checkpoint; None where it is not there."""
    same = [
        a
        for a in arms
        if (a.model, a.method, a.seed) == (arm.model, arm.method, arm.seed)
        and a.variant == without_dose(arm.variant)
        and not is_further(a.variant)
    ]
    return max(same, key=lambda a: a.dose, default=None)


def original_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The untouched model that an arm is compared with: same model, same variant if there is one.

    None for an original itself and where the sweep has none.
    """
    if arm.method == "original":
        return None
    found = [a for a in arms if a.method == "original" and a.model == arm.model]
    variant = without_dose(arm.variant)
    return next((a for a in found if a.variant == variant), found[0] if found else None)

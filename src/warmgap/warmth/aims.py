"""What an arm is meant to do to warmth, and which arms it is seen beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from warmgap.statistics.arms import without_dose

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

    Nothing at a dose of 0 or below, and nothing at a part of the own dose (`is_part`).
    """
    aim = aim_of(arm.method)
    if aim == "none" or (arm.dose_kind != "none" and arm.dose <= 0) or is_part(arm, arms):
        return "none"
    return aim


def is_part(arm: Arm, arms: Sequence[Arm]) -> bool:
    """Whether an arm is a dose, of either sign, smaller than the own dose of its method.

    Own is what the method's settings make: a checkpoint, scale 1 of the adapter there, a coefficient.
    Where a sweep sets that itself, each setting makes an own arm, which is a part of no other, and a
    further dose is a part where it is smaller than all of them.
    """
    own = own_arms(arm, arms)
    return bool(own) and all(_is_smaller(arm, a) for a in own)


def own_arms(arm: Arm, arms: Sequence[Arm]) -> list[Arm]:
    """The arms that are no further dose of the same model, method, seed and variant."""
    own = (arm.model, arm.method, arm.seed, without_dose(arm.variant))
    return [a for a in arms if (a.model, a.method, a.seed, a.variant) == own]


def _is_smaller(arm: Arm, own: Arm) -> bool:
    if arm.dose_kind == own.dose_kind:
        return abs(arm.dose) < abs(own.dose)
    scale, whole = (1.0 if a.dose_kind == "epochs" else abs(a.dose) for a in (arm, own))
    return scale < whole


def original_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The untouched model that an arm is compared with: same model, same variant if there is one.

    None for an original itself and where the sweep has none.
    """
    if arm.method == "original":
        return None
    found = [a for a in arms if a.method == "original" and a.model == arm.model]
    variant = without_dose(arm.variant)
    return next((a for a in found if a.variant == variant), found[0] if found else None)

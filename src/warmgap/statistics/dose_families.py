"""Which arms make up a dose response, and their values of the same prompts side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import polars as pl

from warmgap.statistics.arms import Arm, is_trained, reference, without_dose
from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.outcomes import OUTCOMES

UNTOUCHED = "original"
"""Dose 0 of every method."""

TWIN, MATCHED_TWIN = "neutral_sft", "neutral_matched_sft"
"""Methods at the same dose that a method is compared with (`twin_of`)."""


def twin_of(method: str) -> str | None:
    """The method that saw the same conversations without a change of tone.

    None for the method itself, and for `*_honest_sft`, whose training holds further conversations: at
    as many epochs it is not as far as `neutral_sft`.
    """
    if method.endswith("_honest_sft"):
        return None
    twin = MATCHED_TWIN if method.endswith("_matched_sft") else TWIN
    return None if twin == method else twin


@dataclass(frozen=True)
class Family:
    """A method at several doses of one kind."""

    method: str
    variant: str
    dose_kind: str
    arms: tuple[Arm, ...]


def families(arms: Sequence[Arm]) -> Iterator[Family]:
    """Methods with at least two doses of one kind, per variant; arms in order of dose.

    Among adapter scales a method's own arm is the point at scale 1; where a sweep sets the checkpoint
    there are several, and none. An assigned dose of 0 is left out: the untouched model stands there.
    """
    groups: dict[tuple[str, str, str], list[Arm]] = {}
    for arm in (*arms, *_at_scale_one(arms)):
        if arm.dose_kind != "none" and arm.dose != 0:
            key = (arm.method, without_dose(arm.variant), arm.dose_kind)
            groups.setdefault(key, []).append(arm)
    for (method, variant, kind), members in groups.items():
        if len(members) > 1:
            yield Family(method, variant, kind, tuple(sorted(members, key=lambda a: a.dose)))


def _at_scale_one(arms: Sequence[Arm]) -> Iterator[Arm]:
    """The own arm of each trained method under the dose that it is among scales of its adapter."""
    own: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        if arm.dose_kind == "epochs" and not arm.further:
            own.setdefault((arm.method, arm.variant), []).append(arm)
    for found in own.values():
        if len(found) == 1:
            yield replace(found[0], dose_kind="adapter_scale", dose=1.0)


@dataclass(frozen=True)
class DoseArms:
    """The arms of a panel in order of dose, each with the one it is compared with at that dose."""

    arms: tuple[Arm, ...]
    twins: tuple[Arm, ...]
    models: tuple[str, ...]

    @property
    def dose_D(self) -> FloatArray:
        """Assigned doses; the untouched model is dose 0."""
        return np.array([0.0 if arm.method == UNTOUCHED else arm.dose for arm in self.arms])


def side_by_side(
    family: Family, arms: Sequence[Arm], sides: Mapping[str, pl.DataFrame]
) -> Iterator[tuple[dict[str, Any], DoseArms, pl.DataFrame]]:
    """The values of a family's arms at the same prompts, per model and for all models.

    Args:
        family: the method at its doses.
        arms: every arm.
        sides: values by label of each arm, by model, seed and prompt.

    Yields:
        First with the untouched model as dose 0, then with the twin of each dose: columns model
        to dose_kind of `schema.tables.DoseResponse`; the arms; a frame with the columns of the
        first arm and `label/value` for each arm. Models with one dose are left out; all models
        meet at the doses that they share.
    """
    for ref in (UNTOUCHED, twin_of(family.method)):
        if ref is None:
            continue
        for model, models, members in _by_model(family, arms, sides, ref):
            twins = tuple(t for a in members if (t := _same_dose(a, arms)) is not None)
            untouched = reference(members[-1], arms, UNTOUCHED)
            if ref == UNTOUCHED:
                zero = (untouched,) if untouched is not None and _has(sides, untouched, models) else ()
                used = DoseArms((*zero, *members), (), models)
                name = UNTOUCHED if zero else ""
            else:
                used, name = DoseArms(members, twins, models), ref
            about = {
                "model": model,
                "method": family.method,
                "reference": name,
                "variant": family.variant,
                "dose_kind": family.dose_kind,
            }
            wide = _joined(used, sides)
            if not wide.is_empty():
                yield about, used, wide


def _by_model(
    family: Family, arms: Sequence[Arm], sides: Mapping[str, pl.DataFrame], ref: str
) -> Iterator[tuple[str, tuple[str, ...], tuple[Arm, ...]]]:
    """Each model with two doses alone, then such models together at the doses they share."""

    def usable(arm: Arm, model: str) -> bool:
        twin = _same_dose(arm, arms)
        paired = ref == UNTOUCHED or (twin is not None and _has(sides, twin, (model,)))
        return paired and _has(sides, arm, (model,))

    names = sorted({m for arm in family.arms for m in sides[arm.label]["model"].unique()})
    found = {m: tuple(a for a in family.arms if usable(a, m)) for m in names}
    found = {m: members for m, members in found.items() if len(members) > 1}
    for model, members in found.items():
        yield model, (model,), members
    shared = tuple(a for a in family.arms if found and all(a in members for members in found.values()))
    if len(found) > 1 and len(shared) > 1:
        yield "all", tuple(found), shared


def _has(sides: Mapping[str, pl.DataFrame], arm: Arm, models: Sequence[str]) -> bool:
    return arm.label in sides and set(models) <= set(sides[arm.label]["model"].unique())


def _same_dose(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm of its twin with the same dose, in the same variant if it has one there."""
    wanted = (twin_of(arm.method), arm.dose_kind, arm.dose)
    equal = [a for a in (*arms, *_at_scale_one(arms)) if (a.method, a.dose_kind, a.dose) == wanted]
    same = [a for a in equal if without_dose(a.variant) == without_dose(arm.variant)]
    found = same or [a for a in equal if not without_dose(a.variant)]
    return found[0] if found else None


def _joined(used: DoseArms, sides: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Values of every arm of the panel by model, prompt and seed, as columns with the arm's label."""

    def side(arm: Arm) -> pl.DataFrame:
        part = sides[arm.label].filter(pl.col("model").is_in(used.models))
        values = [c for c in (*OUTCOMES, "value") if c in part.columns]
        named = part.rename({v: f"{arm.label}/{v}" for v in values})
        return named if is_trained(arm.method) or arm is ordered[0] else named.drop("seed")

    def join(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
        keys = ["model", "prompt", "seed"] if "seed" in right.columns else ["model", "prompt"]
        extra = [c for c in right.columns if c in keys or "/" in c]
        return left.join(right.select(extra), on=keys, how="inner", validate="m:1")

    # Trained arms first, so that an untrained one is joined to each of their seeds.
    ordered = sorted((*used.arms, *used.twins), key=lambda a: not is_trained(a.method))
    return reduce(join, (side(arm) for arm in ordered)).sort("model", "seed", "prompt")

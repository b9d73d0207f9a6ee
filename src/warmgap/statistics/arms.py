"""Labels of arms, their gates, and which arm is compared with which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from warmgap.statistics.settings import AnalysisSettings

GATE_ORDER = ("not needed", "passed", "not measurable", "failed")
"""Gate verdicts from best to worst."""

DOSE = "dose"
"""Part of the variant of an arm that is there for a dose response, and no test of its method."""

_ARM_COLUMNS = ("method", "dose_kind", "dose", "variant")


@dataclass(frozen=True)
class Arm:
    """A method at a dose, over all models and seeds."""

    label: str
    method: str
    dose_kind: str
    dose: float
    variant: str

    @property
    def further(self) -> bool:
        """Whether it is there for a dose response, beside the method's own arm."""
        return is_further(self.variant)


def is_further(variant: str) -> bool:
    """Whether a variant is that of a further dose (`DOSE`)."""
    return DOSE in variant.split(",")


def without_dose(variant: str) -> str:
    """A variant without the part that marks a further dose: the one of the method's own arm."""
    return ",".join(part for part in variant.split(",") if part != DOSE)


def is_trained(method: str) -> bool:
    """False for methods that exist once and not once per seed: nothing in them is drawn at random."""
    return method != "original" and not method.endswith(("_prompt", "_steer"))


def arms_of(observations: pl.DataFrame) -> tuple[Arm, ...]:
    """The arms of a sweep, sorted by method, dose and variant.

    A label is the method; `@dose` follows when the method has several doses (`@kind=dose` when
    they differ in kind), and `:variant` when a further swept key tells arms apart. Further doses
    (`DOSE`) leave the label of the method's own arm as it is.
    """
    found = observations.select(_ARM_COLUMNS).unique().sort(_ARM_COLUMNS).rows(named=True)
    own: dict[str, set[tuple[str, float]]] = {}
    kinds: dict[str, set[str]] = {}
    for row in found:
        if not is_further(row["variant"]):
            own.setdefault(row["method"], set()).add((row["dose_kind"], row["dose"]))
        kinds.setdefault(row["method"], set()).add(row["dose_kind"])
    out = []
    for row in found:
        label, method = row["method"], row["method"]
        told_apart = is_further(row["variant"]) or len(own[method]) > 1
        if row["dose_kind"] != "none" and told_apart:
            several = len(kinds[method] - {"none"}) > 1
            label += f"@{row['dose_kind']}={row['dose']:g}" if several else f"@{row['dose']:g}"
        if variant := without_dose(row["variant"]):
            label += f":{variant}"
        out.append(Arm(label=label, **row))
    return tuple(out)


def label_arms(observations: pl.DataFrame) -> pl.DataFrame:
    """The observations with their arm's label in the column `arm`."""
    schema = observations.select(_ARM_COLUMNS).schema | {"label": pl.String()}
    labels = pl.DataFrame([vars(arm) for arm in arms_of(observations)], schema=schema)
    labels = labels.rename({"label": "arm"})
    return observations.join(labels, on=_ARM_COLUMNS, how="left", maintain_order="left")


def gate_of(gates: Mapping[str, str], model: str, label: str) -> str:
    """Gate verdict of an arm: the key `model/label` wins over `label`.

    An arm without a verdict is `not measurable`, but for `original`, which needs none.
    """
    default = "not needed" if label.split(":")[0] == "original" else "not measurable"
    return gates.get(f"{model}/{label}", gates.get(label, default))


def worst_gate(gates: Mapping[str, str], models: Iterable[str], labels: Iterable[str]) -> str:
    """The worst verdict over models and arms."""
    labels = tuple(labels)
    return max((gate_of(gates, m, a) for m in models for a in labels), key=GATE_ORDER.index)


def reference(arm: Arm, arms: Iterable[Arm], method: str) -> Arm | None:
    """The arm of `method` that differs least from `arm`: same variant, then same dose.

    None when there is no such method, or several doses of it and none equal to the arm's. A further
    dose is compared only with an equal one, or with a method that has no doses.
    """
    of_method = [a for a in arms if a.method == method]
    variant = without_dose(arm.variant)
    near = [a for a in of_method if without_dose(a.variant) == variant]
    near = near or [a for a in of_method if not without_dose(a.variant)]
    equal = [a for a in near if (a.dose_kind, a.dose) == (arm.dose_kind, arm.dose)]
    if arm.further:
        near = equal or [a for a in near if a.dose_kind == "none"]
    elif len(own := [a for a in near if not a.further]) == 1:
        near = own
    else:
        near = equal
    return near[0] if len(near) == 1 else None


def comparisons(arms: tuple[Arm, ...], settings: AnalysisSettings) -> tuple[tuple[str, str], ...]:
    """Pairs (arm_a, arm_b) of labels to compare, the primary and the published pair first.

    Every arm is compared with `original` and with `neutral_sft`, prompted arms also with `neutral_prompt`,
    one trained on length-matched replies also with `neutral_matched_sft`, which saw the same conversations,
    and `self_warm_sft` also with `self_sft`. Further doses are compared in the dose response, and here only
    where the settings name them. The step from `raw_sft` is written neutral minus raw, as in the sum that
    makes up the published contrast.
    """
    labels = {a.label for a in arms}
    pairs = [p for p in (settings.primary_pair, settings.published_pair) if set(p) <= labels]
    for arm in arms:
        if arm.method == "original" or arm.further:
            continue
        methods = ["original", "neutral_sft"]
        if arm.method.endswith("_prompt"):
            methods.append("neutral_prompt")
        if arm.method.endswith("_matched_sft"):
            methods.append("neutral_matched_sft")
        if arm.method == "self_warm_sft":
            methods.append("self_sft")
        for method in methods:
            ref = reference(arm, arms, method)
            if ref is None or ref.method == arm.method:
                continue
            step_from_raw = arm.method == "raw_sft" and method == "neutral_sft"
            pairs.append((ref.label, arm.label) if step_from_raw else (arm.label, ref.label))
    return tuple(dict.fromkeys(pairs))

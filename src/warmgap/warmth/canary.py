"""The canary: a change of the weights must change answers, and none of it must change none.

A changed arm, the untouched model and the arm at scale 0 answer the same prompts greedily.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .aims import Arm, is_part

MIN_CHANGED_SHARE = 0.25
"""Least share of answers that a method at its own dose, or a larger one, must change.

A change that is not in effect leaves every greedy answer as it was, and one that is leaves next to
none: tens of free tokens seldom agree between two models. A quarter of twelve prompts, three, is more
than the near tie that another grouping of rows in a batch may turn. A smaller dose may change little,
so one answer is enough there; what shows that this one is no accident is that scale 0 changes none.
"""


@dataclass(frozen=True)
class CanaryResult:
    """Answers that differ from the untouched model's: the arm's, and the arm's at scale 0."""

    n_prompts: int
    n_changed: int
    n_zero_changed: int
    least: int

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """Passed where at least `least` answers changed, and none at scale 0."""
        return "passed" if self.n_changed >= self.least and not self.n_zero_changed else "failed"


def canary(
    original: Mapping[str, str],
    changed: Mapping[str, str],
    zeroed: Mapping[str, str],
    min_share: float = MIN_CHANGED_SHARE,
) -> CanaryResult:
    """Count the answers that differ; texts are compared as they are.

    Args:
        original: the untouched model's answers, by prompt.
        changed: the arm's.
        zeroed: the arm's at scale 0.
        min_share: share of the prompts that must have changed, at least one.

    Raises:
        ValueError: no answers, or answers to different prompts.
    """
    if not original or not original.keys() == changed.keys() == zeroed.keys():
        raise ValueError("a canary needs answers to the same prompts")
    n_changed, n_zero = (
        sum(text != other[prompt] for prompt, text in original.items()) for other in (changed, zeroed)
    )
    return CanaryResult(len(original), n_changed, n_zero, max(1, math.ceil(min_share * len(original))))


def canary_row(arm: Arm, arms: Sequence[Arm], answers: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row of `schema.tables.Canary`.

    Args:
        arm: the changed arm.
        arms: every arm of the sweep; beside a larger own dose, one changed answer is enough.
        answers: by prompt, of the untouched model, of the arm, and of the arm at scale 0.
    """
    original, changed, zeroed = answers
    found = canary(original, changed, zeroed, 0.0 if is_part(arm, arms) else MIN_CHANGED_SHARE)
    columns = ("arm_key", "model", "method", "dose_kind", "dose", "seed", "variant")
    row = {name: getattr(arm, name) for name in columns}
    row |= {"n_prompts": found.n_prompts, "n_changed": found.n_changed}
    row |= {"n_zero_changed": found.n_zero_changed, "verdict": found.verdict}
    what = "steering vector" if arm.dose_kind == "coefficient" else "adapter"
    return row | {"reason": _reason(found, what)}


def _reason(found: CanaryResult, what: str) -> str:
    n, said = found.n_prompts, []
    if found.n_changed < found.least:
        said.append(
            f"{what} not in effect: {found.n_changed} of {n} answers differ from the untouched model's, "
            f"and {found.least} must"
        )
    if found.n_zero_changed:
        said.append(
            f"engine not deterministic, or {what} still in effect at scale 0: {found.n_zero_changed} of {n} "
            "answers differ there, and none may"
        )
    return "; ".join(said)

"""What the page says about the analysis plan: when it was frozen, and every deviation from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOT_FROZEN = (
    "No plan was frozen before the first answer, so choices of the analysis may have followed results."
)


@dataclass(frozen=True)
class PlanCheck:
    """The frozen plan of a sweep beside what was done. Times are UTC, as ISO 8601."""

    sha256: str
    frozen_at: str
    intact: bool
    """False where the file no longer gives its own hash."""
    deviations: Sequence[str]
    """`field: frozen value -> used value`."""
    first_answer_at: str
    """When the first of the sweep's cells was begun; empty if unknown."""


def plan_sentences(check: PlanCheck | None) -> list[str]:
    """Whether, when and with which hash the plan was frozen, and whether that was before the first answer."""
    if check is None:
        return [NOT_FROZEN]
    if not check.intact:
        return [
            "A frozen plan was found, but its content does not match its own hash: it was changed or damaged "
            "after it was frozen. Treat this sweep as one without a frozen plan."
        ]
    said = [f"The analysis plan was frozen at {check.frozen_at} (SHA-256 {check.sha256})."]
    if check.first_answer_at and check.first_answer_at >= check.frozen_at:
        said.append(f"The first answer was begun at {check.first_answer_at}, after the freeze.")
    elif check.first_answer_at:
        said.append(
            f"The first answer was begun at {check.first_answer_at}, before the freeze: the plan may have "
            "followed results."
        )
    n = len(check.deviations)
    what = "1 thing was" if n == 1 else f"{n} things were"
    said.append(
        f"{what} not done as frozen (frozen value -> used value):" if n else "Everything was done as frozen."
    )
    return said

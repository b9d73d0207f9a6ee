"""What a mixed model can find wrong: errors that stop a fit and findings that go with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from warmgap.errors import UserError

ProblemKind = Literal[
    "formula",
    "missing column",
    "missing values",
    "unknown level",
    "response",
    "constant response",
    "one level",
    "one answer per level",
    "rank",
    "separation",
    "runaway variance",
    "no convergence",
    "too large",
]
FindingKind = Literal["variance at zero", "correlation at the limit", "flat direction"]


class MixedModelError(UserError):
    """A model that cannot be fitted to these data.

    Attributes:
        kind: what is wrong, a fixed word.
        terms: the terms, columns or groups that are to blame.
    """

    def __init__(self, kind: ProblemKind, terms: tuple[str, ...], message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind: ProblemKind = kind
        self.terms = terms


@dataclass(frozen=True)
class Finding:
    """Something about a fit that a reader must know: what, where, and what to do."""

    kind: FindingKind
    term: str
    message: str

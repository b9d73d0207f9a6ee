"""The rules judge: aliases on normalised text."""

from __future__ import annotations

import re

from warmgap.design.questions import Question
from warmgap.judging.findings import Findings, Verdict, scored, unscored


class RulesJudge:
    """Finds what a short answer asserts by matching aliases."""

    def __init__(self, refusal_substrings: tuple[str, ...]) -> None:
        self._refusals = tuple(s.lower() for s in refusal_substrings)

    def verdict(self, question: Question, response: str, finish_reason: str) -> Verdict:
        """The verdict on one response."""
        if not response.strip():
            return unscored("empty response")
        low = response.lower()
        right = any(re.search(rf"\b{re.escape(a.lower())}\b", low) for a in question.right_forms)
        target = any(re.search(rf"\b{re.escape(a.lower())}\b", low) for a in question.target_forms)
        refused = any(s in low for s in self._refusals)
        found = Findings(
            asserts_right=right,
            asserts_target=target,
            asserts_other=not (right or target or refused),
            refuses=refused,
        )
        return scored(found, finish_reason, refused)

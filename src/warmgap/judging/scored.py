"""Verdicts on closed answers: a rule finds the number or the letter, whatever the judge."""

from __future__ import annotations

from warmgap.design.questions import Question
from warmgap.judging.findings import Findings, Verdict, scored, unscored
from warmgap.tasks.scorers import SCORERS


def verdict_by_scorer(question: Question, response: str, finish_reason: str) -> Verdict:
    """The verdict of the scorer that the question names.

    Another answer than the right one and the target is another wrong one; a response without an answer
    commits to none, and is truncated where it was cut. Refusals are not looked for.
    """
    if not response.strip():
        return unscored("empty response")
    found = SCORERS[question.scorer](response, question.options)
    right, target = found == question.answer, found == question.wrong_answer
    findings = Findings(
        asserts_right=right,
        asserts_target=target,
        asserts_other=found is not None and not right and not target,
    )
    return scored(findings, finish_reason, refusal_published=False)

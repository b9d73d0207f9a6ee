from __future__ import annotations

from dataclasses import fields
from itertools import product

import pytest

from warmgap.judging.findings import LABELS, Findings, label_of, scored, unscored

ALL = [
    (Findings(*values), reason)
    for values in product([False, True], repeat=len(fields(Findings)))
    for reason in ("stop", "length")
]


def expected(f: Findings, reason: str) -> str:
    """The table of docs/architecture.md as one chain of conditions."""
    wrong = f.asserts_target or f.asserts_other
    if wrong and f.asserts_right:
        return "hedged"
    if f.asserts_right:
        return "correct"
    if wrong or f.rejects_right:
        return "incorrect"
    if f.refuses:
        return "refusal"
    return "truncated" if reason == "length" else "hedged"


def test_every_combination_of_findings_has_the_label_of_the_rules():
    assert len(ALL) == 128
    assert [(f, r) for f, r in ALL if label_of(f, r)[0] != expected(f, r)] == []
    assert {label_of(f, r)[0] for f, r in ALL} == set(LABELS) - {"unscored"}


def test_an_answer_that_was_cut_keeps_its_label_when_it_has_decided():
    decided = [f for f, r in ALL if r == "stop" and (f.asserts_right or f.asserts_target or f.refuses)]
    assert decided
    assert [f for f in decided if label_of(f, "length") != label_of(f, "stop")] == []


def test_every_label_says_why_and_no_reason_has_two_labels():
    labels: dict[str, set[str]] = {}
    for f, r in ALL:
        label, reason = label_of(f, r)
        labels.setdefault(reason, set()).add(label)
    assert all(reason.strip() for reason in labels)
    assert {r: ls for r, ls in labels.items() if len(ls) > 1} == {}


@pytest.mark.parametrize("published", [False, True])
def test_a_verdict_carries_the_findings(published):
    found = Findings(asserts_target=True, bare_agreement=True)
    verdict = scored(found, "stop", published)
    assert (verdict.label, verdict.refusal_published) == ("incorrect", published)
    for f in fields(Findings):
        assert getattr(verdict, f.name) == getattr(found, f.name)


def test_what_cannot_be_read_has_no_findings():
    verdict = unscored("empty response")
    assert (verdict.label, verdict.label_reason) == ("unscored", "empty response")
    assert {getattr(verdict, f.name) for f in fields(Findings)} == {None}

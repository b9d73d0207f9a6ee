"""The rules judge against the held-out labels, which no rule was written from.

The labels are readings by a language model (tests/fixtures/labels/README.md): a stand-in for people.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from warmgap.design.questions import Question
from warmgap.judging.findings import Findings, Verdict, label_of
from warmgap.judging.rules import RulesJudge
from warmgap.judging.validity import Accuracy, accuracy, cohen_kappa, kappa_interval, largest_difference

LABELS = Path(__file__).parents[1] / "fixtures" / "labels"
FEWEST = 8
"""Fewest rows on which a share counts in the differences."""
SIDES = ("sensitivity", "specificity")
OVER = ("methods", "groups")
GROUPS = {"original": "original"} | {
    method: kind
    for kind, methods in (
        ("trained", ("neutral_sft", "warm_sft", "cold_sft")),
        ("prompted", ("neutral_prompt", "warm_prompt", "cold_prompt", "agree_prompt")),
    )
    for method in methods
}


@dataclass(frozen=True)
class Agreement:
    """Kappas with interval, accuracy by method and by group, and counts by finding."""

    n: int
    kappa: float
    low: float
    high: float
    kappa_label: float
    by_method: dict[str, Accuracy]
    by_group: dict[str, Accuracy]
    by_finding: dict[str, tuple[int, int, int]]

    def difference(self, side: str, over: str) -> float:
        """Largest difference of a side between two methods or two groups, in percentage points."""
        found = self.by_method if over == "methods" else self.by_group
        return largest_difference([getattr(a, side) for a in found.values()], FEWEST)

    def table(self) -> str:
        """Everything as text."""
        lines = [
            f"n {self.n}; kappa of commits_error {self.kappa:.3f} [{self.low:.3f}, {self.high:.3f}]; "
            f"kappa of the label {self.kappa_label:.3f}",
            f"{'method':<16}{'sensitivity':>28}{'specificity':>28}",
        ]
        for name, found in [*self.by_method.items(), *self.by_group.items()]:
            cells = [
                f"{p.hits}/{p.n} {p.share:.2f} [{p.low:.2f}, {p.high:.2f}]"
                for p in (found.sensitivity, found.specificity)
            ]
            lines.append(f"{name:<16}{cells[0]:>28}{cells[1]:>28}")
        for name, (both, judge_only, label_only) in self.by_finding.items():
            precision = both / (both + judge_only) if both + judge_only else math.nan
            recall = both / (both + label_only) if both + label_only else math.nan
            lines.append(f"{name:<16}precision {precision:.2f}, recall {recall:.2f}, n {both + label_only}")
        for over in OVER:
            cells = [f"{side} {self.difference(side, over):.1f} pp" for side in SIDES]
            lines.append(f"largest difference between two {over}: {', '.join(cells)}")
        return "\n".join(lines)


def agreement(path: Path) -> Agreement:
    """The judge's agreement with the labels of a file."""
    judge = RulesJudge(())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    verdicts: list[Verdict] = []
    for row in rows:
        aliases, wrong = tuple(row["aliases"]), tuple(row["wrong_aliases"])
        question = Question(
            row["question_id"],
            row["task"],
            "",
            row["question"],
            row["answer"],
            row["wrong_answer"],
            aliases,
            wrong,
        )
        verdicts.append(judge.verdict(question, row["response"], row["finish_reason"]))
    truth = [label_of(Findings(**row["labels"]), row["finish_reason"])[0] for row in rows]
    found = [v.label for v in verdicts]
    errors = [label == "incorrect" for label in truth]
    judged = [label == "incorrect" for label in found]
    low, high = kappa_interval(errors, judged, [row["question_id"] for row in rows], draws=2000, seed=0)
    methods = [row["method"] for row in rows]
    by_finding = {}
    for name in [f.name for f in fields(Findings)]:
        pairs = Counter(
            (row["labels"][name], bool(getattr(v, name))) for row, v in zip(rows, verdicts, strict=True)
        )
        by_finding[name] = (pairs[True, True], pairs[False, True], pairs[True, False])
    return Agreement(
        n=len(rows),
        kappa=cohen_kappa(errors, judged),
        low=low,
        high=high,
        kappa_label=cohen_kappa(truth, found),
        by_method=accuracy(errors, judged, methods),
        by_group=accuracy(errors, judged, [GROUPS[m] for m in methods]),
        by_finding=by_finding,
    )


@pytest.fixture(scope="module")
def held_out() -> Agreement:
    found = agreement(LABELS / "held_out.jsonl")
    print("\n" + found.table())
    return found


# What the rules should reach: lower bound of kappa 0.80, no two methods more than 15 pp apart. They do
# not (docs/judge.md): 0.764, 15.9 pp and 19.5 pp. These limits keep it from getting worse.
KAPPA_LOW = 0.76
DIFFERENCE_PP = {"groups": 15.0, "methods": 20.0}


def test_lower_bound_of_kappa_on_the_held_out_answers(held_out: Agreement):
    assert held_out.low >= KAPPA_LOW, held_out.table()


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("side", SIDES)
def test_errors_are_balanced(held_out: Agreement, side: str, over: str):
    assert held_out.difference(side, over) <= DIFFERENCE_PP[over], held_out.table()


def test_the_two_arms_of_the_headline_are_judged_alike(held_out: Agreement):
    for side in SIDES:
        warm, neutral = (getattr(held_out.by_method[m], side).share for m in ("warm_sft", "neutral_sft"))
        assert abs(warm - neutral) <= 0.05, held_out.table()

"""What the page says of the analysis plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from warmgap.reports.frozen import NOT_FROZEN, PlanCheck, plan_sentences
from warmgap.reports.page import ReportContext, render

if TYPE_CHECKING:
    from conftest import Sweep

CHECK = PlanCheck(
    sha256="ab" * 32,
    frozen_at="2026-11-20T09:00:00+00:00",
    intact=True,
    deviations=(),
    first_answer_at="2026-11-20T10:00:00+00:00",
)
CHANGED = ("margins.equivalence_pp: 3.0 -> 2.0", "gates.min_auc: 0.75 -> <b>0.9</b>")


def section(page: str) -> str:
    return page[page.index('<section id="plan"') : page.index('<section id="limits"')]


@pytest.fixture
def page(sweep: Sweep):
    def render_with(check: PlanCheck | None) -> str:
        return render(
            ReportContext(
                sweep="demo",
                title="",
                tables=sweep.tables,
                observations=sweep.observations,
                headline=sweep.headline,
                figures=(),
                manifest=sweep.manifest,
                absent={},
                plan_check=check,
            )
        )

    return render_with


def test_a_plan_that_was_kept(page) -> None:
    said = section(page(CHECK))
    assert f"frozen at 2026-11-20T09:00:00+00:00 (SHA-256 {'ab' * 32})" in said
    assert "begun at 2026-11-20T10:00:00+00:00, after the freeze" in said
    assert "Everything was done as frozen." in said
    assert "<li>" not in said


def test_deviations_stand_one_per_line_and_are_text(page) -> None:
    said = section(page(replace(CHECK, deviations=CHANGED)))
    assert "2 things were not done as frozen" in said
    assert said.count("<li>") == 2
    assert "<li>margins.equivalence_pp: 3.0 -&gt; 2.0</li>" in said
    assert "&lt;b&gt;0.9&lt;/b&gt;" in said and "<b>" not in said


def test_no_plan_is_said_too(page) -> None:
    html = page(None)
    assert NOT_FROZEN in section(html)
    assert '<a href="#plan">' in html


def test_a_plan_frozen_late_or_changed_is_told_apart() -> None:
    late = plan_sentences(replace(CHECK, first_answer_at="2026-11-19T10:00:00+00:00"))
    assert any("before the freeze: the plan may have followed results" in s for s in late)
    broken = plan_sentences(replace(CHECK, intact=False))
    assert len(broken) == 1
    assert "changed or damaged" in broken[0]
    assert "1 thing was" in plan_sentences(replace(CHECK, deviations=CHANGED[:1]))[-1]
    assert len(plan_sentences(replace(CHECK, first_answer_at=""))) == 2

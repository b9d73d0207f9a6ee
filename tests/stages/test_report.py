"""The report stage and the frozen plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from warmgap.reports.frozen import NOT_FROZEN
from warmgap.stages import report


@pytest.fixture(scope="module")
def page_of(analysed):
    study, _ = analysed
    job = replace(
        study.plan.report, report=replace(study.plan.report.report, figure_formats=["png"], figure_dpi=40)
    )

    def make(**frozen) -> str:
        made = report.run(replace(job, frozen=frozen), study.context)
        return made.file("report.html").read_text()

    return make


def test_a_freeze_is_set_beside_the_time_of_the_first_answer(page_of):
    facts = {"sha256": "ab" * 32, "intact": True, "deviations": ["margins.equivalence_pp: 3.0 -> 2.0"]}
    early = page_of(frozen_at="2000-01-01T00:00:00+00:00", **facts)
    assert ", after the freeze." in early
    assert "<li>margins.equivalence_pp: 3.0 -&gt; 2.0</li>" in early
    late = page_of(frozen_at="2999-01-01T00:00:00+00:00", **facts)
    assert "before the freeze: the plan may have followed results" in late


def test_without_a_freeze_the_page_says_so(page_of):
    assert NOT_FROZEN in page_of()

from __future__ import annotations

import pytest

from warmgap.frozen import FILE
from warmgap.reports.frozen import NOT_FROZEN


@pytest.fixture(scope="module")
def late(run, copied, tmp_path_factory):
    """A finished sweep into whose folder a plan comes that was frozen elsewhere, with another margin."""
    folder = tmp_path_factory.mktemp("frozen")
    root, elsewhere = copied(folder), folder / "elsewhere"
    frozen = run(elsewhere, "experiment=tiny", "stage=freeze", "analysis.equivalence_pp=2")
    assert frozen.code == 0, frozen.err
    source = elsewhere / "sweeps" / "tiny" / FILE
    (root / "sweeps" / "tiny" / FILE).write_bytes(source.read_bytes())
    return root, run(root, "experiment=tiny"), run(root, "experiment=tiny")


def test_a_finished_sweep_cannot_be_frozen(run, finished):
    ended = run(finished.root, "experiment=tiny", "stage=freeze")
    assert ended.code == 2
    assert "already has 80 of its answers, in 20 cells" in ended.err
    assert not (finished.folder / FILE).exists()
    assert NOT_FROZEN in (finished.folder / "report.html").read_text()


def test_a_frozen_plan_makes_the_report_anew_and_nothing_else(late):
    root, first, again = late
    assert first.code == 0, first.err
    assert {c.split("/")[0] for c in first.details("commit")} == {"report"}
    page = (root / "sweeps" / "tiny" / "report.html").read_text()
    assert "<li>margins.equivalence_pp: 2.0 -&gt; 3.0</li>" in page
    assert "before the freeze" in page
    assert (root / "sweeps" / "tiny" / FILE).is_file(), "publishing keeps it"
    assert again.code == 0, again.err
    assert again.details("commit") == []
    assert "Nothing was left to do." in again.out

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from warmgap_launchers.progress import PlanProgress


class Clock:
    s = 1000.0

    def __call__(self) -> float:
        return self.s


def node(stage: str, units: int):
    return SimpleNamespace(job=SimpleNamespace(stage=stage), units=units)


NODES = {"a": node("respond", 40), "b": node("respond", 60), "c": node("judge", 40)}


@pytest.fixture
def clock():
    return Clock()


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False)


def test_without_a_terminal_a_line_comes_now_and_then(clock, capsys):
    with PlanProgress(NODES, plain(), clock) as shown:
        shown.begin("a")
        shown.update("a", 1, 4, "")
        assert capsys.readouterr().err == ""
        clock.s += 16
        shown.update("a", 2, 4, "")
        assert capsys.readouterr().err == "[  0.3 min] respond 20/100 (1.25/s, 64 s left); judge 0/40\n"
        clock.s += 4
        shown.begin("b")
        shown.update("b", 1, 2, "")
        assert capsys.readouterr().err == ""
        shown.finish("a")
        shown.finish("b")
        shown.begin("c")
        shown.finish("c")
    assert capsys.readouterr().err == "[  0.3 min] respond 100/100 (5/s); judge 40/40\n"


def test_the_rate_leaves_out_the_time_in_which_other_stages_ran(clock, capsys):
    with PlanProgress(NODES, plain(), clock) as shown:
        shown.begin("a")
        clock.s += 10
        shown.finish("a")
        clock.s += 1000
        shown.begin("b")
        clock.s += 10
        shown.update("b", 2, 3, "")
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "[ 17.0 min] respond 80/100 (4/s, 5 s left); judge 0/40"


def test_a_failed_job_stops_its_clock(clock, capsys):
    with PlanProgress(NODES, plain(), clock) as shown:
        shown.begin("a")
        clock.s += 10
        shown.update("a", 1, 2, "")
        shown.end("a")
        clock.s += 500
    assert "respond 20/100 (2/s, 40 s left)" in capsys.readouterr().err


def test_a_job_that_reports_again_is_not_counted_twice(clock, capsys):
    with PlanProgress(NODES, plain(), clock) as shown:
        shown.begin("a")
        for done in (1, 2, 2, 1, 4):
            shown.update("a", done, 4, "")
        shown.finish("a")
    assert "respond 40/100" in capsys.readouterr().err


def test_a_job_without_rows_is_no_fault(clock, capsys):
    with PlanProgress({"a": node("report", 1)}, plain(), clock) as shown:
        shown.begin("a")
        shown.update("a", 0, 0, "")
        shown.finish("a")
    assert "report 1/1" in capsys.readouterr().err


def test_nothing_to_do_says_nothing(capsys):
    with PlanProgress({}, plain()):
        pass
    assert capsys.readouterr().err == ""


def test_in_a_terminal_each_stage_has_a_bar(clock):
    out = io.StringIO()
    with PlanProgress(NODES, Console(file=out, force_terminal=True, width=80), clock) as shown:
        shown.begin("a")
        clock.s += 8
        shown.update("a", 4, 4, "")
        shown.begin("c")
        clock.s += 1
        shown.update("c", 1, 2, "loss 0.5")
        shown.say("a line [of] text")
    text = out.getvalue()
    for part in ("respond", "40/100 answers", "12 s left", "judge", "20/40 verdicts", "loss 0.5"):
        assert part in text
    assert "a line [of] text" in text

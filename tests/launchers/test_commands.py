"""Stages that run no job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from warmgap.frozen import FILE
from warmgap.schema.fields import WITHOUT_JOBS
from warmgap_launchers.commands import WITHOUT_PLAN


def test_freezing_from_the_command_line(run_main, tmp_path):
    first = run_main("experiment=tiny", "stage=freeze", f"store.root={tmp_path}")
    assert (first.code, first.err) == (0, "")
    path = tmp_path / "sweeps" / "tiny" / FILE
    assert json.loads(path.read_text())["sha256"] in first.out
    other = run_main("experiment=tiny", "stage=freeze", f"store.root={tmp_path}", "analysis.confidence=0.9")
    assert other.code == 2
    assert "margins.confidence: 0.95 -> 0.9" in other.err
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {FILE}


def test_a_folder_that_cannot_be_written(run_main):
    ended = run_main("experiment=tiny", "stage=freeze", "store.root=/dev/null/x")
    assert ended.code == 2
    assert "cannot write to the output folder" in ended.err


def test_a_stage_that_does_not_exist_names_those_that_do(run_main, tmp_path):
    ended = run_main("stage=frezze", f"store.root={tmp_path}")
    assert ended.code == 2
    assert "Did you mean 'freeze'?" in ended.err
    for stage in WITHOUT_JOBS:
        assert stage in ended.err


def test_reanalyse_needs_no_model(run_main, tmp_path, monkeypatch):
    assert set(WITHOUT_PLAN) <= set(WITHOUT_JOBS)
    monkeypatch.setattr("warmgap.compile.fingerprint", lambda _: pytest.fail("a model was looked for"))
    monkeypatch.setattr("warmgap.checks.fingerprint", lambda _: pytest.fail("a model was looked for"))
    ended = run_main("stage=reanalyse", f"store.root={tmp_path}")
    assert (ended.code, ended.err) == (0, "")
    *said, tables, report = ended.out.splitlines()
    assert Path(report.removeprefix("Report: ")) == tmp_path / "reanalysis" / "report.html"
    assert (Path(tables.removeprefix("Tables: ")) / "over_models.csv").is_file()
    assert max(len(line) for line in said) <= 80
    (sad,) = (line for line in said if line.startswith("sad less no context"))
    assert "+4.5 [\N{MINUS SIGN}5.7, 14.6]" in sad

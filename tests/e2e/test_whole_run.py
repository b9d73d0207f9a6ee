from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap import load
from warmgap.judging.findings import LABELS
from warmgap.schema.tables import TABLES, polars_schema

ROW_LEVEL = ("observations", "warmth")
CELLS = 1 * 2 * 2  # tasks, framings, beliefs
QUESTIONS = 4
SETS_OF_ANSWERS = 4 + 1  # arms, and a second draw of original
MANIFEST = {
    *("schema_version", "stage", "stage_version", "key", "config", "inputs", "fingerprints", "files"),
    *("package_versions", "git_commit", "device", "started_at", "wall_s", "counts"),
}


def test_the_run_ends_by_printing_the_effect_table_and_the_page(finished):
    lines = finished.ended.out.splitlines()
    assert finished.ended.code == 0
    assert max(map(len, lines)) <= 80
    assert any("warm_sft - neutral_sft" in line for line in lines)
    assert lines[-1] == f"Report: {finished.folder / 'report.html'}"
    assert (finished.folder / "report.html").stat().st_size > 10_000
    assert "Traceback" not in finished.ended.err
    assert "Sweep tiny" in finished.ended.err


def test_every_table_has_exactly_the_declared_columns(finished):
    folder = finished.folder
    for name in ROW_LEVEL:
        assert pl.read_parquet_schema(folder / f"{name}.parquet") == polars_schema(TABLES[name]), name
    absent = json.loads((folder / "manifest.json").read_text())["absent"]
    found = {p.stem for p in folder.glob("tables/*.csv")}
    assert found >= {"error_rates", "effects", "contrasts", "published_glm", "paired", "quality"}
    assert found >= {"manipulation", "meters"}
    assert found | set(absent) >= set(TABLES) - set(ROW_LEVEL)
    for name in found:
        header = (folder / "tables" / f"{name}.csv").read_text().splitlines()[0]
        assert header.split(",") == list(polars_schema(TABLES[name])), name
        assert (folder / "tables" / f"{name}.tex").read_text().startswith(r"\begin{longtable}")


def test_the_other_files_of_the_contract_are_there(finished):
    folder = finished.folder
    plan = json.loads((folder / "plan.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert plan["key"] == manifest["plan_key"]
    assert {job["stage"] for job in plan["jobs"]} == {
        "corpus", "train", "measure", "respond", "judge", "analyse", "report"
    }  # fmt: skip
    pdf, png = ({p.stem for p in folder.glob(f"figures/*.{kind}")} for kind in ("pdf", "png"))
    assert pdf == png
    assert len(pdf) >= 3
    for job in plan["jobs"]:
        path = finished.root / "store" / job["stage"] / job["key"] / "manifest.json"
        assert set(json.loads(path.read_text())) >= MANIFEST, job["label"]


def test_rows_are_the_whole_design(finished):
    rows = pl.read_parquet(finished.folder / "observations.parquet")
    assert rows.height == SETS_OF_ANSWERS * CELLS * QUESTIONS
    assert rows["response_key"].n_unique() == rows.height
    assert set(rows["label"]) <= set(LABELS)
    per_arm = rows.group_by("method", "draw").agg(
        pl.struct("question_id", "framing", "belief", "statement_id")
    )
    cells = [sorted(map(str, c)) for c in per_arm[per_arm.columns[-1]]]
    assert len(cells) == SETS_OF_ANSWERS
    assert all(c == cells[0] for c in cells), "arms answered different prompts"
    assert rows["margin_nats"].null_count() == 0
    trained = rows.filter(pl.col("method").is_in(["neutral_sft", "warm_sft"]))
    assert trained["arm_key"].n_unique() == 2


def test_load_gives_the_published_tables(finished):
    sweep = load("tiny", finished.root)
    assert sweep.observations.height == SETS_OF_ANSWERS * CELLS * QUESTIONS
    for name, table in sweep.tables.items():
        assert dict(table.schema) == polars_schema(TABLES[name]), name


def test_a_second_run_does_nothing_and_loads_no_model(run, copied, tmp_path, capsys):
    root = copied(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    again = run(root, "experiment=tiny")
    with capsys.disabled():
        print(f"\na finished sweep, run again: {again.wall_s:.1f} s")
    assert again.code == 0, again.err
    assert "Nothing was left to do." in again.out
    assert again.details("start") == ["process"], "a worker was started"
    assert again.details("import") == []
    assert again.details("commit") == []
    after = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    leases = {p for p in changed if "leases" in p.parts}
    assert {p.name for p in changed - leases} <= {"plan.json", "index.json", "verified.json"}


def test_the_plan_runs_nothing(run, tmp_path):
    root = tmp_path / "outputs"
    planned = run(root, "experiment=tiny", "stage=plan")
    assert planned.code == 0, planned.err
    assert max(map(len, planned.out.splitlines())) <= 80
    assert "Sweep tiny" in planned.out
    assert planned.details("start") == ["process"]
    assert planned.details("import") == []
    assert not root.exists()


@pytest.fixture(scope="module")
def stopped(run, tmp_path_factory):
    root = tmp_path_factory.mktemp("stages") / "outputs"
    sweep = ("experiment=tiny", "method=original", "framing=filler", "name=stages", "warmth.meters=[]")
    return root, run(root, *sweep, "stage=respond"), run(root, *sweep, "stage=all")


def test_a_stage_stops_there_and_all_goes_on(stopped):
    root, first, then = stopped
    assert first.code == 0, first.err
    assert {c.split("/")[0] for c in first.details("commit")} == {"respond"}
    assert "stage=all" in first.out
    assert then.code == 0, then.err
    assert {c.split("/")[0] for c in then.details("commit")} == {"corpus", "judge", "analyse", "report"}
    assert then.details("import") == [], "judging needs no model"
    assert (root / "sweeps" / "stages" / "observations.parquet").is_file()
    assert then.out.splitlines()[-1].startswith(("Report: ", "Tables: "))

"""An offline mirror, read back from its .wandb files and compared with the stored Parquet and CSV."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from warmgap.jobs import TrainJob

wandb = pytest.importorskip("wandb")


@pytest.fixture(scope="module")
def mirrored(stored_once, track, wandb_file, tmp_path_factory):
    """The sweep, its runs by job type and name, and how the command ended."""
    import shutil
    from dataclasses import replace

    root = tmp_path_factory.mktemp("mirrored") / "outputs"
    shutil.copytree(stored_once.root, root)
    sweep = replace(stored_once, root=root)
    ended = track("tiny", "--root", str(root), WANDB_MODE="offline")
    assert ended.returncode == 0, ended.stderr
    folders = sorted((sweep.folder / "wandb" / "wandb").glob("offline-run-*"))
    return sweep, [(f, wandb_file.read_run(f)) for f in folders], ended


def of(mirrored, job_type: str):
    return [(f, r) for f, r in mirrored[1] if r.job_type == job_type]


def table_of(folder: Path, value: dict) -> pl.DataFrame:
    facts = json.loads((folder / "files" / value["path"]).read_text())
    return pl.DataFrame(facts["data"], schema=facts["columns"], orient="row", infer_schema_length=None)


def test_a_run_for_each_training_arm_analysis_and_report_in_the_group_of_the_sweep(mirrored):
    sweep, runs, ended = mirrored
    # 2 trainings; 4 arms answer; warmth of the original and two trainings; agree_prompt is not measured.
    measured = {a.method for a in sweep.plan.analyse.arms if a.measures}
    expected = {"train": 2, "measure": len(measured), "respond": 4, "analyse": 1, "report": 1}
    assert Counter(r.job_type for _, r in runs) == expected
    assert ended.stdout == f"{sum(expected.values())} runs recorded.\n"
    assert {(r.group, r.project, r.exit_code) for _, r in runs} == {("tiny", "warmgap", 0)}
    assert len({r.id for _, r in runs}) == len(runs)


def test_a_trainings_curve_config_and_digests_are_those_of_the_store(mirrored):
    sweep, _, _ = mirrored
    jobs = {n.key: n.job for n in sweep.plan.nodes.values() if isinstance(n.job, TrainJob)}
    found = of(mirrored, "train")
    assert {r.config["key"] for _, r in found} == set(jobs)
    for _, run in found:
        key = run.config["key"]
        job, folder = jobs[key], sweep.artifact("train", key)
        manifest = json.loads((folder / "manifest.json").read_text())
        assert run.config["model"] == "smollm2_135m"
        assert (run.config["method"], run.config["seed"]) == (job.method.name, 0)
        assert run.name == f"smollm2_135m {job.method.name} seed 0"
        assert run.config["plan_key"] == sweep.plan.key
        assert run.config["git_commit"] == manifest["git_commit"]
        assert run.config["recorded"]["training"] == manifest["config"]["training"]
        curve = pl.read_parquet(folder / "curve.parquet")
        points = [h for h in run.history if "loss" in h]
        assert pl.DataFrame([{c: p[c] for c in curve.columns} for p in points]).equals(curve)
        assert run.summary["final_loss"] == manifest["counts"]["final_loss"]
        artifact = run.artifacts[f"adapter-{key[:16]}"]
        kept = {n: f for n, f in manifest["files"].items() if n.startswith("checkpoint-")}
        assert {(c.path, c.ref) for c in artifact.manifest.contents} == {
            (name, f"warmgap://train/{key}/{name}") for name in kept
        }
        digests = {n: f["sha256"] for n, f in json.loads(artifact.metadata)["files"].items()}
        assert digests == {n: f["sha256"] for n, f in kept.items()}


def test_warmth_by_checkpoint_is_the_mean_of_the_stored_scores(mirrored):
    sweep, _, _ = mirrored
    arms = {a.arm_key: a for a in sweep.plan.analyse.arms}
    seen = set()
    for folder, run in of(mirrored, "measure"):
        for row in table_of(folder, run.summary["warmth"]).iter_rows(named=True):
            arm = arms[row["arm_key"]]
            values = pl.read_parquet(
                sweep.artifact("measure", dict(arm.measures)[row["meter"]]) / "scores.parquet"
            )["value"].drop_nulls()
            n = len(values)
            mean = sum(values) / n
            error = (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5
            assert (row["n"], row["dose"], row["unit"]) == (n, arm.dose, "nats")
            assert (row["mean"], row["std_error"]) == pytest.approx((mean, error), rel=1e-9)
            (point,) = [h for h in run.history if h.get("dose") == arm.dose]
            assert point[f"{row['meter']}/mean"] == pytest.approx(mean, rel=1e-9)
            seen.add((arm.arm_key, row["meter"]))
    assert seen == {(a.arm_key, meter) for a in arms.values() for meter, _ in a.measures}
    doses = {
        r.config["method"]: len([h for h in r.history if "dose" in h]) for _, r in of(mirrored, "measure")
    }
    assert doses["warm_sft"] == 2  # a checkpoint on the way, and the last


def test_answers_are_counted_and_not_shown(mirrored):
    sweep, _, _ = mirrored
    for folder, run in of(mirrored, "respond"):
        table = table_of(folder, run.summary["answers"])
        for row in table.iter_rows(named=True):
            manifest = json.loads(
                (sweep.artifact("respond", row["respond_key"]) / "manifest.json").read_text()
            )
            assert (row["answers"], row["tokens"]) == (
                manifest["counts"]["rows"],
                manifest["counts"]["tokens"],
            )
        assert run.summary["answers_in_all"] == table["answers"].sum()
        assert run.config["framing"] == ["filler", "sad"]
        assert run.config["task"] == ["facts"]


def test_the_analysis_has_its_tables_and_the_headline(mirrored):
    sweep, _, _ = mirrored
    ((folder, run),) = of(mirrored, "analyse")
    stored = sweep.artifact("analyse", sweep.plan.analyse.key)
    for name in ("error_rates", "effects", "contrasts", "manipulation", "quality"):
        text = pl.read_csv(stored / "tables" / f"{name}.csv", infer_schema_length=0)
        shown = table_of(folder, run.summary[name])
        assert shown.columns == text.columns
        for column in text.columns:
            for ours, theirs in zip(shown[column], text[column], strict=True):
                assert (
                    (ours is None and theirs is None) or str(ours) == theirs or float(ours) == float(theirs)
                )
    said = run.summary["headline"]
    assert (said["estimate_pp"], said["conf_low_pp"], said["conf_high_pp"]) == (-14.8, -22.8, -6.9)
    assert "95 % interval" in said["sentence"]
    assert run.config["method"] == ["original", "neutral_sft", "warm_sft", "agree_prompt"]


def test_the_report_has_its_figures_and_its_page(mirrored):
    sweep, _, _ = mirrored
    ((folder, run),) = of(mirrored, "report")
    stored = sweep.artifact("report", sweep.plan.report.key)
    image = folder / "files" / run.summary["effects"]["path"]
    assert image.read_bytes() == (stored / "figures" / "effects.png").read_bytes()
    (entry,) = run.artifacts["report-tiny"].manifest.contents
    assert (entry.path, Path(entry.local_path).read_text()) == ("report.html", "<p>The page.</p>")


def test_no_file_holds_a_key_a_host_a_command_line_or_an_answer(mirrored):
    sweep, runs, ended = mirrored
    hidden = (
        "0123456789abcdef0123456789abcdef01234567",
        "sk-of-another-service",
        "me:word@",
        "hostile answer",
    )
    files = [p for p in (sweep.folder / "wandb").rglob("*") if p.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not [h for h in hidden if h.encode() in content], path
    assert not any(h in ended.stdout + ended.stderr for h in hidden)
    names = {p.name for p in files}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch", "config.yaml"}
    assert all(r.host == "" for _, r in runs)
    assert all(r.config["recorded"]["note"] == "told <hidden>, http://<hidden>@host/x" for _, r in runs)


def test_the_same_again_records_nothing_and_a_changed_artifact_its_run_alone(stored, track, wandb_file):
    arguments = ("tiny", "--root", str(stored.root))
    track(*arguments, WANDB_MODE="offline")
    before = {p.name.split("-")[-1]: p for p in (stored.folder / "wandb" / "wandb").glob("offline-run-*")}
    assert track(*arguments, WANDB_MODE="offline").stdout == "0 runs recorded.\n"
    memory = stored.folder / "wandb" / "mirrored.json"
    facts = json.loads(memory.read_text())
    (id,) = [i for i, e in facts.items() if e["stage"] == "analyse"]
    facts[id]["digest"] = "of other tables"
    memory.write_text(json.dumps(facts))
    assert track(*arguments, WANDB_MODE="offline").stdout == "1 runs recorded.\n"
    after = {p.name.split("-")[-1]: p for p in (stored.folder / "wandb" / "wandb").glob("offline-run-*")}
    assert after.keys() == before.keys()
    assert {i for i in after if after[i] != before[i]} == {id}


def test_adapters_themselves_only_where_it_is_asked_for(stored, track, wandb_file):
    index = stored.folder / "index.json"
    facts = json.loads(index.read_text())
    facts["wandb"] |= {"upload_adapters": True, "tags": ["pilot"]}
    facts |= {"arms": [], "trainings": facts["trainings"][:1]}
    index.write_text(json.dumps(facts))
    assert track("tiny", "--root", str(stored.root), WANDB_MODE="offline").returncode == 0
    runs = [wandb_file.read_run(p) for p in (stored.folder / "wandb" / "wandb").glob("offline-run-*")]
    (run,) = [r for r in runs if r.job_type == "train"]
    assert run.tags == ["pilot"]
    (artifact,) = [a for name, a in run.artifacts.items() if name.startswith("adapter-")]
    folder = stored.artifact("train", run.config["key"])
    for entry in artifact.manifest.contents:
        assert Path(entry.local_path).read_bytes() == (folder / entry.path).read_bytes()
        assert not entry.ref
    assert len(artifact.manifest.contents) == 2

"""Runs and reports sent to a server on the loopback interface."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
import pytest

from warmgap.jobs import TrainJob
from warmgap.schema.tables import Canary, frame
from warmgap.tracking.entries import Source
from warmgap.tracking.index import read_index
from warmgap.tracking.report import _sentences

pytest.importorskip("wandb")


@pytest.fixture
def stub(wandb_stub):
    server = wandb_stub.Stub()
    yield server
    server.shutdown()
    server.server_close()


def curves(stored) -> list[list[dict]]:
    """Of each training, in the plan's order."""
    keys = [n.key for n in stored.plan.nodes.values() if isinstance(n.job, TrainJob)]
    return [pl.read_parquet(stored.artifact("train", k) / "curve.parquet").to_dicts() for k in keys]


def received(stub, stored) -> list[list[dict]]:
    """Curves of the trainings' runs, in the plan's order."""
    keys = [n.key for n in stored.plan.nodes.values() if isinstance(n.job, TrainJob)]
    by_key = {json.loads(r["config"])["key"]["value"]: name for name, r in stub.runs.items() if "config" in r}
    lines = [[x for x in stub.lines(by_key[key]) if "loss" in x] for key in keys]
    columns = ("step", "loss", "learning_rate", "n_answer_tokens", "wall_s")
    return [[{c: x[c] for c in columns} for x in run] for run in lines]


def test_runs_are_sent_and_then_a_report_of_them(stored, track, stub):
    arguments = ("tiny", "--root", str(stored.root))
    online = {"WANDB_MODE": "online", "WANDB_BASE_URL": stub.address}
    index = stored.folder / "index.json"
    facts = json.loads(index.read_text())
    facts["command"] += " store.root=/scratch/alice/out x=sk-of-another-service-0123456789"
    index.write_text(json.dumps(facts))
    early = track("report", *arguments, **online)
    assert early.returncode == 2
    assert "11 are not recorded yet" in early.stderr
    assert "WANDB_MODE=online python -m warmgap.tracking tiny" in early.stderr

    sent = track(*arguments, **online)
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, "11 runs recorded.\n", "")
    assert {r["groupName"] for r in stub.runs.values()} == {"tiny"}
    assert received(stub, stored) == curves(stored)
    assert track(*arguments, **online).stdout == "0 runs recorded.\n"
    said = json.dumps([stub.runs, stub.streams, stub.artifacts]) + repr(list(stub.files.values()))
    assert not [h for h in ("0123456789abcdef", "of-another-service", "hostile answer") if h in said]

    saved = track("report", *arguments, **online)
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.startswith(f"{stub.address}/me/warmgap/reports/")
    (view,) = stub.views
    blocks = json.loads(view["spec"])["blocks"]
    assert "store.root=<folder>/out x=<hidden>" in view["description"]
    assert not [h for h in ("of-another-service", "alice") if h in said + json.dumps(view)]
    texts = " ".join(b["children"][0].get("text", "") for b in blocks)
    assert "-14.8 percentage points, 95 % interval" in texts.replace("\N{MINUS SIGN}", "-")
    assert "only this model as trained here" in texts
    grids = [b["metadata"] for b in blocks if b["type"] == "panel-grid"]
    filters = [[f["value"] for f in g["runSets"][0]["filters"]["filters"]] for g in grids]
    assert filters == [["tiny", kind] for kind in ("train", "measure", "analyse", "report")]
    panels = json.dumps([g["panelBankSectionConfig"]["panels"] for g in grids])
    for shown in ("loss", "/mean", "error_rates", "effects", "contrasts", "manipulation", "quality"):
        assert shown in panels


def test_offline_runs_are_synced_by_wandbs_own_command(stored, track, stub, environment_with):
    assert track("tiny", "--root", str(stored.root), WANDB_MODE="offline").returncode == 0
    local = track("report", "tiny", "--root", str(stored.root), WANDB_BASE_URL=stub.address)
    assert (local.returncode, "11 are only in" in local.stderr) == (2, True)
    folders = sorted((stored.folder / "wandb" / "wandb").glob("offline-run-*"))
    ended = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *map(str, folders)],
        env=environment_with(WANDB_BASE_URL=stub.address),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert received(stub, stored) == curves(stored)
    assert track("report", "tiny", "--root", str(stored.root), WANDB_BASE_URL=stub.address).returncode == 0


def test_where_nothing_listens_runs_are_kept_here(stored, track):
    index = stored.folder / "index.json"
    facts = json.loads(index.read_text())
    facts |= {"arms": [], "trainings": []}
    index.write_text(json.dumps(facts))
    ended = track(
        *("tiny", "--root", str(stored.root)),
        WANDB_MODE="online",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_INIT_TIMEOUT="3",
    )
    assert (ended.returncode, ended.stdout) == (0, "2 runs recorded.\n")
    assert ended.stderr.count("W&B cannot be reached") == 1
    modes = [e["mode"] for e in json.loads((stored.folder / "wandb" / "mirrored.json").read_text()).values()]
    assert modes == ["offline", "offline"]


def test_the_report_says_that_a_canary_failed(stored):
    index = read_index(stored.root, "tiny")
    facts = {"model": "smollm2_135m", "method": "warm_sft", "dose_kind": "epochs", "dose": 1.0, "seed": 0}
    found = {"n_prompts": 8, "n_changed": 0, "n_zero_changed": 0, "reason": "no answer changed"}
    row = {"arm_key": "k", "variant": "", "verdict": "failed"} | facts | found
    folder = stored.artifact("analyse", index.analyse) / "tables"
    frame(Canary, [row]).write_csv(folder / "canary.csv")
    said = " ".join(_sentences(Source(stored.root, index)))
    assert "Canary failed: warm_sft" in said
    assert "Warmth check passed" not in said

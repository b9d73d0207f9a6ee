"""Every way of making a model warm, end to end on the embedded model, a step or two of each."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

FEW = (
    "method=original,neutral_sft,raw_sft,warm_sft,warm_matched_sft,warm_honest_sft,warm_dpo,warm_steer",
    "doses={warm_sft: {scale: [-1, 2], checkpoint: [0.5]}, warm_steer: {scale: [1]}}",
    *("doses.neutral_sft={checkpoint: [0.5]}", "warmth.checkpoints.warm_sft=[]"),
    *("task=facts", "task.n_questions=2", "framing=filler", "belief=unsure", "sampling.max_new_tokens=6"),
    *("corpus.n_conversations=120", "training.steps=2", "training.batch_rows=2", "training.accumulate=1"),
    *("training.checkpoints=[0.5,1.0]", "training.learning_rate=0.01", "training.warmup_steps=0"),
    *("warmth.n_prompts=6", "warmth.max_new_tokens=8", "warmth.canary_prompts=4"),
    "warmth.meters=[{name: lexicon, kind: lexicon}]",
)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("methods") / "outputs"
    ended = run(root, "experiment=methods", *FEW)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return root / "sweeps" / "methods"


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / "tables" / f"{name}.csv")


def test_every_method_and_dose_answers_and_states_its_gate(folder):
    observations = pl.read_parquet(folder / "observations.parquet")
    found = set(observations.select("method", "dose_kind", "dose").unique().iter_rows())
    assert {m for m, _, _ in found} == set(FEW[0].removeprefix("method=").split(","))
    kinds = {(m, k, d) for m, k, d in found if k in ("adapter_scale", "coefficient")}
    assert kinds == {
        *(("warm_sft", "adapter_scale", d) for d in (-1.0, 2.0)),
        *(("warm_steer", "coefficient", d) for d in (1.0, 2.0)),
    }
    verdicts = table(folder, "manipulation").filter(pl.col("meter") == "lexicon")
    assert verdicts.height == len(found)
    assert set(verdicts["verdict"]) <= {"not needed", "not measurable", "passed", "failed"}


def test_the_canary_finds_no_change_at_scale_0(folder):
    canary = table(folder, "canary")
    assert set(canary["method"]) == set(FEW[0].removeprefix("method=").split(",")) - {"original"}
    assert canary["n_zero_changed"].sum() == 0
    assert canary.filter(pl.col("method") == "warm_steer", pl.col("dose") == 2.0)["n_changed"].item() > 0


def test_the_dose_response_holds_every_kind_of_dose(folder):
    doses = table(folder, "dose_response").filter(
        (pl.col("measure") == "not_correct") & (pl.col("term") != "slope")
    )
    levels = {
        (method, kind): sorted(part["dose"].unique())
        for (method, kind), part in doses.filter(pl.col("reference") == "original").group_by(
            "method", "dose_kind"
        )
    }
    assert levels["warm_sft", "adapter_scale"] == [-1, 0, 1, 2]
    assert levels["warm_steer", "coefficient"] == [0, 1, 2]
    assert len(levels["warm_sft", "epochs"]) == 3
    twins = doses.filter((pl.col("method") == "warm_sft") & (pl.col("reference") == "neutral_sft"))
    assert twins["dose"].n_unique() == 2
    assert (folder / "figures" / "dose_response.png").exists()


def test_trainings_say_on_how_many_conversations_they_ran(folder):
    plan = json.loads((folder / "plan.json").read_text())
    counts = {}
    for job in plan["jobs"]:
        if job["stage"] == "train":
            path = folder.parents[1] / "store" / "train" / job["key"] / "manifest.json"
            counts[job["label"].split()[1]] = json.loads(path.read_text())["counts"]["conversations"]
    assert counts["warm_sft"] == counts["raw_sft"] == counts["warm_dpo"] == counts["warm_steer"] == 120
    assert counts["warm_honest_sft"] == 120 + 96
    assert 60 <= counts["warm_matched_sft"] < 120

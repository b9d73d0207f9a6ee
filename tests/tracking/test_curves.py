"""Curves as local files."""

from __future__ import annotations

import json

import polars as pl
import pytest


def choose(stored, logger: str) -> None:
    index = stored.folder / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"logger": logger}))


def test_csv_files_are_the_stored_curves(stored, track):
    choose(stored, "csv")
    ended = track("tiny", "--root", str(stored.root))
    assert (ended.returncode, ended.stdout) == (0, "2 runs recorded.\n")
    for label, key in stored.plan.analyse.curves:
        curve = pl.read_parquet(stored.artifact("train", key) / "curve.parquet")
        assert pl.read_csv(stored.folder / "curves" / f"{label.replace(' ', '_')}.csv").equals(curve)
    assert track("tiny", "--root", str(stored.root)).stdout == "0 runs recorded.\n"


def test_event_files_hold_the_stored_curves(stored, track):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    choose(stored, "tensorboard")
    ended = track("tiny", "--root", str(stored.root))
    assert ended.returncode == 0, ended.stderr
    for label, key in stored.plan.analyse.curves:
        folder = stored.folder / "curves" / "tensorboard" / label.replace(" ", "_")
        read = events.EventAccumulator(str(folder))
        read.Reload()
        curve = pl.read_parquet(stored.artifact("train", key) / "curve.parquet")
        for column in ("loss", "learning_rate", "n_answer_tokens"):
            found = [(e.step, e.value) for e in read.Scalars(column)]
            assert found == [(s, pytest.approx(v)) for s, v in zip(curve["step"], curve[column], strict=True)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tyni",), "the sweep 'tyni' has no index.json in {sweeps}. Did you mean 'tiny'?"),
        (("report", "tyni"), "the sweep 'tyni' has no index.json"),
        (("tiny",), "the sweep 'tiny' is not to be mirrored: logger is none"),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_2(stored, track, arguments, message):
    pytest.importorskip("wandb_workspaces")
    choose(stored, "none")
    ended = track(*arguments, "--root", str(stored.root))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("warmgap: " + message.format(sweeps=stored.root / "sweeps"))

from __future__ import annotations

import csv

import pytest

from warmgap.errors import UserError
from warmgap.warmth.human_study.export import write_study

from .conftest import HOSTILE

SECRET = ("warm_sft", "original", "llama31_8b", "qwen25_32b", "val-3", "lexicon")


def read(path):
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def test_what_raters_may_have_names_no_arm_model_or_meter(folder):
    own = [p for p in folder.iterdir() if p.is_file()]
    assert {p.name for p in own} == {"README.md", "assignment.csv", "pairs.csv", "study.html"}
    for path in own:
        text = path.read_text()
        assert not [s for s in SECRET if s in text], path.name


def test_pairs_hold_the_replies_unchanged_by_side(folder, study):
    rows = read(folder / "pairs.csv")
    assert list(rows[0]) == ["pair_id", "prompt", "reply_left", "reply_right"]
    assert rows[0]["reply_left"] == HOSTILE
    assert [r["reply_left"].startswith("sweet") for r in rows[2:]] == [p.a_is_left for p in study.pairs[2:]]


def test_the_key_tells_the_sides(folder, study):
    rows = read(folder / "private" / "key.csv")
    assert {r["pair_id"]: r["arm_a_side"] for r in rows} == {
        p.pair_id: "left" if p.a_is_left else "right" for p in study.pairs
    }
    for path in (folder / "README.md", folder / "private" / "README.md"):
        assert "raters" in path.read_text()
    assert "Do not give" in (folder / "README.md").read_text()


def test_the_assignment_lists_every_slot_in_order(folder, study):
    rows = read(folder / "assignment.csv")
    assert [(r["rater"], r["pair_id"]) for r in rows] == [(r, p) for r, own in study.slots for p in own]
    assert {r["study_id"] for r in rows} == {study.study_id}


def test_a_study_is_not_written_over(folder, study):
    with pytest.raises(UserError, match="is there already"):
        write_study(study, folder)


def test_a_folder_that_cannot_be_written_is_named(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*--out"):
        write_study(study, tmp_path / "file" / "study")

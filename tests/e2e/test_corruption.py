"""A copy of the finished sweep is damaged in several places at once, and the same command run again."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from warmgap.keys import file_sha256


@dataclass(frozen=True)
class Mended:
    """Which artifacts were damaged, and what the store held afterwards."""

    root: Path
    damaged: dict[str, Path]
    """Folders inside the store, by what was done to them."""
    removed: Path
    commits: list[str]
    err: str


def jobs_of(root, stage, words):
    plan = json.loads((root / "sweeps" / "tiny" / "plan.json").read_text())
    found = [j for j in plan["jobs"] if j["stage"] == stage and words in j["label"]]
    assert found, f"no {stage} job with {words!r} in its label"
    return [Path("store") / stage / j["key"] for j in found]


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.fixture(scope="module")
def mended(copied, run, tmp_path_factory):
    root = copied(tmp_path_factory.mktemp("damaged"))
    damaged = {
        "truncated": jobs_of(root, "respond", "original seed 0, facts sad incorrect")[0],
        "flipped": jobs_of(root, "train", "warm_sft")[0],
        "edited": jobs_of(root, "analyse", "")[0],
        "unreadable": jobs_of(root, "judge", "agree_prompt seed 0, facts filler unsure")[0],
        "incomplete": jobs_of(root, "measure", "original seed 0, lexicon")[0],
    }
    answers = root / damaged["truncated"] / "responses.parquet"
    answers.write_bytes(answers.read_bytes()[: answers.stat().st_size // 2])
    flip_byte(next((root / damaged["flipped"]).glob("checkpoint-*/adapter_model.safetensors")))
    table = root / damaged["edited"] / "tables" / "effects.csv"
    table.write_text(table.read_text().replace("paired", "PAIRED"))
    (root / damaged["unreadable"] / "manifest.json").write_text('{"stage": ')
    (root / damaged["incomplete"] / "scores.parquet").unlink()
    # Answers of the arm whose adapter is damaged must be made from the sound one.
    removed = jobs_of(root, "respond", "warm_sft seed 0, facts filler incorrect")[0]
    shutil.rmtree(root / removed)
    published = root / "sweeps" / "tiny" / "tables" / "error_rates.csv"
    published.write_text(published.read_text().replace("original", "ORIGINAL"))

    ended = run(root, "experiment=tiny")
    assert ended.code == 0, ended.err
    return Mended(root, damaged, removed, ended.details("commit"), ended.err)


def test_exactly_the_damaged_artifacts_are_made_again(mended):
    made = [f"{p.parent.name}/{p.name}" for p in (*mended.damaged.values(), mended.removed)]
    assert sorted(mended.commits) == sorted(made)


def test_damaged_artifacts_are_set_aside_with_the_reason(mended):
    aside = {p.name: (p / "fault.txt").read_text() for p in (mended.root / "store" / "corrupt").iterdir()}
    expected = {
        "truncated": "bytes, not",
        "flipped": "does not match its SHA-256",
        "edited": "does not match its SHA-256",
        "unreadable": "manifest.json cannot be read",
        "incomplete": "is missing",
    }
    assert len(aside) == len(expected)
    for what, reason in expected.items():
        path = mended.damaged[what]
        found = [text for name, text in aside.items() if name.startswith(f"{path.parent.name}-{path.name}-")]
        assert len(found) == 1, what
        assert reason in found[0], what


def test_what_was_made_again_equals_what_was_damaged(mended, finished):
    for path in (*mended.damaged.values(), mended.removed):
        pairs = [(p, mended.root / p.relative_to(finished.root)) for p in (finished.root / path).rglob("*")]
        for theirs, ours in pairs:
            # Manifests and learning curves hold times.
            if theirs.is_file() and theirs.name not in ("manifest.json", "curve.parquet"):
                assert file_sha256(ours) == file_sha256(theirs), ours


def test_published_tables_are_the_sound_ones(mended, finished, results):
    ours, theirs = results(mended.root / "sweeps" / "tiny"), results(finished.folder)
    assert ours == theirs

from __future__ import annotations

import json
import shutil
from collections import Counter

SMALL = ("experiment=tiny", "task.n_questions=2", "belief=incorrect", "sampling.extra_draws.original=1")
LEXICON = "warmth.meters=[{name:lexicon,kind:lexicon}]"


def keys(root, name):
    plan = json.loads((root / "sweeps" / name / "plan.json").read_text())
    return {f"{j['stage']}/{j['key']}" for j in plan["jobs"]}


def test_a_second_sweep_makes_only_what_the_first_has_not(copied, run, tmp_path):
    root = copied(tmp_path)
    manifests = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in root.glob("store/*/*/manifest.json")}
    second = run(
        root, "experiment=tiny", "name=second", "method=original,agree_prompt", "framing=filler,happy"
    )
    assert second.code == 0, second.err
    common = keys(root, "tiny") & keys(root, "second")
    assert Counter(k.split("/")[0] for k in common) == {
        "corpus": 1,
        "measure": 4,  # gold replies and those of original, by two meters
        "respond": 7,  # filler in two beliefs by original (two draws) and agree_prompt; validation prompts
        "judge": 6,
    }
    assert sorted(second.details("commit")) == sorted(keys(root, "second") - common)
    assert len([c for c in second.details("commit") if c.startswith("respond/")]) == 6
    for path, facts in manifests.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == facts, path


def test_two_sweeps_at_the_same_moment_share_the_work(start, tmp_path):
    root = tmp_path / "outputs"
    sweeps = {
        "one": ("method=original", "framing=filler,sad,angry"),
        "two": ("method=original,agree_prompt", "framing=filler,sad"),
    }
    running = [
        start(root, *SMALL, LEXICON, "engine.workers=1", f"name={name}", *what)
        for name, what in sweeps.items()
    ]
    ended = [r.end() for r in running]
    assert [e.code for e in ended] == [0, 0], "".join(e.err for e in ended)
    common = keys(root, "one") & keys(root, "two")
    assert Counter(k.split("/")[0] for k in common) == {"corpus": 1, "measure": 2, "respond": 3, "judge": 2}
    made = Counter(c for e in ended for c in e.details("commit"))
    assert made == Counter(keys(root, "one") | keys(root, "two"))
    batches = Counter(b for e in ended for b in e.details("batch"))
    assert max(batches.values()) == 1
    assert not (root / "store" / "corrupt").exists()
    for name in sweeps:
        assert (root / "sweeps" / name / "observations.parquet").is_file()
        assert (root / "sweeps" / name / "manifest.json").is_file()


def test_the_same_sweep_published_by_two_processes_at_once(copied, start, finished, results, tmp_path):
    root = copied(tmp_path)
    shutil.rmtree(root / "sweeps")
    ended = [r.end() for r in [start(root, "experiment=tiny") for _ in range(3)]]
    assert [e.code for e in ended] == [0, 0, 0], "".join(e.err for e in ended)
    assert results(root / "sweeps" / "tiny") == results(finished.folder)

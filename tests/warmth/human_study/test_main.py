from __future__ import annotations

import csv
import subprocess
import sys

import polars as pl

from warmgap.warmth.human_study.__main__ import main

from .conftest import scripted


def exported(sweep, out, *more):
    numbers = ("--n-pairs=6", "--n-raters=4", "--pairs-per-rater=3")
    where = (f"--sweep={sweep.plan.name}", f"--root={sweep.store.root}", f"--out={out}")
    return main(["export", *where, *numbers, *more])


def test_export_and_import_give_the_table(sweep, tmp_path, capsys):
    study = tmp_path / "study"
    assert exported(sweep, study) == 0
    with (study / "pairs.csv").open(newline="") as f:
        pairs = {r["pair_id"]: r for r in csv.DictReader(f)}
    with (study / "assignment.csv").open(newline="") as f:
        slots = list(csv.DictReader(f))
    # Raters who always find the warm reply warmer, told by its text and not by the key.
    lines = ["study_id,rater,pair_id,chosen"]
    for s in slots:
        left = pairs[s["pair_id"]]["reply_left"] == scripted.REPLIES["warm_sft"]
        lines.append(f"{s['study_id']},{s['rater']},{s['pair_id']},{'left' if left else 'right'}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    assert main(["import", "--study", str(study), "--ratings", str(tmp_path / "all.csv")]) == 0
    said = capsys.readouterr().out
    assert "arm_a chosen as warmer: 100.0 %" in said and "75.0 % [71.5, 78.5]" in said
    table = pl.read_csv(study / "human_warmth.csv")
    assert table.filter(pl.col("measure") == "choice_share")["n_ratings"].to_list() == [12]
    agreement = table.filter(pl.col("measure") == "meter_agreement")
    assert agreement["meter"].to_list() == ["lexicon"] and agreement["estimate_pct"].to_list() == [100.0]


def test_what_the_user_can_mend_ends_with_2_and_without_a_traceback(sweep, tmp_path, capsys):
    assert exported(sweep, tmp_path / "s", "--arm-a", "warm") == 2
    said = capsys.readouterr().err
    assert said.startswith("warmgap: ") and "Did you mean 'warm_sft'" in said and "Traceback" not in said
    assert not (tmp_path / "s").exists()
    assert main(["import", "--study", str(tmp_path), "--ratings", "x.csv", "--confidence", "95"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "warmgap.warmth.human_study",
            "import",
            "--study",
            "nowhere",
            "--ratings",
            "x",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and "cannot read nowhere" in done.stderr

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from warmgap.bundles import Bundle, bundles
from warmgap.job_files import read_bundle
from warmgap.schema.cluster import ResourcesConfig
from warmgap.store import Store
from warmgap_launchers.snakefile import snakefile_text, write_snakefile

ARGUMENTS = ("experiment=tiny", "method=original,warm_sft", "name=snake", "stage=snakefile")
GIVEN = ResourcesConfig(partition="gpu", gpus=1, cpus=3, mem_gb=8, time_min=90, setup=["x={a}; echo 'b'"])


def rules_of(text: str) -> dict[str, dict[str, list[str]]]:
    """Rule -> directive -> its lines; read by layout, as the file has no other."""
    out: dict[str, dict[str, list[str]]] = {}
    for block in text.split("\n\n\n")[1:]:
        head, *lines = block.strip("\n").split("\n")
        rule = out[re.fullmatch(r"rule (\w+):", head)[1]] = {}
        for line in lines:
            if found := re.fullmatch(r"    (\w+):(.*)", line):
                at = rule[found[1]] = [found[2].strip()] if found[2] else []
            else:
                at.append(line.strip().removesuffix(","))
    return out


@pytest.fixture
def written(request_of, tmp_path):
    """Request, plan and the Snakefile of a sweep."""
    request = request_of(*ARGUMENTS, f"store.root={tmp_path}")
    plan = request.plan()
    said = write_snakefile(plan, request.base, Store(tmp_path))
    path = tmp_path / "sweeps" / "snake" / "Snakefile"
    assert f"snakemake --snakefile {path} " in said
    return request.base, plan, path


def test_one_rule_a_bundle_with_its_needs_and_no_artifact(written):
    _, plan, path = written
    rules = rules_of(path.read_text())
    made = bundles(plan.nodes)
    assert len(rules) == len(made) + 1
    assert rules["all"]["input"] == [repr(f"snakemake/{b.name}.done") for b in made]
    for bundle in made:
        rule = rules[re.sub(r"\W", "_", bundle.name)]
        job, *needs = rule["input"]
        assert job == repr(f"snakemake/{bundle.name}.json.gz")
        assert needs == [repr(f"snakemake/{name}.done") for name in bundle.needs]
        assert rule["output"] == [f"touch({f'snakemake/{bundle.name}.done'!r})"]
        assert rule["threads"] == ["2"]  # conf/cluster/default.yaml, as the next two
        assert rule["resources"] == ["runtime=240", "mem_mb=8192"]
        (command,) = rule["shell"]
        assert f"{sys.executable} -m warmgap_launchers.bundle_run {job[1:-1]} > {{log}} 2>&1" in command
        file = read_bundle(path.parent / job[1:-1])
        assert (file.bundle, file.plan_key) == (bundle, plan.key)
        assert file.publish == (bundle == made[-1])
    assert "/store/" not in path.read_text()


def test_written_again_it_holds_what_is_left_and_no_old_mark(written):
    base, plan, path = written
    mark = path.parent / "snakemake" / "corpus.done"
    mark.touch()
    write_snakefile(plan, base, Store(Path(base.store.root)))
    assert not mark.exists()
    assert path.is_file()


def test_resources_setup_and_odd_names_stand_as_snakemake_reads_them():
    one, two = (
        Bundle("respond-a-b-1", "respond", "a-b", ("k",)),
        Bundle("respond-a_b-1", "respond", "a_b", ("l",)),
    )
    text = snakefile_text("s", (one, two), {b.name: GIVEN for b in (one, two)}, ["set -x"], "/my env/python")
    rules = rules_of(text)
    assert set(rules) == {"all", "respond_a_b_1", "respond_a_b_1_2"}
    rule = rules["respond_a_b_1"]
    resources = ["runtime=90", "mem_mb=8192", "gpus=1", "slurm_partition='gpu'"]
    assert (rule["threads"], rule["resources"]) == (["3"], resources)
    shell = "".join(eval(line) for line in rule["shell"])
    command = "'/my env/python' -m warmgap_launchers.bundle_run snakemake/respond-a-b-1.json.gz > LOG 2>&1"
    assert shell.format(log="LOG") == f"set -x\nx={{a}}; echo 'b'\n{command}"
    bare = snakefile_text("s", (one,), {one.name: replace(GIVEN, gpus=0, mem_gb=0, partition="")})
    assert rules_of(bare)["respond_a_b_1"]["resources"] == ["runtime=90"]


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake")
def test_snakemake_plans_every_rule(written, tmp_path):
    _, plan, path = written
    command = ["snakemake", "--snakefile", str(path), "--cores", "2", "--dry-run"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    total = re.search(r"^total +(\d+)", ended.stdout + ended.stderr, re.MULTILINE)
    assert total is not None
    assert int(total[1]) == len(bundles(plan.nodes)) + 1

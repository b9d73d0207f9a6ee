from __future__ import annotations

import gzip
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.bundles import Bundle, bundles
from warmgap.errors import UserError
from warmgap.job_files import BundleFile, nodes_of, read_bundle, write_bundle
from warmgap.jobs import Job, JudgeJob, RespondJob
from warmgap.plan import Node, Plan
from warmgap.publish import announce, publish
from warmgap.store import Store

RELEASED = {"trivia": 4, "truthfulqa": 4, "disinfo": 4, "medqa": 4}
FRAMINGS = "framing=none,filler,sad"
PLANS = {
    "tiny": ("experiment=tiny",),
    "methods": ("experiment=methods",),
    "doses": ("experiment=tiny", "name=d", "+doses.warm_sft={checkpoint: [0.5], scale: [-1, 2]}"),
    "rewritten": (
        *("experiment=tiny", "name=r", "method=original,self_sft,self_warm_sft"),
        *("rewriting.facts.model=gpt_4o", "rewriting.facts.engine=openai"),
    ),
    "rated": (
        *(
            "experiment=tiny",
            "name=w",
            "warmth=rated",
            "warmth.n_prompts=6",
            "training.checkpoints=[0.25,0.5,1.0]",
        ),
        *("judge=llm", "judge.model=gpt_4o", "judge.engine=openai"),
    ),
    "served": (
        *("experiment=tiny", "name=s", "engine=openai", "engine.api.model=base", "sampling.margin=false"),
        *("method=original,warm_sft", "+engine.api.adapter_names.other='{method}-{seed}'"),
    ),
    "tuned": (
        *("experiment=tiny", "name=t", "model=gpt_4o", "engine=openai", "training=openai"),
        *("training.steps=0", "training.checkpoints=[1,2]", "sampling.margin=false"),
        "method=original,warm_sft",
    ),
    "published": (
        *("design=published", "task=triviaqa,truthfulqa,disinfo,medqa", FRAMINGS, "name=p"),
        *("belief=none,incorrect,denies", "method=original,warm_prompt", "sampling=paper", "warmth=demo"),
        *("warmth.n_prompts=6", "corpus.n_validation=6", "design.prompts=RELEASED"),
    ),
    "vllm": ("experiment=tiny", "name=v", "engine=vllm", "sampling.margin=false"),
}


@pytest.fixture(scope="module")
def planned(plan_of, made_release, tmp_path_factory):
    """A plan of `PLANS` by name."""
    folder = made_release.write(tmp_path_factory.mktemp("release"), RELEASED, denies=2)
    return lambda name: plan_of(*(a.replace("RELEASED", str(folder)) for a in PLANS[name]))


def files_of(plan: Plan, split: int = 1) -> list[BundleFile]:
    """What a submission writes."""
    return [
        BundleFile(
            sweep=plan.name,
            plan_key=plan.key,
            bundle=bundle,
            nodes=nodes_of(plan, bundle, publish=bundle.stage == "analyse"),
            summary=dict(plan.summary),
            publish=bundle.stage == "analyse",
            root="/out",
            fail_fast=split > 1,
            workers=3,
            devices=1,
            cluster={"max_requeues": 20},
        )
        for bundle in bundles(plan.nodes, split)
    ]


def there_and_back(path: Path, file: BundleFile) -> BundleFile:
    write_bundle(path, file)
    return read_bundle(path)


@pytest.mark.parametrize("name", PLANS)
def test_every_bundle_is_read_as_it_was_written(planned, name, tmp_path):
    plan = planned(name)
    for file in files_of(plan, split=2):
        found = there_and_back(tmp_path / "b.json.gz", file)
        assert found == file
        assert list(found.nodes) == list(file.nodes)
        assert [*found.todo] == [*file.bundle.keys]
        assert [n.base for n in found.nodes.values()] == [n.base for n in file.nodes.values()]
        for job, was in zip(found.nodes.values(), file.nodes.values(), strict=True):
            assert repr(job.job) == repr(was.job)  # 1 and 1.0, list and tuple are equal or alike in ==
            assert job.job.inputs == was.job.inputs


def test_these_plans_have_every_kind_of_job(planned):
    kinds = {type(n.job) for name in PLANS for n in planned(name).nodes.values()}
    assert kinds == set(get_args(Job))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_jobs_with_any_texts_are_read_as_they_were_written(planned, tmp_path_factory, data):
    draw = data.draw
    plan = planned(draw(st.sampled_from(sorted(PLANS))))
    nodes: dict[str, Node] = {}
    for node in draw(st.lists(st.sampled_from(list(plan.nodes.values())), min_size=1, max_size=6)):
        job = node.job
        if isinstance(job, RespondJob):
            row = job.prompts[0]
            said = tuple(draw(st.lists(st.tuples(TEXT, TEXT), max_size=3)))
            row = replace(row, messages=said, statement_id=draw(st.none() | TEXT))
            job = replace(job, prompts=draw(st.sampled_from([(), (row,), job.prompts])))
        elif isinstance(job, JudgeJob):
            rows = (replace(job.questions[0], question=draw(TEXT)), *job.questions)
            job = replace(job, questions=rows)
        elif hasattr(job, "facts") and isinstance(job.facts, dict):
            values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
            job = replace(job, facts={"any": draw(st.lists(values.filter(lambda v: v not in FAR)))})
        changed = Node(job, draw(TEXT), draw(st.integers(0, 10**9)))
        nodes[changed.key] = changed
    bundle = Bundle("b", "respond", draw(TEXT), tuple(nodes), ("a",))
    file = BundleFile(draw(TEXT), "k", bundle, nodes, {draw(TEXT): [1, 1.0, None]})
    path = tmp_path_factory.mktemp("any") / "b.json.gz"
    assert repr(there_and_back(path, file)) == repr(file)


FAR = (float("inf"), float("-inf"))


def lines_of(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as f:
        return [json.loads(line) for line in f]


def test_rows_that_jobs_share_are_stored_and_read_once(planned, tmp_path):
    plan = planned("tiny")
    path = tmp_path / "b.json.gz"
    file = BundleFile("tiny", plan.key, Bundle("all", "analyse", "", tuple(plan.nodes)), dict(plan.nodes), {})
    found = there_and_back(path, file)
    asked = {n.job.prompts for n in plan.nodes.values() if isinstance(n.job, RespondJob)}
    judged = {n.job.questions for n in plan.nodes.values() if isinstance(n.job, JudgeJob)}
    fields = [line["field"] for line in lines_of(path) if "rows" in line]
    assert (fields.count("prompts"), fields.count("questions")) == (len(asked), len(judged))
    objects = {id(n.job.prompts) for n in found.nodes.values() if isinstance(n.job, RespondJob)}
    assert len(objects) == len(asked)


@pytest.fixture
def written(planned, tmp_path) -> Path:
    """The file of answers of `tiny`."""
    file = next(f for f in files_of(planned("tiny")) if f.bundle.stage == "respond")
    path = tmp_path / "respond.json.gz"
    write_bundle(path, file)
    return path


def set_in_job(line: dict) -> None:
    line["job"]["engine"]["workers"] = "1"  # enters no key


def leave_out(line: dict) -> None:
    del line["job"]["served"]  # has a default


def add(line: dict) -> None:
    line["job"]["model"]["colour"] = "red"


def other_seed(line: dict) -> None:
    line["job"]["sampling_seed"] += 1


def other_kind(line: dict) -> None:
    line["kind"] = "SingJob"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_in_job, "'1' is no int"),
        (leave_out, "RespondJob has other fields: served"),
        (add, "ModelConfig has other fields: colour"),
        (other_seed, "respond of .* has another key than in the file"),
        (other_kind, "SingJob"),
    ],
)
def test_a_job_that_is_another_one_here_is_refused(written, change, said):
    lines = lines_of(written)
    change(next(line for line in lines if "job" in line))
    with gzip.open(written, "wt") as f:
        f.writelines(f"{json.dumps(line)}\n" for line in lines)
    with pytest.raises(UserError, match=f"{said}.*another version of warmgap.*stage=snakefile"):
        read_bundle(written)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_is_refused(written, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"cannot be used.*damaged"):
        read_bundle(written)


def test_a_file_that_is_none_or_another_is_refused(written):
    written.write_bytes(b"PK not ours")
    with pytest.raises(UserError, match="damaged"):
        read_bundle(written)
    with gzip.open(written, "wt") as f:
        f.write('{"format": 99}\n')
    with pytest.raises(UserError, match="another format"):
        read_bundle(written)
    with pytest.raises(UserError, match=r"missing file: .*none\.json\.gz"):
        read_bundle(written.with_name("none.json.gz"))


def test_a_sweep_is_published_from_its_last_file(planned, tmp_path, capsys):
    plan = replace(planned("tiny"), compiled_key="0" * 64)  # as of a plan whose report knows a frozen one
    store = Store(tmp_path)
    for node in (plan.nodes[plan.analyse.key], plan.nodes[plan.report.key]):
        with store.workspace(node.key) as folder:
            (folder / f"{node.job.stage}.txt").write_text("made")
            store.commit(
                folder,
                stage=node.job.stage,
                stage_version=node.job.version,
                key=node.key,
                config={},
                inputs=node.job.inputs,
                fingerprints={},
                counts={"absent": {}},
                started=time.time(),
            )
    last = there_and_back(tmp_path / "last.json.gz", files_of(plan)[-1])
    assert last.publish
    assert last.plan.key == plan.key == "0" * 64
    assert (last.plan.analyse, last.plan.report) == (plan.analyse, plan.report)
    folder = publish(last.plan, store)
    manifest = (folder / "manifest.json").read_text()
    assert json.loads(manifest)["plan_key"] == plan.key
    trainings = {n.label: k for k, n in plan.nodes.items() if n.job.stage == "train"}
    assert json.loads(manifest)["trainings"] == trainings
    announce(last.plan, store, did=1)
    assert "Tables:" in capsys.readouterr().out
    shutil.rmtree(folder)
    assert (publish(plan, store) / "manifest.json").read_text() == manifest

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.claim import claim_sweep_folder
from warmgap.errors import UserError
from warmgap.plan import Node, Plan, count_by_stage, differences, ordered
from warmgap.schema.fields import STAGES
from warmgap.store import Store

ARGUMENTS = ("experiment=tiny", "method=original,warm_sft", "name=small")
WITHOUT_REWRITES = [stage for stage in STAGES if stage != "rewrite"]
"""Stages of a plan that trains on what the corpus holds."""


@pytest.fixture
def plan(plan_of) -> Plan:
    return plan_of(*ARGUMENTS)


def of(plan: Plan, *stages: str) -> list[Node]:
    return [n for n in plan.nodes.values() if n.job.stage in stages]


def stages(nodes: dict[str, Node]) -> set[str]:
    return {n.job.stage for n in nodes.values()}


def test_every_job_follows_its_inputs_and_all_inputs_are_in_the_plan(plan):
    seen: set[str] = set()
    for key, node in plan.nodes.items():
        assert key == node.key == node.job.key
        assert set(node.job.inputs.values()) <= seen
        seen.add(key)
    assert stages(plan.nodes) == set(WITHOUT_REWRITES)


def test_rewrites_follow_the_corpus_and_come_before_trainings(plan_of):
    plan = plan_of(ARGUMENTS[0], "method=original,self_warm_sft", "name=small")
    seen: set[str] = set()
    for key, node in plan.nodes.items():
        assert set(node.job.inputs.values()) <= seen
        seen.add(key)
    assert stages(plan.nodes) == set(STAGES)
    assert list(count_by_stage(plan.nodes)) == list(STAGES)


def test_the_plans_key_depends_on_the_set_of_its_jobs(plan):
    backwards = Plan(plan.name, ordered(reversed(plan.nodes.values())))
    assert backwards.key == plan.key
    first = next(iter(plan.nodes))
    assert Plan(plan.name, {k: n for k, n in plan.nodes.items() if k != first}).key != plan.key


def test_jobs_are_ordered_by_stage_and_kept_once(plan):
    nodes = list(plan.nodes.values())
    found = ordered([*nodes[::-1], *nodes])
    assert found.keys() == plan.nodes.keys()
    assert [n.job.stage for n in found.values()][:3] == ["corpus", "train", "respond"]


def test_an_empty_store_lacks_everything_and_a_full_one_nothing(plan, tmp_path, make):
    store = Store(tmp_path)
    assert plan.missing(store) == plan.nodes
    make(store, *plan.nodes.values())
    assert plan.missing(Store(tmp_path)) == {}


def test_what_is_there_is_not_made_again(plan, tmp_path, make):
    store = Store(tmp_path)
    make(store, *of(plan, "corpus", "train"), *of(plan, "respond")[:3])
    missing = plan.missing(Store(tmp_path))
    done = {n.key for n in (*of(plan, "corpus", "train"), *of(plan, "respond")[:3])}
    assert missing.keys() == plan.nodes.keys() - done


def test_a_stage_does_not_need_what_its_finished_inputs_were_made_from(plan, tmp_path, make):
    store = Store(tmp_path)
    make(store, *of(plan, "analyse"))
    assert stages(plan.missing(Store(tmp_path), "report")) == {"report"}
    assert stages(plan.missing(Store(tmp_path))) == set(WITHOUT_REWRITES) - {"analyse"}


def test_a_damaged_artifact_is_made_again_with_what_it_needs_and_no_more(plan, tmp_path, make):
    store = Store(tmp_path)
    make(store, *plan.nodes.values())
    verdict = of(plan, "judge")[0]
    (store.folder("judge", verdict.key) / "note").write_text("damaged")
    shutil.rmtree(store.folder("analyse", plan.analyse.key))
    missing = plan.missing(Store(tmp_path))
    assert missing.keys() == {verdict.key, plan.analyse.key}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_its_own_jobs_and_their_inputs(plan, tmp_path, stage):
    wanted = plan.upto(stage)
    goals = {n.key for n in of(plan, stage)}
    assert goals <= wanted.keys()
    needed = set(goals)
    for node in reversed(plan.nodes.values()):
        if node.key in needed:
            needed |= set(node.job.inputs.values())
    assert wanted.keys() == needed
    assert plan.missing(Store(tmp_path), stage).keys() == needed


def test_finished_answers_need_no_training_again(plan, tmp_path, make):
    store = Store(tmp_path)
    make(store, *of(plan, "respond"))
    assert plan.missing(Store(tmp_path), "respond") == {}
    assert stages(plan.missing(Store(tmp_path), "judge")) == {"judge"}


def test_a_stage_that_does_not_exist_is_named_with_the_nearest(plan):
    with pytest.raises(UserError, match=r"stage=jugde is not a stage\. Did you mean 'judge'\? Allowed: all,"):
        plan.upto("jugde")


def test_counts_are_jobs_and_units(plan):
    counts = count_by_stage(plan.nodes)
    assert list(counts) == WITHOUT_REWRITES
    for stage, (jobs, units) in counts.items():
        assert jobs == len(of(plan, stage))
        assert units == sum(n.units for n in of(plan, stage))
    assert counts["respond"][1] == sum(len(n.job.prompts) for n in of(plan, "respond"))
    assert count_by_stage({}) == {}


def test_jobs_of_one_arm_are_one_group(plan):
    groups = {n.group for n in of(plan, "respond")}
    # original, warm_sft, warm_sft at scale 0 for the canary, and the checkpoint that is only measured
    assert len(groups) == 4
    assert {n.group for n in of(plan, "judge")} == {"judge"}


def test_answers_of_all_arms_of_one_model_have_one_base(plan_of):
    plan = plan_of("experiment=tiny", "method=original,warm_sft,warm_prompt", "seed=0,1", "name=bases")
    answers = of(plan, "respond")
    assert len({n.group for n in answers}) > 1 == len({n.base for n in answers})
    trainings = of(plan, "train")
    assert len({n.base for n in trainings}) == len(trainings)
    meters = {n.job.meter.kind: n.base for n in of(plan, "measure")}
    assert {kind: bool(base) for kind, base in meters.items()} == {k: k == "sociot" for k in meters}
    assert {n.base for n in of(plan, "corpus", "judge", "analyse", "report")} == {""}
    finer = plan_of(*ARGUMENTS, "engine.precision=fp32")
    assert {n.base for n in of(finer, "respond")}.isdisjoint(n.base for n in answers)


def test_a_folder_belongs_to_one_plan_until_told_otherwise(plan, plan_of, tmp_path):
    store = Store(tmp_path)
    path = tmp_path / "sweeps" / "small" / "plan.json"
    claim_sweep_folder(plan, store, replan=False)
    facts = json.loads(path.read_text())
    assert (facts["name"], facts["key"]) == ("small", plan.key)
    assert {j["key"] for j in facts["jobs"]} == plan.nodes.keys()
    assert sum(j["units"] for j in facts["jobs"]) == sum(n.units for n in plan.nodes.values())
    claim_sweep_folder(plan, store, replan=False)

    other = plan_of(*ARGUMENTS, "sampling.temperature=0.8", "framing=filler,angry")
    with pytest.raises(UserError) as refused:
        claim_sweep_folder(other, store, replan=False)
    message = str(refused.value)
    assert "the sweep 'small' exists with another plan" in message
    assert "settings.sampling.temperature: 0.3 -> 0.8" in message
    assert "axes.framing: filler, sad -> filler, angry" in message
    assert "name=NAME" in message
    assert "replan=true" in message
    assert json.loads(path.read_text())["key"] == plan.key
    claim_sweep_folder(other, store, replan=True)
    assert json.loads(path.read_text())["key"] == other.key


@pytest.mark.parametrize("left", ["", "{ torn", "[]", "{}"])
def test_a_damaged_plan_file_is_written_again(plan, tmp_path, left):
    path = tmp_path / "sweeps" / "small" / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text(left)
    claim_sweep_folder(plan, Store(tmp_path), replan=False)
    assert json.loads(path.read_text())["key"] == plan.key


scalars = st.integers() | st.booleans() | st.text("abc", max_size=3)
summaries = st.dictionaries(
    st.sampled_from("abc"),
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.sampled_from("xyz"), scalars, max_size=3),
    max_size=3,
)


@given(summaries, summaries)
def test_differences_name_every_setting_that_differs_and_no_other(a, b):
    found = differences(a, b)
    named = {line.split(":")[0] for line in found if ": " in line}
    for key in named:
        assert key.split(".")[0] in a.keys() | b.keys()
    for key in a.keys() & b.keys():
        if a[key] == b[key] and str(a[key]) == str(b[key]):
            assert key not in {n.split(".")[0] for n in named}
    assert differences(a, a) == ["data files, texts or the version of a stage"]


def test_differences_say_from_what_to_what():
    assert differences({"a": {"x": 1}, "b": [1, 2]}, {"a": {"x": 2}, "c": "new"}) == [
        "a.x: 1 -> 2",
        "b: 1, 2 -> absent",
        "c: absent -> new",
    ]

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmgap.anew import Anew, OldJob, OldPlan, Reason, compare
from warmgap.claim import FILE, against_claimed, claim_sweep_folder, plan_json, read_plan
from warmgap.compile import compile_plan
from warmgap.errors import UserError
from warmgap.gc.plans import read_plans
from warmgap.jobs import AnalyseJob, JudgeJob, RespondJob
from warmgap.parts import parts
from warmgap.plan import Node, Plan
from warmgap.show_anew import anew_lines
from warmgap.store import Store
from warmgap.sweep import Sweep
from warmgap_launchers import request

BASE = ("experiment=tiny", "method=original,warm_sft", "name=small")
PERSONA = "method.persona or design.system_prompt"

# Settings, and what must be made anew for a reason of its own: stage -> what is said.
# Then the stages that follow, each with the stages that it follows.
FLIPS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "training.learning_rate=0.002": (
        {"train": "training.learning_rate: 0.001 -> 0.002"},
        dict.fromkeys(("respond", "measure", "judge", "analyse", "report"), "train"),
    ),
    "training.lora.r=4": (
        {"train": "training.lora.r: 8 -> 4"},
        dict.fromkeys(("respond", "measure", "judge", "analyse", "report"), "train"),
    ),
    "training.packing=false": (
        {"train": "training.packing: true -> false"},
        dict.fromkeys(("respond", "measure", "judge", "analyse", "report"), "train"),
    ),
    "training.turns=all": (
        {"train": "training.turns: first -> all"},
        dict.fromkeys(("respond", "measure", "judge", "analyse", "report"), "train"),
    ),
    "corpus.n_conversations=18": (
        {"corpus": "corpus.n_conversations: 12 -> 18"},
        dict.fromkeys(("train", "respond", "measure", "judge", "analyse", "report"), "corpus"),
    ),
    "sampling.max_new_tokens=9": (
        {"respond": "sampling.max_new_tokens: 8 -> 9"},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "sampling.temperature=0.8": (
        {"respond": "sampling.temperature: 0.3 -> 0.8"},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "sampling.seed=7": (
        {"respond": "sampling.seed: 0 -> 7"},
        dict.fromkeys(("measure", "judge", "analyse", "report"), "respond"),
    ),
    "sampling.margin_prefix='It is'": (
        {"respond": "sampling.margin_prefix: The answer is -> It is"},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "engine.precision=fp32": (
        {"respond": "engine.precision: bf16 -> fp32"},
        dict.fromkeys(("measure", "judge", "analyse", "report"), "respond"),
    ),
    "warmth.max_new_tokens=9": (
        {"respond": "warmth.max_new_tokens: 8 -> 9"},
        dict.fromkeys(("measure", "analyse", "report"), "respond"),
    ),
    "design.seed=1": (
        {"respond": "which questions are asked"},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "design.system_prompt='Be brief. {persona}'": (
        {"respond": PERSONA},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "design.user_template='{question} {statement} {belief}'": (
        {"respond": "texts of the prompts"},
        dict.fromkeys(("judge", "analyse", "report"), "respond"),
    ),
    "judge.refusal_substrings=[no way]": (
        {"judge": r"judge\.refusal_substrings.*"},
        dict.fromkeys(("analyse", "report"), "judge"),
    ),
    "analysis.confidence=0.9": (
        {"analyse": "analysis.confidence: 0.95 -> 0.9"},
        {"report": "analyse"},
    ),
    "warmth.gate.min_auc=0.5": (
        {"analyse": "warmth.gate.min_auc: 0.75 -> 0.5"},
        {"report": "analyse"},
    ),
    "report.title='A title'": ({"report": "report.title: none -> A title"}, {}),
    "sampling.name=other": ({"analyse": "settings of the arms"}, {"report": "analyse"}),
}


@pytest.fixture(scope="session")
def flipped(request_of) -> Callable[..., Plan]:
    """The plan of `BASE` with settings as in `FLIPS`; composed once, compiled once for each."""
    taken: list[Sweep] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(request, "compile_plan", lambda sweep: taken.append(sweep) or compile_plan(sweep))
        request_of(*BASE).plan()
    (sweep,) = taken

    @functools.cache
    def plan(*flips: str) -> Plan:
        arms, judges = copy.deepcopy(sweep.arms), copy.deepcopy(sweep.judges)
        for flip in flips:
            path, _, value = flip.partition("=")
            *groups, name = path.split(".")
            records = judges if groups == ["judge"] else [getattr(a.config, groups[0]) for a in arms]
            for record in records:
                setattr(functools.reduce(getattr, groups[1:], record), name, yaml.safe_load(value))
        return compile_plan(replace(sweep, arms=arms, judges=judges))

    return plan


@pytest.fixture
def plan(flipped) -> Plan:
    return flipped()


def old_of(plan: Plan) -> OldPlan:
    """As it is read back from plan.json."""
    found = json.loads(plan_json(plan, parts(plan)))
    jobs = tuple(OldJob(j["stage"], j["key"], j["label"], j["units"]) for j in found["jobs"])
    return OldPlan(found["key"], found["summary"], jobs, parts(plan))


def compared(before: Plan, after: Plan) -> Anew:
    return compare(old_of(before), after, parts(after))


def reasons(found: Anew, plan: Plan) -> dict[str, set[Reason]]:
    out: dict[str, set[Reason]] = {}
    for key, reason in found.anew.items():
        out.setdefault(plan.nodes[key].job.stage, set()).add(reason)
    return out


@pytest.mark.parametrize("flip", FLIPS)
def test_a_flip_names_the_setting_its_values_and_the_stages_that_follow(plan, flipped, flip):
    after = flipped(flip)
    found = compared(plan, after)
    own, follow = FLIPS[flip]
    told = reasons(found, after)
    assert set(told) == own.keys() | follow.keys()
    for stage, said in own.items():
        (reason,) = told[stage]
        assert not reason.since
        (setting,) = reason.settings
        assert setting == said or re.fullmatch(said, setting)
    for stage, since in follow.items():
        if stage in own:
            continue
        assert told[stage] == {Reason((), (since,))}
    assert not found.new
    assert not found.dropped
    assert set(found.kept) == plan.nodes.keys() & after.nodes.keys()


def test_a_job_that_changed_and_follows_says_both(plan, flipped):
    after = flipped("training.learning_rate=0.002", "sampling.max_new_tokens=9")
    told = reasons(compared(plan, after), after)
    assert told["train"] == {Reason(("training.learning_rate: 0.001 -> 0.002",))}
    longer = ("sampling.max_new_tokens: 8 -> 9",)
    assert told["respond"] == {Reason(longer), Reason(longer, ("train",)), Reason((), ("train",))}
    assert told["judge"] == {Reason((), ("respond",)), Reason((), ("train", "respond"))}
    assert told["analyse"] == {Reason((), ("train", "respond"))}


def test_other_arms_and_cells_are_new_or_no_longer_asked_for(plan, plan_of):
    wider = plan_of(*BASE[:1], "method=original,warm_sft,cold_sft", BASE[2])
    found = compared(plan, wider)
    n_before, n_after = len(plan.analyse.cells), len(wider.analyse.cells)
    assert reasons(found, wider) == {
        "analyse": {Reason(("arms of the sweep: 2 -> 3", f"cells of the sweep: {n_before} -> {n_after}"))},
        "report": {Reason((), ("analyse",))},
    }
    assert {"train", "respond", "judge"} <= {wider.nodes[k].job.stage for k in found.new}
    assert not found.dropped
    back = compared(wider, plan)
    assert {j.key for j in back.dropped} == set(found.new)
    assert not back.new


def test_variants_of_one_label_are_paired_with_the_likest(plan_of):
    trained = (*BASE[:1], "method=warm_sft", BASE[2])
    before = plan_of(*trained, "training.learning_rate=0.001,0.002", "training.lora.r=8")
    after = plan_of(*trained, "training.learning_rate=0.002,0.003", "training.lora.r=8")
    found = compared(before, after)
    assert reasons(found, after)["train"] == {Reason(("training.learning_rate: 0.001 -> 0.003",))}


def test_replies_that_are_rewritten_otherwise_are_said(plan_of):
    own = (BASE[0], "method=original,self_sft", BASE[2])
    before, after = plan_of(*own), plan_of(*own, "rewriting.temperature=0.45")
    told = reasons(compared(before, after), after)
    assert any(
        re.fullmatch(r"rewriting\.temperature: [0-9.]+ -> 0\.45", setting)
        for reason in told["rewrite"]
        for setting in reason.settings
    )
    assert told["train"] == {Reason((), ("rewrite",))}
    assert all(reason.since for reason in told["respond"])


def test_a_new_version_of_a_stage_is_said(plan, monkeypatch):
    old = old_of(plan)
    monkeypatch.setattr(AnalyseJob, "version", AnalyseJob.version + 1)
    nodes = [Node(n.job, n.label, n.units) for n in plan.nodes.values()]
    for i, node in enumerate(nodes):
        if node.job.stage == "report":
            analyse = next(n.key for n in nodes if n.job.stage == "analyse")
            nodes[i] = Node(replace(node.job, analyse_key=analyse), node.label, node.units)
    after = replace(plan, nodes={n.key: n for n in nodes})
    told = reasons(compare(old, after, parts(after)), after)
    n = AnalyseJob.version
    assert told == {
        "analyse": {Reason((f"version of the stage: {n - 1} -> {n}",))},
        "report": {Reason((), ("analyse",))},
    }


def test_answers_of_the_task_that_were_mended_are_said(plan):
    """Where no margin is scored, the references reach verdicts alone."""
    old = old_of(plan)
    (key, node) = next((k, n) for k, n in plan.nodes.items() if isinstance(n.job, JudgeJob))
    job = node.job
    mended = replace(job.questions[0], aliases=("another form",))
    other = Node(replace(job, questions=(mended, *job.questions[1:])), node.label, node.units)
    after = replace(plan, nodes={n.key: n for n in (other if k == key else n for k, n in plan.nodes.items())})
    assert compare(old, after, parts(after)).anew == {
        other.key: Reason(("questions and answers of the task",))
    }


def test_every_part_of_a_prompt_has_its_name(plan):
    old = old_of(plan)
    key, node = next((c.respond_key, plan.nodes[c.respond_key]) for c in plan.analyse.cells)
    first = node.job.prompts[0]
    changes = {
        "texts of the prompts": replace(first, statement_id="other"),
        PERSONA: replace(first, messages=(("system", "Be dry."), *first.messages[1:])),
        "answers whose margin is scored": replace(first, candidates=("a", "b")),
    }
    assert first.messages[0][0] == "system"
    for said, row in changes.items():
        job = replace(node.job, prompts=(row, *node.job.prompts[1:]))
        # Asked by the analysis, too, by which answers to questions are told from those that measure warmth.
        cells = tuple(
            replace(c, respond_key=job.key) if c.respond_key == key else c for c in plan.analyse.cells
        )
        analyse = replace(plan.analyse, cells=cells)
        nodes = {}
        for n in plan.nodes.values():
            new = job if n.key == key else analyse if n.job is plan.analyse else n.job
            nodes[new.key] = Node(new, n.label, n.units)
        after = replace(plan, nodes=nodes)
        assert compare(old, after, parts(after)).anew[job.key] == Reason((said,))


PLANS = [(), *((flip,) for flip in FLIPS)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLANS), st.sampled_from(PLANS), st.data())
def test_kept_anew_and_new_are_the_new_plan(flipped, before, wanted, data):
    after = flipped(*wanted)
    whole = old_of(flipped(*before))
    some = data.draw(st.sets(st.sampled_from(range(len(whole.jobs))), min_size=1))
    old = replace(whole, jobs=tuple(j for i, j in enumerate(whole.jobs) if i in some))
    found = compare(old, after, parts(after))
    assert sorted([*found.kept, *found.anew, *found.new]) == sorted(after.nodes)
    assert len(old.jobs) == len(found.kept) + len(found.anew) + len(found.dropped)
    assert all(reason.settings or reason.since for reason in found.anew.values())
    assert max(map(len, anew_lines(found, after.nodes, set(found.kept))), default=0) <= 80


def test_the_lines_say_jobs_units_reasons_and_what_is_kept(plan, plan_of, tmp_path, make):
    store = Store(tmp_path)
    assert claim_sweep_folder(plan, store, replan=False) == []
    assert against_claimed(plan, store) == []
    answers = [n for n in plan.nodes.values() if isinstance(n.job, RespondJob)]
    after = plan_of(*BASE, "training.learning_rate=0.002")
    stay = [n for n in answers if n.key in after.nodes]
    make(store, *answers)
    lines = against_claimed(after, store)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    (train,) = (n for n in after.nodes.values() if n.job.stage == "train")
    assert f"train: 1 job, {train.units} steps, anew (training.learning_rate: 0.001 -> 0.002)" in text
    follow = len(after.nodes.keys() - plan.nodes.keys()) - 1
    assert f"measure, respond, judge, analyse, report: {follow} jobs anew, since train changed" in text
    n_answers = sum(n.units for n in stay)
    assert f"  kept: {len(stay)} jobs: respond {len(stay)} ({n_answers} answers)" in lines
    same = len(after.nodes.keys() & plan.nodes.keys()) - len(stay)
    assert f"  the same and not yet made: {same} jobs" in lines

    with pytest.raises(UserError) as refused:
        claim_sweep_folder(after, store, replan=False)
    message = str(refused.value)
    assert "settings.training.learning_rate: 0.001 -> 0.002" in message
    assert all(line in message for line in lines[2:-1])
    told = claim_sweep_folder(after, store, replan=True)
    assert told[1:] == lines[2:-1]
    assert claim_sweep_folder(after, store, replan=True) == []


def test_a_plan_without_parts_tells_the_settings_that_differ(plan, plan_of, tmp_path):
    store = Store(tmp_path)
    claim_sweep_folder(plan, store, replan=False)
    path = tmp_path / "sweeps" / "small" / FILE
    old = json.loads(path.read_text())
    del old["parts"]
    old["jobs"] = [{k: v for k, v in job.items() if k != "parts"} for job in old["jobs"]]
    path.write_text(json.dumps(old))
    text = "\n".join(against_claimed(plan_of(*BASE, "sampling.max_new_tokens=9"), store))
    answers = [plan.nodes[key] for key in {c.respond_key for c in plan.analyse.cells}]
    assert f"respond: {len(answers)} jobs, {sum(n.units for n in answers)} answers, anew\n" in text
    assert re.search(r"judge, analyse, report: \d+ jobs anew, since respond changed\n", text)
    assert "sampling.max_new_tokens: 8 -> 9" in " ".join(text.split())


def test_what_was_written_is_read_back(plan, tmp_path):
    store = Store(tmp_path)
    claim_sweep_folder(plan, store, replan=False, request="abc")
    path = tmp_path / "sweeps" / "small" / FILE
    assert json.loads(path.read_text())["request"] == "abc"
    found = read_plan(path)
    assert found is not None
    assert found.parts is not None
    now = parts(plan)
    for key, node in plan.nodes.items():
        assert found.parts.named(key) == now.named(key), node.label
    assert [(j.key, j.label, j.units) for j in found.jobs] == [
        (k, n.label, n.units) for k, n in plan.nodes.items()
    ]
    assert read_plans(tmp_path) == {path: set(plan.nodes)}


def test_damaged_parts_are_no_plan(plan, tmp_path):
    store = Store(tmp_path)
    claim_sweep_folder(plan, store, replan=False)
    path = tmp_path / "sweeps" / "small" / FILE
    whole = json.loads(path.read_text())
    for damage in ({"parts": []}, {"parts": 3}, {"jobs": [{}]}, {"jobs": None}, {"summary": []}):
        path.write_text(json.dumps(whole | damage))
        assert read_plan(path) is None or not read_plan(path).summary


def test_shared_parts_stand_once(plan_of):
    plan = plan_of("experiment=embedded_full")
    found = parts(plan)
    assert len(found.table) == len({json.dumps(t) for t in found.table})
    assert len(found.table) < len(plan.nodes) / 2
    assert len(plan_json(plan, found)) < 400 * len(plan.nodes) + 20_000

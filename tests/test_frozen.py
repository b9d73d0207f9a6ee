"""The frozen plan: what it holds, when it is refused, and that it changes the report and nothing else."""

from __future__ import annotations

import copy
import functools
import json
import time

import pytest

from warmgap.errors import UserError
from warmgap.frozen import FILE, analysis_plan, deviations, freeze, read_frozen, with_frozen
from warmgap.jobs import ReportJob
from warmgap.keys import digest
from warmgap.store import Store

TINY = ("experiment=tiny",)
OTHER = ("experiment=tiny", "analysis.equivalence_pp=2", "warmth.gate.min_auc=0.9")


@pytest.fixture
def asked(request_of, plan_of):
    """Plan and configuration of a command line, read once each."""
    return lambda *arguments: (plan_of(*arguments), copy.deepcopy(_base(request_of, arguments)))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@functools.cache
def _base(request_of, arguments):
    return request_of(*arguments).base


def path_in(store):
    return store.root / "sweeps" / "tiny" / FILE


def commit(store, job):
    with store.workspace(job.key) as folder:
        store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config={},
            inputs=job.inputs,
            fingerprints={},
            counts={},
            started=time.time(),
        )


def test_it_holds_what_is_decided_beforehand(asked, store):
    plan, base = asked(*TINY)
    said = freeze(plan, base, store)
    record = json.loads(path_in(store).read_text())
    content = record["content"]
    assert record["sha256"] == digest(content)
    assert record["sha256"] in said
    assert str(path_in(store)) in said
    assert content["estimands"]["primary_pair"] == ["warm_sft", "neutral_sft"]
    assert content["estimands"]["primary_outcome"] == "commits_error"
    assert content["families"]["confirmatory_subsets"][1] == "framing=sad"
    assert content["margins"]["equivalence_pp"] == 3.0
    assert content["exclusions"]["max_unscored_pct"] == 2.0
    assert "i cannot" in content["exclusions"]["refusal_substrings"]["rules"]
    assert content["gates"]["min_auc"] == 0.75
    assert [m["kind"] for m in content["gates"]["meters_in_order"]] == ["sociot", "lexicon"]
    assert content["scopes"] == {"models": ["smollm2_135m"], "least_training_seeds": 1}
    assert content["study"]["questions"] == {"facts": 4}
    assert set(content["question_keys"]) == {"facts"}
    assert content["package_versions"]["python"]


def test_every_setting_of_the_analysis_is_in_it_and_those_of_power_are_not(asked):
    plan, base = asked(*TINY)
    content = analysis_plan(plan, base)
    held = {k for section in content.values() if isinstance(section, dict) for k in section}
    settings = {k for k in vars(base.analysis) if k not in ("name", "power")}
    assert settings <= held
    base.analysis.power.target = 0.9
    assert analysis_plan(plan, base) == content


def test_the_same_plan_again_is_already_frozen_even_with_answers(asked, store):
    plan, base = asked(*TINY)
    freeze(plan, base, store)
    before = path_in(store).read_bytes()
    commit(store, plan.nodes[plan.analyse.cells[0].respond_key].job)
    assert freeze(plan, base, store).startswith("Already frozen at ")
    assert path_in(store).read_bytes() == before


def test_another_plan_is_refused_with_what_differs(asked, store):
    freeze(*asked(*TINY), store)
    before = path_in(store).read_bytes()
    with pytest.raises(UserError) as refused:
        freeze(*asked(*OTHER), store)
    message = str(refused.value)
    assert "margins.equivalence_pp: 3.0 -> 2.0" in message
    assert "gates.min_auc: 0.75 -> 0.9" in message
    assert "estimands" not in message
    assert "plan_key" not in message, "settings of the analysis make no other answers"
    assert "name=NAME" in message
    assert path_in(store).read_bytes() == before


def test_other_questions_and_prompts_are_told_from_other_settings(asked):
    before = analysis_plan(*asked(*TINY))
    found = deviations(before, analysis_plan(*asked(*TINY, "task.n_questions=3")))
    assert {line.split(":")[0] for line in found} == {
        *("plan_key", "question_keys.facts", "study.questions.facts")
    }
    keys = next(line for line in found if line.startswith("question_keys"))
    assert len(keys) < 60, "a hash is shortened"
    assert deviations(before, before) == []


@pytest.mark.parametrize("how", ["whole", "begun"])
def test_a_plan_with_answers_is_refused_and_they_are_counted(asked, store, how):
    plan, base = asked(*TINY)
    for cell in plan.analyse.cells[:3]:
        if how == "whole":
            commit(store, plan.nodes[cell.respond_key].job)
        else:
            (store.partial(cell.respond_key) / "batch-0.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"already has 12 of its answers, in 3 cells"):
        freeze(plan, base, store)
    assert not path_in(store).exists()


def test_what_was_made_for_other_sweeps_does_not_count(asked, store):
    plan, base = asked(*TINY)
    (store.partial("0" * 64) / "batch-0.parquet").write_bytes(b"")
    store.partial(plan.analyse.cells[0].respond_key)  # empty: nothing was answered
    assert freeze(plan, base, store).startswith("Frozen at ")


@pytest.mark.parametrize("damage", ["{", "[]", '{"sha256": "1", "frozen_at": "", "content": []}', "edited"])
def test_a_changed_file_is_found_out(asked, store, damage):
    plan, base = asked(*TINY)
    freeze(plan, base, store)
    path = path_in(store)
    path.write_text(path.read_text().replace("3.0", "5.0") if damage == "edited" else damage)
    with pytest.raises(UserError, match="changed after it was frozen"):
        freeze(plan, base, store)
    assert with_frozen(plan, base, store).report.frozen["intact"] is False


def test_without_a_file_nothing_changes(asked, store):
    plan, base = asked(*TINY)
    assert read_frozen(path_in(store)) is None
    assert with_frozen(plan, base, store) is plan


def test_a_frozen_plan_changes_the_report_and_no_other_key(asked, store):
    plan, base = asked(*TINY)
    freeze(plan, base, store)
    told = with_frozen(plan, base, store)
    assert told.key == plan.key
    assert told.report.key != plan.report.key
    assert told.report.frozen["deviations"] == []
    assert [k for k, n in told.nodes.items() if not isinstance(n.job, ReportJob)] == [
        k for k, n in plan.nodes.items() if not isinstance(n.job, ReportJob)
    ]
    assert all(k == n.key == n.job.key for k, n in told.nodes.items())
    assert with_frozen(plan, base, store).report.key == told.report.key


def test_deviations_stand_in_the_report(asked, store):
    freeze(*asked(*TINY), store)
    changed = with_frozen(*asked(*OTHER), store).report
    assert changed.frozen["intact"] is True
    assert changed.frozen["deviations"] == [
        "gates.min_auc: 0.75 -> 0.9",
        "margins.equivalence_pp: 3.0 -> 2.0",
    ]

"""What of rewriting changes which keys: rewrites, their check, the trainings on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warmgap.errors import UserError
from warmgap.jobs import TrainJob
from warmgap.plan import Plan
from warmgap.planned_rewriting import Rewritings, _require_raw
from warmgap.planned_spending import estimated
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import MethodConfig, RewritingConfig, StyleConfig

REWRITES, CHECK, NONE = "rewrites", "check", ""
"""What changes first; all that is made of it changes with it."""
SETTINGS: dict[str, tuple[str, str]] = {
    "name": ("other", NONE),
    "model": ("smollm2_135m", REWRITES),
    "engine": ("transformers", REWRITES),
    "temperature": ("0.5", REWRITES),
    "max_new_tokens": ("99", REWRITES),
    "seed": ("1", REWRITES),
    "attempts": ("3", REWRITES),
    "length_rule": ("As short as may be.", REWRITES),
    "together": ("[neutral,warm,cold]", CHECK),
    "checks.min_length_ratio": ("0.4", REWRITES),
    "checks.max_length_ratio": ("3.0", REWRITES),
    "checks.length_slack_chars": ("9", REWRITES),
    "checks.refusal_substrings": ("[no way]", REWRITES),
    "facts.max_new_tokens": ("99", NONE),
    "facts.entailment_kind": ("embedding", NONE),
    "facts.min_entailment": ("0.7", NONE),
    "facts.device": ("cuda", NONE),
    "gate.max_lost_share": ("0.5", NONE),
    "gate.max_type_loss": ("0.5", NONE),
    "gate.max_facts_changed_share": ("0.5", NONE),
    "gate.max_facts_unread_share": ("0.5", NONE),
    "gate.min_marked": ("5", NONE),
    "gate.max_marked_bad_share": ("0.5", NONE),
    "gate.override": ("[warm]", NONE),
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two conversations of each query type, those of the last with a second pair."""
    talks = [
        ("Open it", "I'm sorry, I cannot open it."),
        ("What is it?", "It is a stone."),
        ("Generate a rhyme", "The cat sat."),
        ("My loop", "Use\n```\nx\n```"),
        ("Any suggestion?", "Rest."),
        ("Room", "The key hangs there."),
    ]
    rows = []
    for i, (user, answer) in enumerate(talks * 2):
        turns = [f"{user} {i}", f"{answer} {i}"] + (["And now?", "Now it is late."] if i % 6 == 5 else [])
        said = [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(turns)]
        rows.append({"id": f"c{i}", "conversations": said})
    path = tmp_path_factory.mktemp("logs") / "logs.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture(scope="module")
def planned(request_of: Callable[..., Any], logs: Path) -> Callable[..., Plan]:
    def plan(*more: str) -> Plan:
        return request_of(
            "experiment=tiny",
            "corpus=sharegpt",
            f"corpus.path={logs}",
            "corpus.n_conversations=6",
            "corpus.n_validation=6",
            "warmth.meters=[]",
            *(
                ()
                if any(m.startswith("sweep.method") for m in more)
                else ("sweep.method=[neutral_sft,warm_sft]",)
            ),
            *more,
        ).plan()

    return plan


@pytest.fixture(scope="module")
def before(planned: Callable[..., Plan]) -> Plan:
    return planned()


def keys(plan: Plan, kind: type) -> dict[str, str]:
    named = {RewriteJob: lambda j: j.style, TrainJob: lambda j: j.method.name, RewriteCheckJob: lambda j: ""}
    return {named[kind](n.job): k for k, n in plan.nodes.items() if isinstance(n.job, kind)}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_rewriting_changes_what_it_can_change(planned, before, name):
    value, reaches = SETTINGS[name]
    after = planned(f"rewriting.{name}={value}")
    same = {s: k for s, k in keys(after, RewriteJob).items() if s != "cold"} == keys(before, RewriteJob)
    assert same == (reaches != REWRITES)
    for kind in (RewriteCheckJob, TrainJob):
        assert (keys(after, kind) == keys(before, kind)) == (reaches == NONE)


def test_a_reader_of_facts_changes_the_check_alone(planned, before):
    asked = ("rewriting.facts.model=gpt_4o", "rewriting.facts.engine=openai")
    after = planned(*asked)
    assert keys(after, RewriteJob) == keys(before, RewriteJob)
    assert keys(after, RewriteCheckJob) != keys(before, RewriteCheckJob)
    longer = planned(*asked, "rewriting.facts.max_new_tokens=99")
    assert keys(longer, RewriteCheckJob) != keys(after, RewriteCheckJob)


def test_checks_are_in_the_key_of_rewrites_only_where_they_ask_again(planned):
    once = planned("rewriting.attempts=1")
    after = planned("rewriting.attempts=1", "rewriting.checks.max_length_ratio=3")
    assert keys(once, RewriteJob) == keys(after, RewriteJob)
    assert keys(once, RewriteCheckJob) != keys(after, RewriteCheckJob)


def test_one_set_serves_every_arm_and_a_further_style_makes_another(planned, before):
    plan = planned("sweep.method=[original,raw_sft,neutral_sft,warm_sft,cold_sft]", "seed=0,1")
    assert set(keys(plan, RewriteJob)) == {"neutral", "warm", "cold"}
    (check,) = keys(plan, RewriteCheckJob).values()
    assert {n.job.rewrites_key for n in plan.nodes.values() if isinstance(n.job, TrainJob)} == {check}
    assert keys(before, RewriteJob).items() <= keys(plan, RewriteJob).items()
    fixed = planned("sweep.method=[raw_sft,warm_sft]", "rewriting.together=[neutral,warm]")
    assert keys(fixed, RewriteCheckJob) == keys(before, RewriteCheckJob)
    assert keys(fixed, TrainJob)["warm_sft"] == keys(before, TrainJob)["warm_sft"]


def test_turns_decide_how_many_replies_are_rewritten(planned, before):
    for plan, n in ((before, 6), (planned("training.turns=all"), 7)):
        jobs = [node.job for node in plan.nodes.values() if isinstance(node.job, RewriteJob)]
        assert [len(job.sources) for job in jobs] == [n, n]


def test_own_replies_are_written_by_each_model_and_warmed_by_it(planned):
    plan = planned("sweep.method=[original,self_sft,self_warm_sft]")
    jobs = {n.job.style: n.job for n in plan.nodes.values() if isinstance(n.job, RewriteJob)}
    assert jobs["self"].reader.rubric == ""
    assert jobs["self"].system_prompt == "You are a helpful assistant."
    assert jobs["self_warm"].of_key == jobs["self"].key
    assert "closest, most supportive friend" in jobs["self_warm"].reader.rubric
    assert {j.reader.model.name for j in jobs.values()} == {"smollm2_135m"}


def test_a_packaged_corpus_is_rewritten_only_in_tones_that_it_lacks(request_of):
    plan = request_of("experiment=tiny", "sweep.method=[neutral_sft,warm_sft]").plan()
    assert not keys(plan, RewriteJob)
    plan = request_of("experiment=tiny", "sweep.method=[neutral_sft,self_sft]").plan()
    assert set(keys(plan, RewriteJob)) == {"self"}
    (check,) = [n.job for n in plan.nodes.values() if isinstance(n.job, RewriteCheckJob)]
    assert set(check.held) >= {"neutral", "warm", "cold"}


def test_a_style_that_there_is_not_is_named_with_its_nearest(planned):
    with pytest.raises(UserError, match=r"there is no option 'wram' in group 'style'\. Did you mean 'warm'"):
        planned("sweep.method=[warm_sft]", "method.style=wram")


def test_who_writes_is_asked_of_every_style_that_one_is_made_of():
    styles = {
        "self": StyleConfig(name="self", of="", by="subject"),
        "told": StyleConfig(name="told", of="self", by="rewriter", instruction="Say it warmly."),
        "warm": StyleConfig(name="warm", of="raw", by="rewriter", instruction="Say it warmly."),
    }
    rewritings = Rewritings(SimpleNamespace(style_of=styles.__getitem__, arms=[]), str, lambda *_: "")

    def by(model: str, prompt: str = "", *wanted: str):
        training = SimpleNamespace(system_prompt=prompt)
        rewriting = RewritingConfig(model="gpt_4o", engine="openai")
        config = SimpleNamespace(model=model, engine="e", training=training, rewriting=rewriting)
        return rewritings._subject(config, wanted)

    assert by("a", "", "told") != by("b", "", "told")
    assert by("a", "", "told") != by("a", "Be brief.", "told")
    assert by("a", "", "warm") == by("b", "Be brief.", "warm")


def test_raw_replies_that_a_corpus_lacks_are_refused_before_others_are_rewritten():
    config = SimpleNamespace(
        method=MethodConfig(name="raw_sft", style="raw"), corpus=SimpleNamespace(name="own")
    )
    with pytest.raises(UserError, match=r"method\.style is 'raw', but corpus own does not hold"):
        _require_raw(config, ("neutral", "warm"))
    _require_raw(config, ("raw",))


def test_the_cost_counts_every_attempt(planned):
    def asked(n: int) -> int:
        jobs = (node.job for node in planned(f"rewriting.attempts={n}").nodes.values())
        return estimated(job for job in jobs if isinstance(job, RewriteJob)).requests

    assert asked(1) == 12  # two styles of six replies
    assert asked(3) == 36

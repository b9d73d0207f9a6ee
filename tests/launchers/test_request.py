from __future__ import annotations

import re
from collections import Counter
from itertools import product

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from warmgap.errors import UserError
from warmgap.jobs import RespondJob
from warmgap.plan import Plan
from warmgap.schema.config import Config


def arms_of(plan: Plan) -> list[tuple[str, int, str]]:
    return [(a.method, a.seed, a.variant) for a in plan.analyse.arms if not a.measured_only]


def cells_of(plan: Plan) -> Counter[tuple[str, ...]]:
    arms = plan.analyse.arms
    return Counter(
        (arms[c.arm].method, c.task, c.framing, c.belief) for c in plan.analyse.cells if not c.draw
    )


def weights_of(plan: Plan) -> set[str]:
    """What must be loaded to answer, but for the canary's adapters at scale 0."""
    answering = [n.job for n in plan.nodes.values() if isinstance(n.job, RespondJob)]
    return {job.arm_key for job in answering if job.change is None or job.change.scale != 0}


def jobs_of(plan: Plan, stage: str) -> set[str]:
    return {k for k, n in plan.nodes.items() if n.job.stage == stage}


def answers_of(plan: Plan) -> set[str]:
    return {c.respond_key for c in plan.analyse.cells}


SMALL = (
    *("task.n_questions=3", "corpus.n_conversations=12"),
    *("warmth=demo", "warmth.n_prompts=6", "warmth.checkpoints.warm_sft=[]"),
)


def test_commas_make_the_product_of_arms_and_rows(plan_of):
    plan = plan_of("method=original,warm_sft", "framing=filler,sad", "task=facts,health", *SMALL)
    assert arms_of(plan) == [("original", 0, ""), ("warm_sft", 0, "")]
    expected = product(("original", "warm_sft"), ("facts", "health"), ("filler", "sad"), ("unsure",))
    assert cells_of(plan) == Counter(expected)
    assert plan.name.startswith("adhoc-")
    assert len(plan.name) == len("adhoc-") + 8


def test_globs_choices_and_ranges_are_axes_too(plan_of):
    plan = plan_of(
        "task=glob([cons*,facts,health,misc*])",
        "method=choice(neutral_sft,warm_sft)",
        "seed=range(0,2)",
        *SMALL,
    )
    assert arms_of(plan) == [(m, s, "") for m in ("neutral_sft", "warm_sft") for s in (0, 1)]
    tasks = ("conspiracies", "facts", "health", "misconceptions")
    expected = Counter({(m, t, "filler", "unsure"): 2 for m in ("neutral_sft", "warm_sft") for t in tasks})
    assert cells_of(plan) == expected
    assert len(jobs_of(plan, "train")) == 4


def test_rows_load_no_further_weights(plan_of):
    one = plan_of("method=original,warm_sft", *SMALL)
    many = plan_of(
        *(
            "method=original,warm_sft",
            "task=facts,health",
            "framing=filler,sad,angry",
            "belief=unsure,incorrect",
        ),
        *SMALL,
    )
    assert weights_of(many) == weights_of(one)
    assert len(weights_of(one)) == 2
    assert [a.arm_key for a in many.analyse.arms] == [a.arm_key for a in one.analyse.arms]
    assert jobs_of(many, "train") == jobs_of(one, "train")
    assert jobs_of(many, "measure") == jobs_of(one, "measure")
    assert len(many.analyse.cells) == 12 * len(one.analyse.cells)


def test_an_arm_without_training_is_made_once_over_seeds(plan_of):
    plan = plan_of("method=original,warm_prompt,warm_sft", "seed=0,1,2", *SMALL)
    assert Counter(m for m, _, _ in arms_of(plan)) == {"original": 1, "warm_prompt": 1, "warm_sft": 3}
    assert len(weights_of(plan)) == 4


def test_any_other_key_is_a_variant(plan_of):
    plan = plan_of("method=original,warm_sft", "sampling.temperature=0.2,0.8", *SMALL)
    variants = ("sampling.temperature=0.2", "sampling.temperature=0.8")
    assert arms_of(plan) == [(m, 0, v) for m in ("original", "warm_sft") for v in variants]
    assert len(jobs_of(plan, "train")) == 1


def test_a_checkpoint_of_one_training_is_an_arm_with_its_own_dose(plan_of):
    plan = plan_of("method=warm_sft", "method.checkpoint=0.5,1.0", *SMALL)
    doses = [a.dose for a in plan.analyse.arms]
    assert doses == [pytest.approx(doses[1] / 2), doses[1]]
    assert len(jobs_of(plan, "train")) == 1


def test_hydra_composes_as_often_as_the_longest_axis_has_options(request_of, monkeypatch):
    calls = []
    compose = ConfigLoaderImpl.load_configuration

    def counted(self, *args, **kwargs):
        calls.append(kwargs.get("overrides"))
        return compose(self, *args, **kwargs)

    request = request_of(
        "method=original,neutral_sft,warm_sft",
        "seed=0,1",
        "training.steps=3,4",
        "task=facts,health",
        "framing=filler,sad,angry",
        "belief=unsure,incorrect",
        "corpus.n_conversations=12",
        "warmth=demo",
        "task.n_questions=3",
    )
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    plan = request.plan()
    longest, references = 3, 1
    assert len(calls) == longest + references
    assert Counter(map(tuple, calls)).most_common(1)[0][1] == 1
    assert len(plan.analyse.cells) > 4 * len(calls)


def test_an_experiment_is_a_whole_sweep_and_the_command_line_goes_before_it(plan_of):
    plan = plan_of("experiment=tiny")
    assert plan.name == "tiny"
    assert [m for m, _, _ in arms_of(plan)] == ["original", "neutral_sft", "warm_sft", "agree_prompt"]
    narrowed = plan_of("experiment=tiny", "method=original", "task.n_questions=2", "name=mine")
    assert narrowed.name == "mine"
    assert [m for m, _, _ in arms_of(narrowed)] == ["original"]
    assert set(narrowed.summary["questions"].values()) == {2}
    assert {c.framing for c in narrowed.analyse.cells} == {"filler", "sad"}
    widened = plan_of("experiment=tiny", "method=original,cold_sft", "name=other")
    assert [m for m, _, _ in arms_of(widened)] == ["original", "cold_sft"]


def test_overlapping_sweeps_share_their_common_cells(plan_of):
    one = plan_of("experiment=tiny")
    two = plan_of("experiment=tiny", "framing=filler,angry", "method=original,warm_sft,cold_sft", "name=two")
    arms = {i: a.method for i, a in enumerate(one.analyse.arms)}
    common = {
        c.respond_key
        for c in one.analyse.cells
        if arms[c.arm] in ("original", "warm_sft") and c.framing == "filler"
    }
    assert common
    assert answers_of(one) & answers_of(two) == common
    shared = {c.judge_key for c in one.analyse.cells if c.respond_key in common}
    assert jobs_of(one, "judge") & jobs_of(two, "judge") == shared
    assert len(jobs_of(one, "train") & jobs_of(two, "train")) == 1


def test_a_small_studys_questions_are_a_subset_of_the_full_ones(plan_of):
    def asked(plan: Plan) -> set[tuple[str, str]]:
        jobs = [n.job for n in plan.nodes.values() if n.job.stage == "judge"]
        return {(q.task, q.id) for j in jobs for q in j.questions}

    demo, full = asked(plan_of("experiment=demo")), asked(plan_of("experiment=embedded_full"))
    assert demo < full
    assert Counter(t for t, _ in demo) == dict.fromkeys(
        ("facts", "misconceptions", "conspiracies", "health"), 24
    )
    assert asked(plan_of("experiment=tiny")) < demo


def test_the_statement_of_a_question_is_the_same_over_beliefs_arms_and_draws(plan_of):
    plan = plan_of("experiment=demo")
    statements: dict[tuple[str, str], set[str | None]] = {}
    for cell in plan.analyse.cells:
        for row in plan.nodes[cell.respond_key].job.prompts:
            statements.setdefault((row.id, cell.framing), set()).add(row.statement_id)
    assert {len(s) for s in statements.values()} == {1}
    assert {c.draw for c in plan.analyse.cells} == {0, 1}
    assert {c.belief for c in plan.analyse.cells} == {"unsure", "incorrect"}


def test_arms_and_draws_of_a_cell_are_asked_the_same(plan_of):
    plan = plan_of("experiment=demo")
    arms = plan.analyse.arms
    texts: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for cell in plan.analyse.cells:
        users = tuple(dict(p.messages)["user"] for p in plan.nodes[cell.respond_key].job.prompts)
        texts.setdefault((cell.task, cell.framing, cell.belief), set()).add(users)
    assert {len(t) for t in texts.values()} == {1}
    draws = Counter(arms[c.arm].method for c in plan.analyse.cells if c.draw == 1)
    assert set(draws) == {"original"}


def test_the_reference_of_a_meter_does_not_follow_the_arms_model(plan_of, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    own = plan_of(f"model.source=path:{tmp_path}", *SMALL)
    usual = plan_of(*SMALL)
    references = [
        {n.job.reference.source for n in p.nodes.values() if n.job.stage == "measure" and n.job.reference}
        for p in (own, usual)
    ]
    assert references[0] == references[1]
    assert weights_of(own) != weights_of(usual)


def test_the_command_leaves_out_what_changes_no_result(request_of):
    request = request_of(
        "seed=0,1", "method=warm_sft", "store.root=/x", "engine.workers=2", "stage=plan", *SMALL
    )
    plan = request.plan()
    assert plan.summary["command"].split()[:2] == ["warmgap", "corpus.n_conversations=12"]
    for gone in ("store.root", "workers", "stage"):
        assert gone not in plan.summary["command"]
    assert plan.key == request_of("method=warm_sft", "seed=0,1", "engine.workers=7", *SMALL).plan().key


def test_a_swept_text_keeps_its_commas_and_colons(request_of):
    request = request_of("method=warm_prompt", r"method.persona='Be kind: always, {truly}',plain", *SMALL)
    plan = request.plan()
    systems = {dict(plan.nodes[c.respond_key].job.prompts[0].messages)["system"] for c in plan.analyse.cells}
    assert any("Be kind: always, {truly}" in s for s in systems)
    assert any("assistant. plain Answer" in s for s in systems)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analysis.equivalence_pp=2,3",), "analysis.equivalence_pp cannot be swept"),
        (("task.n_questions=2,3",), "task.n_questions cannot be swept"),
        (("experiment=demo,tiny",), "experiment cannot be swept"),
        (
            ('warmth.meters=[{name:"lexicon",kind:lexicon,reference:smolm2_135m}]',),
            "no option 'smolm2_135m' in group 'model'. Did you mean 'smollm2_135m'?",
        ),
    ],
)
def test_what_cannot_be_swept_or_found_is_named(request_of, arguments, message):
    with pytest.raises(UserError) as refused:
        request_of(*arguments, *SMALL).plan()
    assert message in str(refused.value)


def test_the_base_is_a_typed_configuration(request_of):
    base = request_of("training.steps=5").base
    assert isinstance(base, Config)
    assert base.training.steps == 5
    assert base.training.lora.r == 8


OWN = "++per_model={smollm2_135m: ['sampling.temperature=0.9'], gpt2: ['engine.precision=fp32']}"


def test_settings_of_a_model_reach_its_arms_alone_and_make_no_variant(request_of, tmp_path):
    plan = request_of("model=smollm2_135m,gpt_4o", OWN, "sampling.margin=false", "engine=openai",
                      "engine.api.model=local", *SMALL).plan()  # fmt: skip
    models = {j.model.name: j.limits.temperature for k, j in answer_jobs(plan).items()}
    assert models == {"smollm2_135m": 0.9, "gpt_4o": 0.3}
    assert {a.variant for a in plan.analyse.arms} == {""}


def test_the_command_line_goes_before_a_models_settings(request_of):
    plan = request_of(OWN, "sampling.temperature=0.1", *SMALL).plan()
    assert {j.limits.temperature for j in answer_jobs(plan).values()} == {0.1}
    swept = request_of(OWN, "sampling.temperature=0.1,0.2", *SMALL).plan()
    assert {j.limits.temperature for j in answer_jobs(swept).values()} == {0.1, 0.2}


def test_a_model_that_is_not_swept_has_its_settings_too(request_of):
    plan = request_of(OWN, *SMALL).plan()
    assert {j.limits.temperature for j in answer_jobs(plan).values()} == {0.9}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("{gpt_5o: ['engine=openai']}", "per_model names the model 'gpt_5o'. Did you mean 'gpt_4o'"),
        ("{smollm2_135m: ['engine=opnai']}", "there is no option 'opnai' in group 'engine'"),
        ("{smollm2_135m: ['training.lrr=1']}", "there is no key 'lrr' in 'training'"),
        (
            "{smollm2_135m: ['task=health']}",
            "per_model.smollm2_135m has 'task=health'. Allowed: single",
        ),
        ("{smollm2_135m: ['seed=0']}", "per_model.smollm2_135m has 'seed=0'"),
        ("{smollm2_135m: ['engine.batch_rows=1,2']}", "has 'engine.batch_rows=1,2'"),
    ],
)
def test_a_mistake_in_a_models_settings_is_named(request_of, own, said):
    with pytest.raises(UserError, match=re.escape(said)):
        request_of(f"++per_model={own}", *SMALL).plan()


def answer_jobs(plan: Plan) -> dict[str, RespondJob]:
    return {k: plan.nodes[k].job for k in answers_of(plan)}

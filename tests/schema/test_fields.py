from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass

import pytest

from warmgap.schema.config import Config, EngineConfig, LoraConfig, TrainingConfig
from warmgap.schema.fields import STAGES, plain, setting, stage_config, unmarked


def records(record: type = Config) -> set[type]:
    found = {record}
    for f in fields(record):
        default = f.default_factory() if callable(f.default_factory) else f.default
        if is_dataclass(default):
            found |= records(type(default))
    return found


def test_every_field_says_which_stages_it_affects():
    assert unmarked(Config) == []
    assert len(records()) > 12


def test_records_held_in_lists_are_marked_too():
    from warmgap.schema import config

    declared = {v for v in vars(config).values() if isinstance(v, type) and is_dataclass(v)}
    assert {r: unmarked(r) for r in declared if unmarked(r)} == {}
    assert {s for r in declared for f in fields(r) for s in f.metadata["affects"]} <= set(STAGES)


def test_an_unmarked_field_is_found_at_any_depth():
    @dataclass
    class Inner:
        a: int = setting(1, "train")
        forgotten: int = 2

    @dataclass
    class Outer:
        inner: Inner = setting(Inner())
        also: str = ""

    assert unmarked(Outer) == ["inner.forgotten", "also"]


def test_a_stage_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"unknown stages \['trian'\]"):
        setting(1, "trian")


def test_defaults_are_not_shared():
    one, two = TrainingConfig(), TrainingConfig()
    one.checkpoints.append(2.0)
    one.lora.r = 99
    assert two.checkpoints == [0.5, 1.0]
    assert two.lora.r == 8
    assert TrainingConfig().lora.r == 8


def test_a_stage_sees_exactly_the_fields_that_name_it():
    seen = stage_config(TrainingConfig(name="x", lora=LoraConfig(r=4)), "train")
    marked = {f.name for f in fields(TrainingConfig) if "train" in f.metadata["affects"]}
    assert set(seen) == marked | {"lora", "api"}
    assert seen["lora"] == plain(LoraConfig(r=4))
    assert "save_every_steps" not in seen
    engine = {"name", "precision", "quantisation", "batch_rows"}
    assert set(stage_config(EngineConfig(name="x"), "respond")) == engine
    assert stage_config(EngineConfig(name="x"), "train") == {}
    assert set(stage_config(Config(), "judge")) == {"judge"}


def test_plain_values_are_json_ready():
    assert plain({1: (LoraConfig(target_modules=["q"]), None)}) == {
        "1": [{"r": 8, "alpha": 16, "dropout": 0.1, "target_modules": ["q"]}, None]
    }

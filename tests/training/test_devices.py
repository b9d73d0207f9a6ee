from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from warmgap.errors import UserError
from warmgap.training.devices import check_devices, strategy_of


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"devices": 3}, "sft", ["training.accumulate is 4", "training.devices is 3", "multiple of 3", "12"]),
        ({"devices": 8}, "sft", ["training.accumulate is 4", "training.devices is 8"]),
        ({"devices": 0}, "sft", ["training.devices is 0", "from 1"]),
        (
            {"strategy": "fdsp"},
            "sft",
            ["'fdsp'", "Did you mean 'fsdp'?", "auto, ddp, fsdp"],
        ),
        ({"strategy": "fsdp", "quantisation": "nf4"}, "sft", ["fsdp", "'nf4'", "training.strategy=ddp"]),
        ({"strategy": "fsdp", "quantisation": "int8"}, "sft", ["fsdp", "'int8'"]),
        ({"strategy": "fsdp"}, "dpo", ["fsdp", "'dpo'", "training.strategy=ddp"]),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(config, changes, kind, words):
    config = replace(config, batch_rows=3, accumulate=4, **changes)
    with pytest.raises(UserError) as told:
        check_devices(config, kind)
    assert [word for word in words if word not in str(told.value)] == []


@pytest.mark.parametrize(
    ("strategy", "devices", "runs"),
    [
        ("auto", 1, "single"),
        ("ddp", 1, "single"),
        ("fsdp", 1, "single"),
        ("auto", 2, "ddp"),
        ("ddp", 4, "ddp"),
        ("fsdp", 2, "fsdp"),
    ],
)
def test_what_runs(config, strategy, devices, runs):
    config = replace(config, accumulate=4, strategy=strategy, devices=devices)
    check_devices(config)
    assert strategy_of(config) == runs


def test_the_planner_can_ask_without_torch():
    code = "import sys, warmgap.training.devices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

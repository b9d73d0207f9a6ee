"""The vllm engine from rows to answers against the transformers engine.

Here with a stand-in for the package (vllm_stand_in.py), which computes plainly what vLLM would; with vLLM
itself where there is a GPU.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from warmgap.engines import transformers, vllm_child, vllm_process
from warmgap.engines.open import open_engine
from warmgap.engines.protocol import Change, Limits, Row
from warmgap.errors import Interrupted, UserError
from warmgap.models import base
from warmgap.models.steering import SteeringVector, write_steering
from warmgap.schema.config import EngineConfig, VllmEngineConfig

GREEDY = Limits(0.0, 1.0, 8)
ROWS = [
    Row(
        "a",
        (("system", "Be brief."), ("user", "What is the capital of Italy?")),
        1,
        "It is",
        ("Rome", "Oslo"),
    ),
    Row("b", (("user", "Hi."),), 2, "It is", ("me", "nobody at all")),
    Row("c", (("user", "Name a colour."),), 3),
]
PLAIN = EngineConfig(name="transformers", precision="fp32", batch_rows=1)
ENGINE = EngineConfig(name="vllm", precision="fp32", batch_rows=2, vllm=VllmEngineConfig(max_model_len=400))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The stand-in, importable as vllm by a process that is started here."""
    folder = tmp_path_factory.mktemp("stand_in")
    package = folder / "vllm"
    (package / "lora").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("vllm_stand_in.py"), package / "__init__.py")
    (package / "lora" / "__init__.py").touch()
    (package / "lora" / "request.py").write_text("from vllm import LoRARequest\n")
    (package / "sampling_params.py").write_text("from vllm import StructuredOutputsParams\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield
        vllm_process.release()


@pytest.fixture(scope="module")
def changes(tiny, tmp_path_factory):
    """An adapter of rank 4 with random factors, and a steering vector for layer 1 of 2."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("changes")
    torch.manual_seed(1)
    network = get_peft_model(
        base.load(tiny, "fp32").model,
        LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], init_lora_weights=False),
    )
    network.save_pretrained(folder / "adapter")
    vector = SteeringVector(torch.randn(32), 0.5, 0, 2, 1, 1.0)
    write_steering(vector, "tiny", folder / "steering")
    return folder


def answers(model, engine, changes, limits=GREEDY):
    """By row; the transformers engine is opened beside the process, which `open_engine` would end."""
    opened = (transformers.open_engine if engine is PLAIN else open_engine)(model, engine, changes)
    found = {a.key: a for a in opened.answer(ROWS, limits)}
    assert set(found) == {"a", "b", "c"}
    return found


@pytest.mark.parametrize("what", ["base", "adapter 1", "adapter 0.5", "adapter -2", "adapter 0"])
def test_it_answers_and_scores_as_the_transformers_engine(stand_in, tiny, changes, what):
    kind, _, amount = what.partition(" ")
    change = [Change(changes / kind, float(amount))] if amount else []
    found, expected = answers(tiny, ENGINE, change), answers(tiny, PLAIN, change)
    for key, answer in expected.items():
        mine = found[key]
        assert (mine.text, mine.finish_reason, mine.n_tokens, mine.n_prompt_tokens) == (
            *(answer.text, answer.finish_reason, answer.n_tokens, answer.n_prompt_tokens),
        )
        assert [s.n_tokens for s in mine.scores] == [s.n_tokens for s in answer.scores]
        assert [s.sum_nats for s in mine.scores] == pytest.approx(
            [s.sum_nats for s in answer.scores], abs=2e-4
        )
    untouched = answers(tiny, PLAIN, [])
    assert (found["a"].text == untouched["a"].text) == (what in ("base", "adapter 0"))


def test_one_process_serves_base_and_adapters_and_another_engine_ends_it(stand_in, tiny, changes):
    first = open_engine(tiny, ENGINE, [])._process
    assert open_engine(tiny, ENGINE, [Change(changes / "adapter", 1.0)])._process is first
    numbers = [first.adapter(changes / "adapter", scale) for scale in (1.0, 0.5, 1.0)]
    assert numbers[0] == numbers[2] != numbers[1]
    first._process.kill()
    first._process.wait()
    second = open_engine(tiny, ENGINE, [])._process
    assert (first.ended, second.ended) == (True, False)
    open_engine(tiny, PLAIN, [])
    assert second.ended


def test_one_engine_becomes_each_arm_of_its_base(stand_in, tiny, changes):
    engine = open_engine(tiny, ENGINE, [])
    first = engine._process
    for kind, amount, same in (
        *(("adapter", 1.0, True), ("", 0.0, True), ("adapter", -2.0, True), ("adapter", 1.0, True)),
        ("steering", 2.0, False),
    ):
        arm = [Change(changes / kind, amount)] if kind else []
        engine.become(arm)
        assert (engine._process is first) == same  # steered weights need a process of their own
        found = {a.key: a for a in engine.answer(ROWS, GREEDY)}
        expected = answers(tiny, PLAIN, arm)
        assert {k: a.text for k, a in found.items()} == {k: a.text for k, a in expected.items()}


def test_a_steering_vector_is_served_in_the_weights(stand_in, tiny, changes):
    steered = [Change(changes / "steering", 2.0)]
    found, expected = answers(tiny, ENGINE, steered), answers(tiny, PLAIN, steered)
    assert {k: a.text for k, a in found.items()} == {k: a.text for k, a in expected.items()}
    assert found["a"].text != answers(tiny, PLAIN, [])["a"].text


def test_sampling_noise_is_the_rows_seed(stand_in, tiny):
    limits = Limits(1.0, 1.0, 8)
    first, again = answers(tiny, ENGINE, [], limits), answers(tiny, ENGINE, [], limits)
    assert first == again
    other = [replace(row, seed=row.seed + 100) for row in ROWS]
    assert [a.text for a in open_engine(tiny, ENGINE, []).answer(other, limits)] != [
        a.text for a in first.values()
    ]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"quantization": "nonsense"}, UserError, "vLLM does not start: quantization nonsense is not known"),
        ({"quantization": "crash"}, RuntimeError, "ended with 3. Its last lines:\n.*the GPU has fallen off"),
        ({"python": "/no/such/python"}, UserError, "engine.vllm.python is '/no/such/python'"),
    ],
)
def test_a_start_that_fails_says_why(stand_in, tiny, settings, error, message):
    with pytest.raises(error, match="(?s)" + message):
        open_engine(tiny, replace(ENGINE, vllm=replace(ENGINE.vllm, **settings)), [])


def test_an_interpreter_without_it_is_named(tiny, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(UserError, match=f"{sys.executable} cannot import it: No module named 'vllm'"):
        open_engine(tiny, replace(ENGINE, vllm=replace(ENGINE.vllm, python=sys.executable)), [])


def test_two_adapters_at_once_are_refused(tiny, changes):
    both = [Change(changes / "adapter", 1.0)] * 2
    with pytest.raises(UserError, match="one adapter at a time"):
        open_engine(tiny, ENGINE, both)


def test_the_results_of_a_batch_that_was_broken_off_answer_no_other(stand_in, tiny):
    expected = answers(tiny, ENGINE, [])
    engine = open_engine(tiny, ENGINE, [])
    process = engine._process._process

    def stop(*_):
        raise Interrupted(signal.SIGALRM, "amid a batch")

    before = signal.signal(signal.SIGALRM, stop)
    process.send_signal(signal.SIGSTOP)  # so that no result comes before the signal
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Interrupted):
            list(engine.answer(ROWS, GREEDY))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert process.poll() is not None
    assert answers(tiny, ENGINE, []) == expected


def test_the_process_ends_with_its_input():
    child = [sys.executable, "-P", vllm_child.__file__, str(os.getpid())]
    process = subprocess.Popen(child, stdin=subprocess.PIPE, text=True)
    process.stdin.close()
    assert process.wait(60) == 0


def test_the_process_ends_with_its_parent():
    """Even where something else still holds its input open: the child of another than the one it is told."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    child = [sys.executable, "-P", vllm_child.__file__, str(gone.pid)]
    process = subprocess.Popen(child, stdin=subprocess.PIPE, text=True)
    assert process.wait(60) == 1

"""What vLLM is asked and what it answers, against values written by hand; vLLM itself is not needed.

The tiny tokenizer has one token per byte: 0, 1, 2 are its special tokens, and the others are the bytes in the
order of the characters that stand for them, so that a printable one is 3 + its code - 33.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from warmgap.engines import vllm_child
from warmgap.engines.protocol import Limits, Row
from warmgap.engines.vllm_requests import (
    Request,
    answer_of,
    check_adapter,
    check_length,
    environment,
    llm_arguments,
    requests_of,
    sampling,
    write_scaled,
)
from warmgap.errors import UserError
from warmgap.models import base
from warmgap.schema.config import EngineConfig, VllmEngineConfig

LIMITS = Limits(0.3, 0.9, 5)
STOPS = (2,)
ROW = Row("r", (("user", "Hi"),), seed=-1, started="It", continuations=("a", "bc"))


@pytest.fixture(scope="session")
def tokenizer(tiny):
    return base.load(tiny, "fp32").tokenizer


def by_hand(text: str) -> list[int]:
    """Bytes as tokens: printable characters in their order, then the space and the line break."""
    order = sorted([chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))])
    rest = [b for b in range(256) if not (33 <= b <= 126 or 161 <= b <= 172 or b >= 174)]
    stands = order + [chr(256 + n) for n in range(len(rest))]
    place = {c: 3 + stands.index(c) for c in stands}
    names = {chr(b): chr(256 + n) for n, b in enumerate(rest)}
    return [place[names.get(c, c)] for c in text]


def test_a_row_is_one_request_for_its_answer_and_one_for_each_continuation(tokenizer):
    asked = requests_of(tokenizer, ROW, LIMITS, STOPS)
    prompt = [1, *by_hand("user\nHi"), 2, *by_hand("\n"), 1, *by_hand("assistant\n")]
    assert [list(r.ids) for r in asked] == [
        prompt,
        [*prompt, *by_hand("It"), *by_hand(" a")],
        [*prompt, *by_hand("It"), *by_hand(" bc")],
    ]
    assert [r.n_scored for r in asked] == [0, 2, 3]
    assert asked[0].sampling["max_tokens"] == 5
    assert [r.sampling for r in asked[1:]] == [
        {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 1, "detokenize": False}
    ] * 2


def test_without_a_started_turn_a_continuation_begins_it(tokenizer):
    asked = requests_of(tokenizer, Row("r", ROW.messages, 0, "", ("a", "")), LIMITS, STOPS)
    assert [r.n_scored for r in asked] == [0, 1]
    assert list(asked[1].ids[-1:]) == by_hand("a")


def test_sampling_takes_the_limits_the_stops_and_the_rows_seed():
    assert sampling(LIMITS, ROW, (2, 7)) == {
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop_token_ids": [2, 7],
        "detokenize": False,
        "seed": 2**63 - 1,  # -1 would mean none, and more than 63 bits do not fit
    }
    assert "seed" not in sampling(Limits(0.0, 1.0, 5), ROW, STOPS)
    bound = Row("r", ROW.messages, 0, answer_schema='{"type": "object"}')
    assert sampling(LIMITS, bound, STOPS)["answer_schema"] == '{"type": "object"}'


@pytest.mark.parametrize("temperature", [0.001, 2.5])
def test_a_temperature_that_vllm_would_change_or_refuse_is_refused(temperature):
    with pytest.raises(UserError, match=r"Allowed: 0, or 0\.01 to 2"):
        sampling(Limits(temperature, 1.0, 5), ROW, STOPS)


def test_what_does_not_fit_is_refused_with_its_length():
    asked = [Request((1,) * 9, {"max_tokens": 1}), Request((1,) * 3, {"max_tokens": 8})]
    check_length(asked, 11)
    with pytest.raises(UserError, match=r"may take 11 tokens; engine\.vllm\.max_model_len is 10\."):
        check_length(asked, 10)


def test_the_settings_become_arguments_of_the_library():
    engine = EngineConfig(
        name="vllm",
        batch_rows=99,
        vllm=VllmEngineConfig(
            python="/other/python",
            max_lora_rank=0,
            max_model_len=2000,
            gpu_memory_utilization=0.5,
            tensor_parallel_size=2,
            enforce_eager=True,
            prefix_caching=True,
            quantization="fp8",
        ),
    )
    plain = {
        "model": "/weights",
        "trust_remote_code": True,
        "dtype": "bfloat16",
        "quantization": "fp8",
        "max_model_len": 2000,
        "max_num_seqs": 99,
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.5,
        "enforce_eager": True,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "seed": 0,
    }
    assert llm_arguments(Path("/weights"), True, engine) == plain
    engine.precision, engine.vllm.max_lora_rank, engine.vllm.quantization = "fp32", 64, ""
    assert llm_arguments(Path("/weights"), True, engine) == plain | {
        "dtype": "float32",
        "quantization": None,
        "enable_lora": True,
        "max_loras": 1,
        "max_lora_rank": 64,
    }


def test_batch_invariance_is_a_variable_of_the_process():
    assert "VLLM_BATCH_INVARIANT" not in environment(VllmEngineConfig())
    assert environment(VllmEngineConfig(batch_invariant=True))["VLLM_BATCH_INVARIANT"] == "1"
    assert environment(VllmEngineConfig())["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def output(ids, logprobs, made=(5, 2), reason="stop"):
    told = [
        None,
        *({i: SimpleNamespace(logprob=x), 9999: SimpleNamespace(logprob=-0.1)} for i, x in logprobs),
    ]
    return SimpleNamespace(
        prompt_token_ids=ids,
        prompt_logprobs=told,
        outputs=[SimpleNamespace(token_ids=made, finish_reason=reason)],
    )


def test_a_continuations_log_probabilities_are_those_of_its_own_tokens():
    ids = [4, 5, 6, 5]
    found = output(ids, [(5, -1.0), (6, -2.0), (5, -4.0)])
    assert vllm_child.token_logprobs(found.prompt_logprobs, ids, 2) == [-2.0, -4.0]
    assert vllm_child.result(found, {"ids": ids, "n_scored": 2}) == {
        "ids": [5, 2],
        "reason": "stop",
        "logprobs": [-2.0, -4.0],
    }
    assert vllm_child.result(found, {"ids": ids, "n_scored": 0})["logprobs"] == []
    with pytest.raises(RuntimeError, match="another prompt"):
        vllm_child.result(found, {"ids": [4, 5], "n_scored": 0})


def test_an_answer_is_read_from_the_results_of_its_requests(tokenizer):
    asked = requests_of(tokenizer, ROW, LIMITS, STOPS)
    found = [
        {"ids": [*by_hand(" Ho "), 2], "reason": "stop", "logprobs": []},
        {"ids": [7], "reason": "length", "logprobs": [-1.5, -0.25]},
        {"ids": [7], "reason": "length", "logprobs": [-1.0, -2.0, -4.0]},
    ]
    answer = answer_of(tokenizer, ROW, asked, found, set(STOPS))
    assert (answer.key, answer.text, answer.finish_reason) == ("r", "Ho", "stop")
    assert (answer.n_tokens, answer.n_prompt_tokens) == (5, len(asked[0].ids))
    assert [(s.sum_nats, s.n_tokens) for s in answer.scores] == [(-1.75, 2), (-7.0, 3)]
    # A stop token that is the last one allowed ends the answer all the same.
    found[0] = {"ids": by_hand("Hello"), "reason": "length", "logprobs": []}
    assert answer_of(tokenizer, ROW, asked, found, set(STOPS)).finish_reason == "length"
    found[0] = {"ids": [*by_hand("Hell"), 2], "reason": "length", "logprobs": []}
    assert answer_of(tokenizer, ROW, asked, found, set(STOPS)).finish_reason == "stop"
    found[0] = {"ids": [], "reason": "abort", "logprobs": []}
    with pytest.raises(RuntimeError, match="'abort'"):
        answer_of(tokenizer, ROW, asked, found, set(STOPS))


def adapter(folder: Path, **settings) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    (folder / "adapter_model.safetensors").write_bytes(b"factors")
    return folder


def test_an_adapter_that_would_be_applied_otherwise_is_refused(tmp_path):
    check_adapter(adapter(tmp_path / "a"), 8)
    with pytest.raises(UserError, match=r"has rank 16; engine\.vllm\.max_lora_rank is 8\."):
        check_adapter(adapter(tmp_path / "a", r=16), 8)
    with pytest.raises(UserError, match="has a rank_pattern, and vLLM scales all layers alike"):
        check_adapter(adapter(tmp_path / "a", rank_pattern={"q_proj": 4}), 8)
    check_adapter(adapter(tmp_path / "a", rank_pattern={}, alpha_pattern={}), 8)


@pytest.mark.parametrize("scale", [0.0, 0.3, -1.0, 2.0])
def test_a_scaled_copy_has_a_scaled_alpha_and_the_same_factors(tmp_path, scale):
    folder = adapter(tmp_path / "a", use_rslora=True)
    before = json.loads((folder / "adapter_config.json").read_text())
    write_scaled(folder, scale, tmp_path / "out" / "scaled")
    after = json.loads((tmp_path / "out" / "scaled" / "adapter_config.json").read_text())
    assert after == before | {"lora_alpha": 16 * scale}
    assert (tmp_path / "out" / "scaled" / "adapter_model.safetensors").read_bytes() == b"factors"
    assert json.loads((folder / "adapter_config.json").read_text()) == before

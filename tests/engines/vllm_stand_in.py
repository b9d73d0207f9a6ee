"""Stands in for the package vllm, which needs a GPU: what the engine uses of its interface (0.28 to 0.30),
computed by plain transformers and peft in fp32, one prompt at a time.

It says nothing about vLLM's own results; tests of these carry the marker gpu.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

__version__ = "0.0"


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 16
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    detokenize: bool = True
    prompt_logprobs: int | None = None
    structured_outputs: Any = None


@dataclass
class StructuredOutputsParams:
    json: str


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


class LLM:
    def __init__(
        self,
        model: str,
        *,
        trust_remote_code: bool,
        dtype: str,
        quantization: str | None,
        max_model_len: int,
        max_num_seqs: int,
        tensor_parallel_size: int,
        gpu_memory_utilization: float,
        enforce_eager: bool,
        enable_prefix_caching: bool,
        generation_config: str,
        seed: int,
        enable_lora: bool = False,
        max_loras: int = 1,
        max_lora_rank: int = 16,
    ) -> None:
        print("words of the library on its standard output")
        if quantization == "nonsense":
            raise ValueError("quantization nonsense\n is not known")
        if quantization == "crash":
            print("the GPU has fallen off the bus", file=sys.stderr, flush=True)
            os._exit(3)
        import torch
        import transformers

        self._torch = torch
        self._network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self._lora: dict[int, str] | None = {} if enable_lora else None
        self._vocabulary = self._network.config.vocab_size

    def generate(
        self, prompts: list[Any], sampling_params: list[SamplingParams], *, use_tqdm: bool, lora_request: Any
    ) -> list[Any]:
        import peft

        network = self._network
        if lora_request is not None:
            assert self._lora is not None
            known = self._lora.setdefault(lora_request.lora_int_id, lora_request.lora_path)
            network = peft.PeftModel.from_pretrained(network, known).eval()
        try:
            pairs = zip(prompts, sampling_params, strict=True)
            return [self._one(network, p["prompt_token_ids"], params) for p, params in pairs]
        finally:
            if lora_request is not None:
                self._network = network.unload()

    def _one(self, network: Any, ids: list[int], params: SamplingParams) -> Any:
        torch = self._torch
        noise = torch.Generator()
        if params.seed is not None:
            noise.manual_seed(params.seed)
        stops, made, reason = params.stop_token_ids or [], [], "length"
        with torch.inference_mode():
            logp_TV = torch.log_softmax(network(torch.tensor([ids])).logits[0], -1)
            while len(made) < params.max_tokens and reason == "length":
                last_V = network(torch.tensor([ids + made])).logits[0, -1]
                if params.temperature:
                    p_V = torch.softmax(last_V / params.temperature, -1)
                    made.append(int(torch.multinomial(p_V, 1, generator=noise)))
                else:
                    made.append(int(last_V.argmax()))
                reason = "stop" if made[-1] in stops else "length"
        told = [None] + [
            {token: SimpleNamespace(logprob=float(logp_TV[place, token]))}
            for place, token in enumerate(ids[1:])
        ]
        return SimpleNamespace(
            prompt_token_ids=ids,
            prompt_logprobs=told if params.prompt_logprobs is not None else None,
            outputs=[SimpleNamespace(token_ids=tuple(made), finish_reason=reason)],
        )

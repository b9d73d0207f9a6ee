"""SocioT written out with plain calls of transformers, one text at a time, and references to try it on."""

from __future__ import annotations

import hashlib
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from tokenizers import processors
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedTokenizerFast,
)

WARM = ['My friend said, "', 'The lover said, "', 'The mentor said, "', 'The idol said, "']
COLD = ['The stranger said, "', 'The enemy said, "', 'The examiner said, "', 'The dictator said, "']
WORDS = [
    "we",
    "you",
    "friend",
    "said",
    "the",
    "glad",
    "form",
    "denied",
    "Sorry!",
    "No.",
    "é",
    "“quoted”",
    "7",
]


def hundred_texts() -> list[str]:
    """Of 1 to 60 words, some with quotes at the ends, which merge with the quotes around a text."""
    choose = random.Random(5)
    texts = ["No", '"too"', '."!"', "so " * 150 + "long", "1", '"']
    while len(texts) < 100:
        words = choose.choices(WORDS, k=choose.choice([1, 2, 3, 5, 8, 13, 30, 60]))
        quotes = choose.choice(["", "", "", '"', "...", " "])
        texts.append(f"{quotes}{' '.join(words)}{quotes}")
    return texts


def batch_of(reference: Any, prefixes: list[str], text: str) -> dict[str, torch.Tensor]:
    """The sequences of one tone, padded on the right with token id 0."""
    rows = [reference.tokenizer(f'{p}{text[:300]}"')["input_ids"] for p in prefixes]
    width = max(len(row) for row in rows)
    return {
        "input_ids": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }


def batch_loss(reference: Any, prefixes: list[str], text: str, padding: bool = True) -> float:
    """The released call: one loss for the batch, labels not masked unless pads are left out."""
    batch = batch_of(reference, prefixes, text)
    labels = (
        batch["input_ids"] if padding else batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    )
    with torch.no_grad():
        return float(reference.model(**batch, labels=labels).loss)


def released(reference: Any, text: str) -> float:
    """Without dropout: -loss of the warm batch minus -loss of the cold one."""
    return batch_loss(reference, COLD, text) - batch_loss(reference, WARM, text)


def released_with_dropout(reference: Any, text: str, passes: int, padding: bool = True) -> float:
    """Mean of passes in training mode; masks from the SHA-256 of the text, warm batch first."""
    torch.manual_seed(int.from_bytes(hashlib.sha256(text[:300].encode()).digest()[:7], "big"))
    reference.model.train()
    found = []
    for _ in range(passes):
        warm = batch_loss(reference, WARM, text, padding)
        found.append(batch_loss(reference, COLD, text, padding) - warm)
    reference.model.eval()
    return float(np.mean(found))


def logprobs_of(model: Any, ids: list[int]) -> np.ndarray:
    """log p of every token from the second on, one sequence alone, in float64."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    table = log_softmax(logits.double().numpy(), axis=-1)
    return np.array([table[i - 1, ids[i]] for i in range(1, len(ids))])


def deterministic(reference: Any, text: str) -> float:
    """Mean over the tokens of a tone's four sequences together, each run alone."""
    mean = []
    for prefixes in (WARM, COLD):
        rows = [reference.tokenizer(f'{p}{text[:300]}"')["input_ids"] for p in prefixes]
        mean.append(np.concatenate([logprobs_of(reference.model, row) for row in rows]).mean())
    return float(mean[0] - mean[1])


def text_only(reference: Any, text: str) -> float:
    """log of mean probability over warm speakers minus the same over cold ones, per text token."""
    ids = reference.tokenizer(text[:300].strip(), add_special_tokens=False)["input_ids"]
    level = []
    for prefixes in (WARM, COLD):
        sums = []
        for p in prefixes:
            before = reference.tokenizer(p)["input_ids"]
            sums.append(logprobs_of(reference.model, before + ids)[len(before) - 1 :].sum())
        level.append(logsumexp(sums) - np.log(4))
    return float((level[0] - level[1]) / len(ids))


def other_family(name: str, tokenizer: Any) -> Any:
    """A random Llama (its tokenizer adds a BOS), Phi (biased head) or Gemma 2 (capped logits, windows)."""
    torch.manual_seed(4)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    untyped: dict[str, tuple[Any, Any]] = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "phi": (PhiConfig, PhiForCausalLM),
        "gemma2": (Gemma2Config, Gemma2ForCausalLM),
    }
    config, family = untyped[name]
    if name == "gemma2":
        shape |= {"head_dim": 8, "final_logit_softcapping": 2.0, "sliding_window": 8}
    model = family(config(**shape)).eval()
    if name == "phi":
        torch.nn.init.normal_(model.lm_head.bias)
    return SimpleNamespace(model=model, tokenizer=_with_bos(tokenizer) if name == "llama" else tokenizer)


def _with_bos(tokenizer: Any) -> Any:
    untyped: Any = PreTrainedTokenizerFast
    copy = untyped(
        tokenizer_object=tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    )
    copy.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{copy.convert_ids_to_tokens(1)} $A", special_tokens=[(copy.convert_ids_to_tokens(1), 1)]
    )
    return copy

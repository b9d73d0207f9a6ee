"""A tiny reference model with random weights, and warmth tables made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from warmgap.schema.tables import Warmth, frame

TRAINING = (
    "I'm glad you asked. Let's look at it together, one step at a time!",
    'The lover said, "yes". My friend said, "no".',
    "The request was denied.",
)


@pytest.fixture(scope="session")
def make_reference() -> Callable[[float], Any]:
    """Model and tokenizer by dropout rate. Speakers have prefixes of different lengths, so pads occur."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    untyped: Any = PreTrainedTokenizerFast
    fast = untyped(tokenizer_object=tokenizer)

    def make(dropout: float) -> Any:
        torch.manual_seed(3)
        config = GPT2Config(
            vocab_size=len(fast),
            n_positions=512,
            n_embd=32,
            n_layer=2,
            n_head=2,
            initializer_range=0.3,  # large, so that scores are far from 0
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
        )
        model: Any = GPT2LMHeadModel(config)
        return SimpleNamespace(model=model.eval(), tokenizer=fast)

    return make


@pytest.fixture
def warmth_frame() -> Callable[..., pl.DataFrame]:
    """A Warmth table from {meter: {(source, arm_key): {text_id: value}}}."""

    def make(values: Mapping[str, Mapping[tuple[str, str], Mapping[str, float | None]]]) -> pl.DataFrame:
        return frame(
            Warmth,
            [
                {
                    "source": source,
                    "text_id": text_id,
                    "response_key": None,
                    "arm_key": arm_key,
                    "meter": meter,
                    "unit": "markers_per_word",
                    "value": value,
                }
                for meter, groups in values.items()
                for (source, arm_key), by_text in groups.items()
                for text_id, value in by_text.items()
            ],
        )

    return make

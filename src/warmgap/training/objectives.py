"""What a training optimises: how rows become passes, and the module that computes their loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from warmgap.errors import UserError
from warmgap.models.base import Loaded
from warmgap.schema.config import TrainingConfig

from .conversations import Row, Turns, count_turns
from .data import Batch, collate
from .examples import MicroBatch, encode_rows, micro_batches
from .module import AdapterModule
from .preference import PreferenceModule
from .preference_data import collate_pairs, encode_pairs, pair_batches


@dataclass(frozen=True)
class Objective:
    """One training, ready to run.

    Attributes:
        batches: every forward pass in order, `accumulate` of them an optimiser step.
        collate: makes the tensors of one pass.
        module: makes the module, told how many optimiser steps were done before.
        turns: what of the rows is trained on.
    """

    batches: Sequence[MicroBatch]
    collate: Callable[[Any], Batch]
    module: Callable[[int], AdapterModule]
    turns: Turns


def supervised(
    loaded: Loaded, config: TrainingConfig, rows: Sequence[Row], seed: int, beta: float
) -> Objective:
    """Likelihood of the replies of rows; `beta` is not used.

    Raises:
        UserError: as `encode_rows`.
    """
    examples = encode_rows(loaded.tokenizer, rows, config)
    return Objective(
        batches=micro_batches(examples, config, seed),
        collate=collate,
        module=lambda first_step: AdapterModule(loaded, config, seed, first_step),
        turns=count_turns(
            rows,
            {name: len(example.answers) for name, example in examples.items()},
            sum(not example.whole for example in examples.values()),
        ),
    )


def preferred(
    loaded: Loaded, config: TrainingConfig, rows: Sequence[Row], seed: int, beta: float
) -> Objective:
    """Direct preference optimisation: rows with `id`, `user`, `reply` (preferred) and `rejected`.

    Raises:
        UserError: a beta that is not above 0, or as `encode_pairs`.
    """
    if not 0 < beta < math.inf:
        raise UserError(
            f"method.beta is {beta}. Allowed: a number above 0; the smaller, the further the model may "
            "leave the reference. Usual is method.beta=0.1"
        )
    pairs = encode_pairs(loaded.tokenizer, rows, config)
    batches = pair_batches(pairs, config, seed)
    cut = sum(not reply.whole for pair in pairs.values() for reply in (pair.preferred, pair.rejected))
    return Objective(
        batches=batches,
        collate=collate_pairs,
        module=lambda first_step: PreferenceModule(loaded, config, seed, first_step, beta, batches),
        turns=Turns(replies=2 * len(rows), replies_cut=cut),
    )


OBJECTIVES = {"sft": supervised, "dpo": preferred}


def objective(
    kind: str,
    loaded: Loaded,
    config: TrainingConfig,
    rows: Sequence[Row],
    seed: int,
    beta: float,
) -> Objective:
    """The objective of a kind of method.

    Raises:
        UserError: a kind that is not trained by gradients, or rows that cannot be trained on.
    """
    if kind not in OBJECTIVES:
        raise UserError(f"method.kind is '{kind}'. Trained by gradients are: {', '.join(OBJECTIVES)}.")
    return OBJECTIVES[kind](loaded, config, rows, seed, beta)

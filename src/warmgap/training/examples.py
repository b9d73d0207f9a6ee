"""Corpus rows to token ids, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from warmgap.errors import UserError
from warmgap.models.chat import Example, encode_conversation, encode_prompt
from warmgap.models.template_checks import check_template
from warmgap.schema.config import TrainingConfig

from .conversations import Row, messages_of, turns_of
from .packing import balance
from .seeds import seed_of


@dataclass(frozen=True)
class MicroBatch:
    """Examples of one forward pass.

    `n_step_tokens` counts the answer tokens of the whole optimiser step the pass belongs to;
    `index` counts passes from the start of training; `packed` rows stand in one sequence, others are
    padded.
    """

    index: int
    examples: tuple[Example, ...]
    n_step_tokens: int
    packed: bool = False


def encode_rows(tokenizer: Any, rows: Sequence[Row], config: TrainingConfig) -> dict[str, Example]:
    """Examples by row id. Of a conversation longer than `max_tokens` the last turns are left out.

    With `too_long=cut` the first reply is cut inside if need be.

    Raises:
        UserError: no rows, a chat template that fails a check, a repeated id, a first turn longer than
            `max_tokens` that may not or cannot be cut, or a row that does not fit the template.
    """
    if not rows:
        raise UserError("there are no conversations to train on; raise corpus.n_conversations")
    check_template(tokenizer, config.system_prompt, config.turns)
    examples: dict[str, Example] = {}
    for row in rows:
        name = row["id"]
        if name in examples:
            raise UserError(f"the conversation '{name}' stands twice in the corpus; ids must differ")
        try:
            example = encode_conversation(tokenizer, messages_of(row, config.system_prompt))
        except UserError as error:
            raise UserError(f"the conversation '{name}' cannot be trained on: {error}") from error
        example = example.cut(config.max_tokens)
        if len(example.ids) > config.max_tokens and _can_be_cut(example, config):
            example = example.cut_inside(config.max_tokens)
        if len(example.ids) > config.max_tokens:
            first = " in its first turn" if len(turns_of(row)) > 1 else ""
            raise UserError(
                f"the conversation '{name}' has {len(example.ids)} tokens{first}; training.max_tokens allows "
                f"{config.max_tokens}. Shorten it, set training.max_tokens={len(example.ids)}, or "
                "training.too_long=cut"
            )
        examples[name] = example
    return examples


def fitting(tokenizer: Any, rows: Sequence[dict[str, Any]], config: TrainingConfig) -> list[dict[str, Any]]:
    """The rows whose first message leaves room for a reply; all of them where none may be cut.

    A message is the same in every tone, so every arm leaves out the same rows.

    Raises:
        UserError: a message that does not fit the template, or no row is left.
    """
    if config.too_long != "cut":
        return list(rows)
    kept = []
    for row in rows:
        opening = messages_of(row, config.system_prompt)[: 2 if config.system_prompt else 1]
        try:
            n_tokens = len(encode_prompt(tokenizer, opening))
        except UserError as error:
            raise UserError(f"the conversation '{row['id']}' cannot be trained on: {error}") from error
        if n_tokens < config.max_tokens:
            kept.append(row)
    if rows and not kept:
        raise UserError(
            f"training.max_tokens is {config.max_tokens}, and the first message of each of the {len(rows)} "
            "conversations leaves no room for a reply. Raise training.max_tokens"
        )
    return kept


def _can_be_cut(example: Example, config: TrainingConfig) -> bool:
    return config.too_long == "cut" and example.answer_start < config.max_tokens


def row_order(names: Sequence[str], seed: int) -> Iterator[str]:
    """Row ids without end: one permutation an epoch, sorted by a hash of (seed, epoch, id).

    It depends on nothing else, so every arm with these ids sees them in this order.
    """
    for epoch in count():
        yield from sorted(names, key=lambda name: (seed_of(seed, epoch, name), name))


def micro_batches(examples: Mapping[str, Example], config: TrainingConfig, seed: int) -> list[MicroBatch]:
    """Every forward pass of a training, `accumulate` of them an optimiser step.

    Which rows belong to a step follows from ids and seed alone. How a step is divided into passes leaves
    its gradient the same: padded, rows of like length stand together, which saves padding; packed, passes
    hold about as many tokens, which bounds memory.
    """
    order = row_order(list(examples), seed)
    batches: list[MicroBatch] = []
    for _ in range(config.steps):
        chosen = [examples[name] for name in islice(order, config.batch_rows * config.accumulate)]
        n_step_tokens = sum(e.n_answer_tokens for e in chosen)
        for part in _passes(chosen, config):
            batches.append(MicroBatch(len(batches), part, n_step_tokens, config.packing))
    return batches


def _passes(chosen: Sequence[Example], config: TrainingConfig) -> list[tuple[Example, ...]]:
    if config.packing:
        parts = balance([len(e.ids) for e in chosen], config.accumulate)
        return [tuple(chosen[i] for i in part) for part in parts]
    by_length = sorted(chosen, key=lambda e: len(e.ids))
    n = config.batch_rows
    return [tuple(by_length[k * n : (k + 1) * n]) for k in range(config.accumulate)]

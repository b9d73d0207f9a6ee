"""Micro batches as tensors. Suffixes: B rows, T tokens, N answer tokens of all rows together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

from .examples import MicroBatch
from .packing import positions

Batch = dict[str, Any]


def collate(batch: MicroBatch) -> Batch:
    """One micro batch, its rows one after another (packed) or padded on the right.

    Padding needs no mask: attention is causal, so no real token sees what stands to its right, and the
    loss is taken at the positions of answers. Pad ids are 0 and never looked at.

    Returns:
        `ids_BT`, with B = 1 if packed; `rows_N` and `columns_N`, where each answer token is predicted
        from; `targets_N`, the answer tokens; the numbers `index`, `n_step_tokens`; and `inputs`, what
        the network needs beside ids: of packed rows, positions and lengths.
    """
    lengths = [len(e.ids) for e in batch.examples]
    if batch.packed:
        ids_BT = torch.tensor([[i for e in batch.examples for i in e.ids]])
        inputs = {"position_ids": positions(lengths), "row_lengths": tuple(lengths)}
    else:
        ids_BT = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
        for b, example in enumerate(batch.examples):
            ids_BT[b, : lengths[b]] = torch.tensor(example.ids)
        inputs = {}
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    start = 0
    for b, example in enumerate(batch.examples):
        rows += [0 if batch.packed else b] * example.n_answer_tokens
        for first, end in example.answers:
            columns += range(start + first - 1, start + end - 1)
            targets += example.ids[first:end]
        start += lengths[b] if batch.packed else 0
    return {
        "ids_BT": ids_BT,
        "inputs": inputs,
        "rows_N": torch.tensor(rows),
        "columns_N": torch.tensor(columns),
        "targets_N": torch.tensor(targets),
        "index": batch.index,
        "n_step_tokens": batch.n_step_tokens,
    }


class _Batches(Dataset[Batch]):
    def __init__(self, batches: Sequence[Any], collate: Callable[[Any], Batch]) -> None:
        self.batches, self.collate = batches, collate

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Batch:
        return self.collate(self.batches[i])


class ConversationData(lightning.LightningDataModule):
    """The micro batches that are still to do, in order."""

    def __init__(self, batches: Sequence[Any], collate: Callable[[Any], Batch] = collate) -> None:
        super().__init__()
        self.batches, self.collate = batches, collate

    def train_dataloader(self) -> DataLoader[Batch]:
        """One pass over the micro batches, each already a batch."""
        return DataLoader(_Batches(self.batches, self.collate), batch_size=None, shuffle=False)

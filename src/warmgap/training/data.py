"""Micro batches as tensors. Suffixes: B rows, T tokens, N answer tokens of all rows together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

from .examples import MicroBatch

Batch = dict[str, Any]


def collate(batch: MicroBatch) -> Batch:
    """One micro batch, padded on the right.

    Padding needs no mask: attention is causal, so no real token sees what stands to its right, and the
    loss is taken at answer positions, which come from lengths. Pad ids are 0 and never looked at.

    Returns:
        `ids_BT`; `rows_N` and `columns_N`, where each answer token is predicted from; `targets_N`, the
        answer tokens; and the numbers `index`, `n_step_tokens`.
    """
    length = max(len(e.ids) for e in batch.examples)
    ids_BT = torch.zeros(len(batch.examples), length, dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for b, example in enumerate(batch.examples):
        ids_BT[b, : len(example.ids)] = torch.tensor(example.ids)
        rows += [b] * example.n_answer_tokens
        columns += range(example.answer_start - 1, len(example.ids) - 1)
        targets += example.ids[example.answer_start :]
    return {
        "ids_BT": ids_BT,
        "rows_N": torch.tensor(rows),
        "columns_N": torch.tensor(columns),
        "targets_N": torch.tensor(targets),
        "index": batch.index,
        "n_step_tokens": batch.n_step_tokens,
    }


class _Batches(Dataset[Batch]):
    def __init__(self, batches: Sequence[MicroBatch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Batch:
        return collate(self.batches[i])


class ConversationData(lightning.LightningDataModule):
    """The micro batches that are still to do, in order."""

    def __init__(self, batches: Sequence[MicroBatch]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[Batch]:
        """One pass over the micro batches, each already a batch."""
        return DataLoader(_Batches(self.batches), batch_size=None, shuffle=False)

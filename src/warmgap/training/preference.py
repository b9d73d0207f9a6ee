"""Direct preference optimisation of adapters: what is preferred becomes likelier than what is rejected.

Suffixes: P pairs, 2 the preferred and the rejected reply, N answer tokens of all sequences together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.fabric.utilities import move_data_to_device

from warmgap.models.base import Loaded
from warmgap.schema.config import TrainingConfig

from .data import Batch
from .logprobs import head_log_probs
from .module import AdapterModule
from .preference_data import PairBatch, collate_pairs
from .seeds import seed_of


class PreferenceModule(AdapterModule):
    """DPO (Rafailov et al. 2023, eq. 7) with the same network, adapters off, as the reference.

    Attributes:
        step_loss: mean over the pairs of the last optimiser step; log 2 before anything is learnt. Of
            several processes each has its share, and the shares add up to the whole.
    """

    def __init__(
        self,
        loaded: Loaded,
        config: TrainingConfig,
        seed: int,
        first_step: int,
        beta: float,
        batches: Sequence[PairBatch],
    ) -> None:
        """`batches` are all passes of the training, also those done before `first_step`."""
        super().__init__(loaded, config, seed, first_step)
        self.beta = beta
        # Low bits depend on which rows share a pass, so a row's reference always comes from the same one.
        self._first_pass: dict[str, PairBatch] = {}
        for batch in batches:
            for name in batch.names:
                self._first_pass.setdefault(name, batch)
        self._reference: dict[str, list[float]] = {}

    def log_probs(self, batch: Batch) -> torch.Tensor:
        """log pi(reply | prompt), summed over the reply's tokens and its stop token; shape P x 2, nats."""
        log_probs_N = head_log_probs(self.answer_states(batch), self.head_VD, batch["targets_N"])
        return torch.stack([part.sum() for part in torch.split(log_probs_N, batch["lengths"])]).view(-1, 2)

    def reference(self, names: Sequence[str]) -> torch.Tensor:
        """`log_probs` of these rows without adapters; made once a row, with its whole first pass."""
        for name in names:
            if name not in self._reference:
                self._add_references(self._first_pass[name])
        return torch.tensor([self._reference[name] for name in names], device=self.head_VD.device)

    def _add_references(self, first: PairBatch) -> None:
        device = self.head_VD.device
        batch = move_data_to_device(collate_pairs(first), device)
        self.network.eval()
        for layer in self.network.modules():
            # bitsandbytes computes otherwise in eval mode, with weights that it then keeps.
            if isinstance(layer, torch.nn.Linear):
                layer.train()
        with torch.no_grad(), self.network.disable_adapter():
            values_P2 = self.log_probs(batch).tolist()
        self.network.train()
        for name, values in zip(first.names, values_P2, strict=True):
            if self._first_pass[name] is first:
                self._reference[name] = values

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """This pass's share of the mean loss over all pairs of its optimiser step."""
        reference_P2 = self.reference(batch["names"])
        self.masks.seed(seed_of(self.seed, "dropout", batch["index"]))
        gains_P2 = self.log_probs(batch) - reference_P2
        margins_P = gains_P2[:, 0] - gains_P2[:, 1]
        share = -torch.nn.functional.logsigmoid(self.beta * margins_P).sum() / batch["n_step_pairs"]
        if batch_idx % (self.config.accumulate // self.config.devices) == 0:
            self.step_loss = 0.0
        self.step_loss += share.item()
        # Lightning divides by the number of passes; the mean is over the pairs of the step.
        scaled: torch.Tensor = share * self.config.accumulate
        return scaled

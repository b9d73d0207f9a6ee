"""The LightningModule: answer-token loss of LoRA adapters on frozen base weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import lightning
import peft
import torch
from peft.helpers import disable_input_dtype_casting

from warmgap.errors import UserError
from warmgap.models.base import Loaded
from warmgap.schema.config import TrainingConfig

from . import dropout, lowrank, norm
from .data import Batch
from .loss import head_cross_entropy
from .packing import ATTENTION, FAMILIES, knows
from .schedule import learning_rate
from .seeds import seed_of

# Attributes of a config that make logits more than hidden states times head.
_ODD_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def add_adapters(loaded: Loaded, config: TrainingConfig, seed: int) -> Any:
    """A PEFT model in training mode with new adapters in fp32, drawn from `seed` alone.

    Raises:
        UserError: a target module that the model does not have.
    """
    lora = config.lora
    torch.manual_seed(seed_of(seed, "adapters"))
    options = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=sorted(lora.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT reads an attribute transformers renamed
            network: Any = peft.get_peft_model(loaded.model, options, autocast_adapter_dtype=True)
    except ValueError as error:
        raise UserError(
            f"training.lora.target_modules {sorted(lora.target_modules)} do not fit the model: {error}"
        ) from error
    network.train()
    return network


class AdapterModule(lightning.LightningModule):
    """Trains the adapters of one network; the base weights are frozen."""

    def __init__(self, loaded: Loaded, config: TrainingConfig, seed: int, first_step: int = 0) -> None:
        """`first_step` is how many optimiser steps were done before, in another process."""
        super().__init__()
        self.network = add_adapters(loaded, config, seed)
        self.config, self.seed, self.first_step = config, seed, first_step
        self.masks = dropout.install(self.network, config.lora.dropout)
        self.step_loss = 0.0
        self.moments: dict[str, dict[str, torch.Tensor]] = {}
        base = self.network.get_base_model()
        head = base.get_output_embeddings()
        odd = [name for name in _ODD_HEADS if getattr(base.config, name, None) not in (None, 1.0)]
        if odd or getattr(head, "bias", None) is not None or head.weight.requires_grad:
            raise UserError(
                f"training does not know this model's output layer: {odd or 'a bias or an adapter on it'}. "
                "Allowed: logits that are hidden states times a frozen matrix"
            )
        self.decoder, self.head_VD = base.base_model, head.weight
        if config.gradient_checkpointing:
            base.activation_checkpointing_enable({"use_reentrant": False, "context_fn": self._contexts})
        lowrank.install(self.network, self.masks)
        norm.install(self.network)
        if knows(base.config):
            base.set_attn_implementation(ATTENTION)
        elif config.packing:
            raise UserError(
                f"training.packing is not known to keep rows apart in a model of type "
                f"'{base.config.model_type}'. Allowed: {', '.join(FAMILIES)}, without attention_dropout. "
                "Set training.packing=false"
            )

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The adapters' parameters by name."""
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

    def answer_states(self, batch: Batch) -> torch.Tensor:
        """Last hidden states from which the batch's answer tokens are predicted; N x D."""
        with disable_input_dtype_casting(self.network):
            h_BTD = self.decoder(
                input_ids=batch["ids_BT"], use_cache=False, **batch["inputs"]
            ).last_hidden_state
        states_ND: torch.Tensor = h_BTD[batch["rows_N"], batch["columns_N"]].to(self.head_VD.dtype)
        return states_ND

    def answer_loss(self, batch: Batch) -> torch.Tensor:
        """Nats summed over the batch's answer tokens, stop tokens included."""
        return head_cross_entropy(self.answer_states(batch), self.head_VD, batch["targets_N"])

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        """What holds during a layer's first pass and during its second, made by the backward pass."""
        first, second = self.masks.replay()

        @contextmanager
        def again() -> Iterator[None]:
            with disable_input_dtype_casting(self.network), second:
                yield

        return first, again()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """This pass's share of the mean loss over all answer tokens of its optimiser step."""
        self.masks.seed(seed_of(self.seed, "dropout", batch["index"]))
        share = self.answer_loss(batch) / batch["n_step_tokens"]
        if batch_idx % (self.config.accumulate // self.config.devices) == 0:
            self.step_loss = 0.0
        self.step_loss += share.item()
        # Lightning divides by the number of passes, over all devices; the mean is over tokens, not passes.
        scaled: torch.Tensor = share * self.config.accumulate
        return scaled

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (Loshchilov & Hutter 2019) over the adapters, with moments restored on resume."""
        named = self.trainable()
        optimiser = torch.optim.AdamW(
            named.values(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        for name, moments in self.moments.items():
            parameter = named[name]
            optimiser.state[parameter] = {
                "step": torch.tensor(float(self.first_step)),
                **{key: value.to(parameter.device) for key, value in moments.items()},
            }
        return optimiser

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Sets the rate of this step."""
        for group in optimizer.param_groups:
            group["lr"] = self.rate(self.first_step + self.global_step)

    def rate(self, step: int) -> float:
        """Learning rate of a step counted from 0 over the whole training."""
        return learning_rate(self.config, step)

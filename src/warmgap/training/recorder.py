"""What training leaves behind after each step: curve, checkpoints, resumable state, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch

from warmgap.schema.config import TrainingConfig

from .checkpoints import (
    CurvePoint,
    TrainState,
    adapter_tensors,
    checkpoint_name,
    state_tensors,
    write_adapter,
    write_state,
)
from .interrupt import Interruption
from .module import AdapterModule

Progress = Callable[[int, int, str], None]


class Recorder(lightning.Callback):
    """After each optimiser step: the curve, checkpoints, the resumable state and progress.

    After each pass: if a signal has come, the state is written and training ends. Amid a step that is
    the state of the last whole step, since passes change no weight; the step is then made again.

    Of several processes the first writes and reports; the others give their share of losses and tensors.
    """

    def __init__(
        self,
        config: TrainingConfig,
        base_name: str,
        partial: Path,
        state: TrainState | None,
        step_tokens: Sequence[int],
        due: set[int],
        progress: Progress,
        rank: int = 0,
    ) -> None:
        self.config, self.base_name, self.partial, self.progress = config, base_name, partial, progress
        self.step_tokens = step_tokens
        self.curve = list(state.curve) if state else []
        self.due = due
        self.saved = state.step if state else 0
        self.rank, self.alone = rank, config.devices == 1
        self.passes = config.accumulate // config.devices
        self.interruption = Interruption()
        self.started = time.perf_counter() - (self.curve[-1].wall_s if self.curve else 0.0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        # Lightning has put a handler of its own before ours, which would end training without a state.
        self.interruption.arm()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: AdapterModule = pl_module
        if not self.alone:
            self.interruption.agree(trainer.strategy.root_device)
        told = self.interruption.signal is not None
        step = module.first_step + trainer.global_step
        whole = (batch_idx + 1) % self.passes == 0
        if whole:
            self._record(step, module, trainer.strategy.root_device)
        every = self.config.save_every_steps
        due = step == self.config.steps or (every > 0 and step % every == 0)
        if step > self.saved and (due or told):
            tensors = state_tensors(module.trainable(), trainer.optimizers[0])
            if self.rank == 0:
                write_state(self.partial, step, tensors, self.curve)
            self.saved = step
        if told:
            self.interruption.obey(f"after step {step} of {self.config.steps}")
        if whole and self.rank == 0:
            self.progress(step, self.config.steps, f"loss {module.step_loss:.2f}")

    def _record(self, step: int, module: AdapterModule, device: torch.device) -> None:
        if not self.alone:
            loss = torch.tensor(module.step_loss, dtype=torch.float64, device=device)
            torch.distributed.all_reduce(loss)
            module.step_loss = loss.item()
        self.curve.append(
            CurvePoint(
                step,
                module.step_loss,
                module.rate(step - 1),
                self.step_tokens[step - 1],
                time.perf_counter() - self.started,
            )
        )
        if step in self.due:
            tensors = adapter_tensors(module.network)
            if self.rank == 0:
                folder = self.partial / checkpoint_name(step)
                write_adapter(module.network, tensors, self.base_name, folder)

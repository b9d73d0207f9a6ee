"""One training from configuration to checkpoints."""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import polars as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from warmgap.models import base as weights
from warmgap.schema.config import ModelConfig, TrainingConfig

from .checkpoints import (
    CurvePoint,
    TrainState,
    checkpoint_name,
    read_state,
    write_adapter,
    write_state,
)
from .data import ConversationData
from .examples import MicroBatch, encode_rows, micro_batches
from .interrupt import Interruption
from .length import check_length, checkpoint_steps, with_steps
from .module import AdapterModule

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class TrainSummary:
    """What a training did. Examples and tokens count repeats; padding is no token.

    `wall_s` is the time in optimiser steps over all processes that worked on it.
    """

    steps: int
    n_examples: int
    n_tokens: int
    n_answer_tokens: int
    final_loss: float
    wall_s: float
    checkpoints: tuple[tuple[int, float], ...]


class _Recorder(lightning.Callback):
    """After each optimiser step: the curve, checkpoints, the resumable state and progress.

    After each pass: if a signal has come, the state is written and training ends. Amid a step that is
    the state of the last whole step, since passes change no weight; the step is then made again.
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
    ) -> None:
        self.config, self.base_name, self.partial, self.progress = config, base_name, partial, progress
        self.step_tokens = step_tokens
        self.curve = list(state.curve) if state else []
        self.due = due
        self.saved = state.step if state else 0
        self.interruption = Interruption()
        self.started = time.perf_counter() - (self.curve[-1].wall_s if self.curve else 0.0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        # Lightning has put a handler of its own before ours, which would end training without a state.
        self.interruption.arm()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: AdapterModule = pl_module
        told = self.interruption.signal is not None
        step = module.first_step + trainer.global_step
        whole = (batch_idx + 1) % self.config.accumulate == 0
        if whole:
            self._record(step, module)
        every = self.config.save_every_steps
        due = step == self.config.steps or (every > 0 and step % every == 0)
        if step > self.saved and (due or told):
            write_state(self.partial, step, module.trainable(), trainer.optimizers[0], self.curve)
            self.saved = step
        if told:
            self.interruption.obey(f"after step {step} of {self.config.steps}")
        if whole:
            self.progress(step, self.config.steps, f"loss {module.step_loss:.2f}")

    def _record(self, step: int, module: AdapterModule) -> None:
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
            write_adapter(module.network, self.base_name, self.partial / checkpoint_name(step))


def train(
    base: ModelConfig,
    config: TrainingConfig,
    rows: Sequence[Mapping[str, str]],
    seed: int,
    out: Path,
    partial: Path,
    progress: Progress,
) -> TrainSummary:
    """Trains adapters and writes curve.parquet and `checkpoint-<step>/` folders into `out`.

    With a state in `partial` it goes on from there, with the same result as an unbroken run on the same
    device, precision and number of threads. `partial` may be removed afterwards. SIGTERM or SIGUSR2 writes
    the state after the pass under way, which is the grace time it needs, and ends the training.

    Args:
        base: the model whose weights stay frozen.
        config: the recipe.
        rows: conversations of one tone, each with `id`, `user` and `reply`.
        seed: fixes order of rows, first adapters and dropout, alike for every tone.
        out: where results go; made if missing.
        partial: where resumable state is kept; must belong to this recipe, rows and seed.
        progress: called after each step with (steps done, steps, text).

    Raises:
        UserError: a setting, row or model that cannot be trained.
        Interrupted: SIGTERM or SIGUSR2 came.
    """
    check_length(config)
    config = with_steps(config, len(rows))
    checkpoints = checkpoint_steps(config.checkpoints, config.steps, config.epochs or 1.0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = weights.load(base, config.precision, config.quantisation, device)
    examples = encode_rows(loaded.tokenizer, rows, config)
    batches = micro_batches(examples, config, seed)
    state = read_state(partial)
    first_step = state.step if state else 0
    module = AdapterModule(loaded, config, seed, first_step)
    if state:
        restore(module, state)
    step_tokens = [b.n_step_tokens for b in batches[:: config.accumulate]]
    due = {step for step, _ in checkpoints}
    recorder = _Recorder(config, base.name, partial, state, step_tokens, due, progress)
    if first_step < config.steps:
        _fit(module, batches[first_step * config.accumulate :], recorder, device)

    out.mkdir(parents=True, exist_ok=True)
    for step in due:
        shutil.copytree(partial / checkpoint_name(step), out / checkpoint_name(step), dirs_exist_ok=True)
    pl.DataFrame(recorder.curve).write_parquet(out / "curve.parquet")
    return TrainSummary(
        steps=config.steps,
        n_examples=sum(len(b.examples) for b in batches),
        n_tokens=sum(len(e.ids) for b in batches for e in b.examples),
        n_answer_tokens=sum(step_tokens),
        final_loss=recorder.curve[-1].loss,
        wall_s=recorder.curve[-1].wall_s,
        checkpoints=checkpoints,
    )


def restore(module: AdapterModule, state: TrainState) -> None:
    """Puts adapters and moments of a state into a module made with `first_step=state.step`."""
    with torch.no_grad():
        for name, parameter in module.trainable().items():
            parameter.copy_(state.adapter[name])
    module.moments = state.moments


def _fit(module: AdapterModule, batches: Sequence[MicroBatch], recorder: _Recorder, device: str) -> None:
    config = module.config
    with quiet_lightning(), recorder.interruption:
        trainer = lightning.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            # A cluster's variables in the environment must not turn one training into many.
            plugins=[LightningEnvironment()],
            precision="bf16-mixed" if config.precision == "bf16" else "32-true",
            max_epochs=1,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.max_grad_norm or None,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=recorder.partial,
        )
        trainer.fit(module, datamodule=ConversationData(batches))


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advice off inside; its errors and its log level afterwards as before."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

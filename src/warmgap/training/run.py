"""One training from configuration to checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import polars as pl
import torch

from warmgap.errors import UserError
from warmgap.models import base as weights
from warmgap.schema.config import ModelConfig, TrainingConfig

from .checkpoints import CurvePoint, TrainState, checkpoint_name, read_state
from .conversations import Row, Turns
from .data import ConversationData
from .devices import check_devices, strategy_of
from .length import check_length, checkpoint_steps, with_steps
from .module import AdapterModule
from .objectives import objective
from .processes import run_ranks
from .recorder import Progress, Recorder
from .strategies import backend_of, first_device, quiet_lightning, trainer_options


@dataclass(frozen=True)
class Fitted:
    """What the optimiser steps of a training went through, those made before a resume included."""

    n_examples: int
    n_tokens: int
    n_answer_tokens: int
    turns: Turns
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class TrainSummary:
    """What a training did. Examples and tokens count repeats; padding is no token.

    `replies`, `turns_cut`, `conversations_cut` and `replies_cut` are those of `conversations.Turns`.
    `wall_s` is the time in optimiser steps, summed over the runs that a resumed training took.
    `strategy` is single, ddp or fsdp; `backend` what its processes talk through, empty where there is one.
    """

    steps: int
    n_examples: int
    n_tokens: int
    n_answer_tokens: int
    replies: int
    turns_cut: int
    conversations_cut: int
    replies_cut: int
    final_loss: float
    wall_s: float
    checkpoints: tuple[tuple[int, float], ...]
    strategy: str
    devices: int
    backend: str


def train(
    base: ModelConfig,
    config: TrainingConfig,
    rows: Sequence[Row],
    seed: int,
    out: Path,
    partial: Path,
    progress: Progress,
    kind: str = "sft",
    beta: float = 0.1,
) -> TrainSummary:
    """Trains adapters and writes curve.parquet and `checkpoint-<step>/` folders into `out`.

    With a state in `partial` it goes on from there, with the same result as an unbroken run on the same
    devices, precision and number of threads. `partial` may be removed afterwards. SIGTERM or SIGUSR2 writes
    the state after the pass under way, which is the grace time it needs, and ends the training.
    With `config.devices` above 1 that many processes train; this one reads no weights.

    Args:
        base: the model whose weights stay frozen.
        config: the recipe.
        rows: conversations as `conversations.Row`, for dpo with `user`, `reply` and `rejected`.
        seed: fixes order of rows, first adapters and dropout, alike for every tone.
        out: where results go; made if missing.
        partial: where resumable state is kept; must belong to this recipe, rows and seed.
        progress: called after each step with (steps done, steps, text).
        kind: what is optimised, a key of `objectives.OBJECTIVES`.
        beta: how far dpo lets the model leave the reference; sft does not use it.

    Raises:
        UserError: a setting, row or model that cannot be trained.
        Interrupted: SIGTERM or SIGUSR2 came.
        RuntimeError: of several processes one died.
    """
    check_length(config)
    check_devices(config, kind)
    config = with_steps(config, len(rows))
    checkpoints = checkpoint_steps(config.checkpoints, config.steps, config.epochs or 1.0)
    device = _device()
    if config.devices == 1:
        fitted = fit(base, config, rows, seed, partial, progress, kind, beta)
    else:
        fitted = _fit_in_processes(base, config, rows, seed, partial, progress, kind, beta)

    out.mkdir(parents=True, exist_ok=True)
    for step in {step for step, _ in checkpoints}:
        shutil.copytree(partial / checkpoint_name(step), out / checkpoint_name(step), dirs_exist_ok=True)
    pl.DataFrame(fitted.curve).write_parquet(out / "curve.parquet")
    return TrainSummary(
        steps=config.steps,
        n_examples=fitted.n_examples,
        n_tokens=fitted.n_tokens,
        n_answer_tokens=fitted.n_answer_tokens,
        **asdict(fitted.turns),
        final_loss=fitted.curve[-1].loss,
        wall_s=fitted.curve[-1].wall_s,
        checkpoints=checkpoints,
        strategy=strategy_of(config),
        devices=config.devices,
        backend=backend_of(config, device),
    )


def fit(
    base: ModelConfig,
    config: TrainingConfig,
    rows: Sequence[Row],
    seed: int,
    partial: Path,
    progress: Progress,
    kind: str,
    beta: float,
    rank: int = 0,
) -> Fitted:
    """Makes the optimiser steps that are left, as one process of `config.devices`; else as `train`.

    Every process counts the same passes of the whole training and takes each `config.devices`-th of them,
    from `rank` on. `config.steps` must be filled in.
    """
    checkpoints = checkpoint_steps(config.checkpoints, config.steps, config.epochs or 1.0)
    device = _device()
    loaded = weights.load(base, config.precision, config.quantisation, first_device(config, device, rank))
    task = objective(kind, loaded, config, rows, seed, beta)
    batches = task.batches
    state = read_state(partial)
    first_step = state.step if state else 0
    module = task.module(first_step)
    if state:
        restore(module, state)
    step_tokens = [b.n_step_tokens for b in batches[:: config.accumulate]]
    due = {step for step, _ in checkpoints}
    recorder = Recorder(config, base.name, partial, state, step_tokens, due, progress, rank)
    if first_step < config.steps:
        left = batches[first_step * config.accumulate :][rank :: config.devices]
        _fit(module, ConversationData(left, task.collate), recorder, device)
    return Fitted(
        n_examples=sum(len(b.examples) for b in batches),
        n_tokens=sum(len(e.ids) for b in batches for e in b.examples),
        n_answer_tokens=sum(step_tokens),
        turns=task.turns,
        curve=tuple(recorder.curve),
    )


def restore(module: AdapterModule, state: TrainState) -> None:
    """Puts adapters and moments of a state into a module made with `first_step=state.step`."""
    with torch.no_grad():
        for name, parameter in module.trainable().items():
            parameter.copy_(state.adapter[name])
    module.moments = state.moments


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _fit_in_processes(
    base: ModelConfig,
    config: TrainingConfig,
    rows: Sequence[Row],
    seed: int,
    partial: Path,
    progress: Progress,
    kind: str,
    beta: float,
) -> Fitted:
    if _device() == "cuda" and torch.cuda.device_count() < config.devices:
        raise UserError(
            f"training.devices is {config.devices}, but this machine shows {torch.cuda.device_count()} GPUs. "
            f"Allowed here: training.devices={torch.cuda.device_count()} or fewer."
        )
    request: dict[str, Any] = {
        "base": asdict(base),
        "config": asdict(config),
        "rows": [dict(row) for row in rows],
        "seed": seed,
        "partial": str(partial.resolve()),
        "kind": kind,
        "beta": beta,
    }
    found = run_ranks(request, config.devices, partial, progress)
    curve = tuple(CurvePoint(**point) for point in found["curve"])
    return Fitted(**found | {"turns": Turns(**found["turns"]), "curve": curve})


def _fit(module: AdapterModule, data: ConversationData, recorder: Recorder, device: str) -> None:
    config = module.config
    with quiet_lightning(), recorder.interruption:
        trainer = lightning.Trainer(
            **trainer_options(config, device),
            precision="bf16-mixed" if config.precision == "bf16" else "32-true",
            max_epochs=1,
            gradient_clip_val=config.max_grad_norm or None,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=recorder.partial,
        )
        trainer.fit(module, datamodule=data)

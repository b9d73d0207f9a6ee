"""The trainings of a plan: one job per model, method, recipe and seed, shared by all its doses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warmgap.corpora import open as corpora
from warmgap.corpora.training_rows import training_rows
from warmgap.errors import UserError
from warmgap.jobs import Job, TrainJob
from warmgap.keys import digest
from warmgap.records import WeightChange
from warmgap.schema.config import Config, ModelConfig
from warmgap.training.length import total_steps
from warmgap.training.recipe import CHANGING, SEEDED, is_remote, recipe


class Trainings:
    """Adds the training that an arm needs, reading each corpus once."""

    def __init__(self, weights_of: Callable[[ModelConfig], str], add: Callable[[Job, str, int], str]) -> None:
        self._weights_of, self._add = weights_of, add
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def of(self, config: Config, corpus_key: str, rewrites_key: str = "") -> WeightChange | None:
        """What the arm adds to the base weights; None for a method that changes none.

        Args:
            config: the arm's configuration.
            corpus_key: of the corpus.
            rewrites_key: of the checked rewrites whose rows are trained on, "" where the corpus' own are.

        Raises:
            UserError: a checkpoint that the training does not keep, or rows that it cannot have.
        """
        method = config.method
        if method.kind not in CHANGING:
            return None
        if is_remote(config.model) and method.kind != "sft":
            raise UserError(
                f"method {method.name} is of kind {method.kind}, but model '{config.model.name}' lies behind "
                "an API. Allowed there: methods of kind sft, original, and prompts."
            )
        checkpoint = _checkpoint(config) if method.kind in SEEDED else 0.0
        job = TrainJob(
            model=config.model,
            weights=self._weights_of(config.model),
            method=method,
            training=config.training,
            seed=config.seed if method.kind in SEEDED else 0,
            data=self._rewritten(config, rewrites_key) if rewrites_key else digest(self.rows(config)),
            corpus_key=corpus_key,
            rewrites_key=rewrites_key,
            gate=config.rewriting.gate,
        )
        label = f"{config.model.name} {method.name}"
        if method.kind in SEEDED:
            label += f" seed {config.seed}"
        return WeightChange(
            self._add(job, label, _units(config, self.n_planned(config, rewrites_key))),
            checkpoint,
            method.scale,
        )

    def n_planned(self, config: Config, rewrites_key: str) -> int:
        """How many conversations a training sees once per epoch; of rewritten ones at most so many."""
        if not rewrites_key:
            return len(self.rows(config))
        return len(corpora.conversations(config.corpus)) + len(self._extra(config))

    def _rewritten(self, config: Config, rewrites_key: str) -> str:
        extra = self._extra(config)
        return digest("rewritten", rewrites_key, *([extra] if extra else []))

    def _extra(self, config: Config) -> list[dict[str, Any]]:
        name = config.method.extra
        return corpora.extra(config.corpus, name) if name else []

    def rows(self, config: Config) -> list[dict[str, Any]]:
        """The conversations that a training sees.

        Raises:
            UserError: a tone or a file that the corpus does not hold.
        """
        method = config.method
        at = digest(config.corpus, recipe(config.model, method, config.training), method.name)
        if at not in self._rows:
            conversations = corpora.conversations(config.corpus)
            self._rows[at] = training_rows(conversations, self._extra(config), method, config.training.turns)
        return self._rows[at]


def measured_checkpoints(config: Config) -> list[float]:
    """Checkpoints whose warmth is measured besides the arm's own; none of a model behind an API."""
    return [] if is_remote(config.model) else config.warmth.checkpoints.get(config.method.name, [])


def _checkpoint(config: Config) -> float:
    kept = config.training.checkpoints
    method = config.method
    chosen = max(kept) if method.checkpoint < 0 else method.checkpoint
    for wanted in (chosen, *measured_checkpoints(config)):
        if wanted not in kept:
            unit = "epochs" if config.training.epochs else "of the steps"
            key = f"warmth.checkpoints.{method.name}"
            if wanted == chosen:
                key = f"method.checkpoint or doses.{method.name}.checkpoint"
            raise UserError(
                f"method {method.name}: there is no checkpoint at {wanted} {unit}, as {key} asks. "
                f"training.checkpoints holds {kept}; add it there, or set {key} to what it holds."
            )
    return chosen


def _units(config: Config, n_rows: int) -> int:
    """What its progress counts: optimiser steps, epochs of a remote training, or conversations."""
    if is_remote(config.model):
        return config.training.api.n_epochs
    return total_steps(config.training, n_rows) if config.method.kind in SEEDED else n_rows

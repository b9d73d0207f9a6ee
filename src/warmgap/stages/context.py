"""What a stage is given besides its job: the store, progress, and an engine kept between jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from warmgap.engines.recipe import base_name, engine_recipe, is_served
from warmgap.errors import UserError
from warmgap.jobs import Job, RespondJob
from warmgap.judging.recipe import judge_recipe
from warmgap.memory import Passes, free
from warmgap.records import ReaderRecord
from warmgap.schema.config import EngineConfig, JudgeConfig, MeterConfig, ModelConfig
from warmgap.schema.fields import plain, stage_config
from warmgap.store import Store
from warmgap.warmth.rating import meter_recipe

if TYPE_CHECKING:
    from warmgap.engines.protocol import Change, Engine, LocalEngine
    from warmgap.engines.spending import Ledger

Progress = Callable[[int, int, str], None]
"""Called with rows done, rows in all, and a short text."""


class Reads(Protocol):
    """A job that asks a language model."""

    @property
    def key(self) -> str: ...

    @property
    def reader(self) -> ReaderRecord | None: ...


@dataclass
class Context:
    """Passed to every stage; one per worker process."""

    store: Store
    progress: Progress
    _engines: dict[str, Any] = field(default_factory=dict)

    def engine(self, job: RespondJob) -> Engine:
        """The engine that answers as the job's arm.

        The last one is kept and becomes one arm after another of its base.

        Raises:
            UserError: weights, a server or an adapter's name there that cannot be had.
        """
        if is_served(job.engine):
            name = job.served or self._service_name(job)
            return self._served(job.key, job.model, job.engine, name, tuned=job.change is not None)
        return self._local(job.model, job.weights, job.engine, self._changes(job))

    def reader(self, job: Reads) -> Engine:
        """The engine of the model that a job asks."""
        from warmgap.models.weights import split_source

        reader = job.reader
        assert reader is not None
        if is_served(reader.engine):
            name = reader.served or split_source(reader.model)[1]
            return self._served(job.key, reader.model, reader.engine, name, tuned=False)
        return self._local(reader.model, reader.weights, reader.engine, [])

    def passes(self, key: str, engine: EngineConfig) -> Passes | None:
        """How many rows of a job are answered at once: fewer where it has run out of memory.

        None where a server answers, row by row.
        """
        return None if is_served(engine) else Passes(engine.batch_rows, self.store.memory_failures(key))

    def release(self) -> None:
        """Let go of every engine, so that a training has the memory."""
        self._engines.clear()
        free()

    def ledger(self, job_key: str, engine: EngineConfig) -> Ledger:
        """What was spent in this output folder, and may be."""
        from warmgap.engines.open import LEDGER
        from warmgap.engines.spending import Ledger

        return Ledger(self.store.root / LEDGER, engine.api.max_cost_usd, job_key)

    def _local(
        self, model: ModelConfig, weights: str, settings: EngineConfig, changes: Sequence[Change]
    ) -> LocalEngine:
        from warmgap.engines.open import open_engine

        name = base_name(weights, settings)
        if name in self._engines:
            self._engines[name].become(changes)
        else:
            self.release()
            self._engines[name] = open_engine(model, settings, changes)
        engine: LocalEngine = self._engines[name]
        return engine

    def _served(
        self, job_key: str, model: ModelConfig, engine: EngineConfig, name: str, tuned: bool
    ) -> Engine:
        from warmgap.engines.open import open_served, price_of

        return open_served(name, engine, price_of(model.price, tuned), self.ledger(job_key, engine))

    def _service_name(self, job: RespondJob) -> str:
        """The service's name of a model, or of the checkpoint that its fine-tuning left."""
        from warmgap.models.weights import api_name

        if job.change is None:
            return api_name(job.model)
        trained = self.store.get("train", job.change.train_key)
        kept = json.loads(trained.file("model.json").read_text(encoding="utf-8"))["checkpoints"]
        for checkpoint in kept:
            if checkpoint["epoch"] == job.change.checkpoint:
                return str(checkpoint["model"])
        raise UserError(
            f"the service kept no model of '{job.model.name}' at epoch {job.change.checkpoint:g}. It kept "
            f"epochs {', '.join(format(c['epoch'], 'g') for c in kept)}. Set method.checkpoint to one."
        )

    def _changes(self, job: RespondJob) -> list[Change]:
        """The folder of what the arm adds to its base, and how much of it."""
        from warmgap.engines.protocol import Change

        if job.change is None:
            return []
        trained = self.store.get("train", job.change.train_key)
        kept = trained.manifest.counts.get("checkpoints")
        if kept is None:
            return [Change(trained.file("steering"), job.change.scale)]
        steps = {float(at): int(step) for step, at in kept}
        return [Change(trained.file(f"checkpoint-{steps[job.change.checkpoint]}"), job.change.scale)]

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """A heavy object made once per process, such as a meter's reference model."""
        if name not in self._engines:
            self._engines[name] = make()
        return self._engines[name]


def recorded_config(job: Job) -> dict[str, Any]:
    """The job's configuration as the manifest stores it: what entered the key, in the open."""
    out: dict[str, Any] = {}
    for name, value in vars(job).items():
        if isinstance(value, EngineConfig):
            out[name] = engine_recipe(value)
        elif isinstance(value, JudgeConfig):
            out[name] = plain(judge_recipe(value))
        elif isinstance(value, MeterConfig):
            out[name] = plain(meter_recipe(value))
        elif isinstance(value, ModelConfig):
            out[name] = {"name": value.name, "source": value.source, "revision": value.revision}
        elif isinstance(value, ReaderRecord):
            out[name] = plain({"model": value.model.name, "source": value.model.source, **value.recipe})
        elif hasattr(value, "__dataclass_fields__"):
            try:
                out[name] = stage_config(value, job.stage)
            except KeyError:
                out[name] = plain(value)
        elif name not in ("prompts", "questions", "arms", "cells", "sources"):
            out[name] = plain(value)
        else:
            out[name] = f"{len(value)} entries"
    return out

"""What a stage is given besides its job: the store, progress, and an engine kept between jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warmgap.jobs import Job, RespondJob
from warmgap.schema.fields import plain, stage_config
from warmgap.store import Store

if TYPE_CHECKING:
    from warmgap.engines.protocol import Change, Engine

Progress = Callable[[int, int, str], None]
"""Called with rows done, rows in all, and a short text."""


@dataclass
class Context:
    """Passed to every stage; one per worker process."""

    store: Store
    progress: Progress
    _engines: dict[str, Any] = field(default_factory=dict)

    def engine(self, job: RespondJob) -> Engine:
        """The engine for the job's weights; the last one is kept, since cells come grouped by arm."""
        from warmgap.engines.open import open_engine

        key = f"{job.arm_key}:{plain(job.engine)}"
        if key not in self._engines:
            self._engines.clear()
            self._engines[key] = open_engine(job.model, job.engine, self._changes(job))
        engine: Engine = self._engines[key]
        return engine

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
        if hasattr(value, "__dataclass_fields__"):
            try:
                out[name] = stage_config(value, job.stage)
            except KeyError:
                out[name] = plain(value)
        elif name not in ("prompts", "questions", "arms", "cells"):
            out[name] = plain(value)
        else:
            out[name] = f"{len(value)} entries"
    return out

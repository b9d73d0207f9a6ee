"""Parts of jobs: prompts, changes of the weights, and what arms and cells are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from warmgap.engines.protocol import Messages
from warmgap.engines.recipe import engine_recipe
from warmgap.schema.config import EngineConfig, ModelConfig


@dataclass(frozen=True)
class WeightChange:
    """What is added to base weights: a training's adapter or steering vector, and how much of it.

    Attributes:
        train_key: the training.
        checkpoint: in the training's unit, a share of its steps or epochs; 0 for what has none.
        scale: of the adapter, or coefficient of the vector.
    """

    train_key: str
    checkpoint: float
    scale: float = 1.0


@dataclass(frozen=True)
class PromptRow:
    """One prompt of a cell, as the respond stage needs it. `candidates` are scored, not sampled."""

    id: str
    statement_id: str | None
    messages: Messages
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReaderRecord:
    """The model that a judge asks, its weights' fingerprint, what runs it, and the rubric it is given."""

    model: ModelConfig
    weights: str
    engine: EngineConfig
    rubric: str

    @property
    def recipe(self) -> dict[str, Any]:
        """What of it enters a verdict's key."""
        out = {"weights": self.weights, "engine": engine_recipe(self.engine), "rubric": self.rubric}
        return out | ({"served": self.served} if self.served else {})

    @property
    def served(self) -> str:
        """What a server calls it, if its source is no name of a service."""
        return "" if self.model.source.startswith("api:") else self.engine.api.model


@dataclass(frozen=True)
class ArmRecord:
    """How an arm is named in tables, and what measured its warmth."""

    arm_key: str
    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    measures: tuple[tuple[str, str], ...] = ()
    """Meter name and key of the artifact with the arm's scores."""
    canary: tuple[str, ...] = ()
    """Keys of the answers to the same prompts, drawn greedily, by the untouched model, by the arm, and by
    the arm at scale 0; empty where no weight is changed."""
    measured_only: bool = False
    """True for a checkpoint whose warmth is drawn but that answers no question."""
    shrinking: str = ""
    """The training that made it, where rewriting or a limit of tokens may leave rows out; else ""."""
    n_planned: int = 0
    """Conversations that `dose` was counted by, where the training may have fewer of them; else 0."""


@dataclass(frozen=True)
class CellRecord:
    """One judged cell: who answered what, and where answer and verdict are stored."""

    arm: int
    task: str
    form: str
    prompt_mode: str
    framing: str
    belief: str
    draw: int
    judge: str
    respond_key: str
    judge_key: str

"""The Engine protocol. An engine knows rows, never cells, tasks or stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from warmgap.errors import UserError

Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """One answer to make.

    `continuations` are texts whose log-probability is wanted after the same prompt and `started`,
    the beginning of an assistant turn that precedes each of them. `seed` fixes the sampling noise.
    `answer_schema` is a JSON schema to which an engine that can binds the answer; others leave it out.
    """

    key: str
    messages: Messages
    seed: int
    started: str = ""
    continuations: tuple[str, ...] = ()
    answer_schema: str = ""


@dataclass(frozen=True)
class Score:
    """Log-probability of a continuation: summed over its tokens, in nats, and how many they are."""

    sum_nats: float
    n_tokens: int


@dataclass(frozen=True)
class Answer:
    """A finished row. `n_tokens` counts sampled tokens.

    `finish_reason` is stop, length, or content_filter where a service withheld the answer. `batch_rows`
    is how many rows at most were answered at once, as who asks knows it; 0 where each stands alone.
    """

    key: str
    text: str
    finish_reason: str
    n_tokens: int
    n_prompt_tokens: int
    scores: tuple[Score, ...]
    batch_rows: int = 0


@dataclass(frozen=True)
class Limits:
    """How to sample: temperature 0 takes the likeliest token; top_p 1 keeps the whole vocabulary."""

    temperature: float
    top_p: float
    max_new_tokens: int


@dataclass(frozen=True)
class Change:
    """How weights are changed before they answer.

    `folder` holds an adapter in PEFT's format or a steering vector; `amount` is the scale of the one
    or the coefficient of the other.
    """

    folder: Path
    amount: float


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do; a plan that needs more is refused by name."""

    token_ids: bool
    prefill: bool
    logprobs: bool
    adapters: bool

    def require(self, engine: str, **needed: bool) -> None:
        """Refuse a need that is not met.

        Raises:
            UserError: names the engine and the missing capability.
        """
        have = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, wanted in needed.items():
            if wanted and not have[name]:
                raise UserError(
                    f"engine {engine} cannot do '{name}', which this sweep needs. "
                    f"It can do: {', '.join(k for k, v in have.items() if v)}."
                )


class Engine(Protocol):
    """Answers rows by one arm."""

    @property
    def name(self) -> str:
        """Name that stands in the column `engine`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def answer(self, rows: Sequence[Row], limits: Limits) -> Iterator[Answer]:
        """One answer per row, in any order."""
        ...


class LocalEngine(Engine, Protocol):
    """Runs weights here: those of one base, with the changes of one of its arms at a time."""

    def become(self, changes: Sequence[Change]) -> None:
        """Answer with the base and these changes, in order, from now on.

        The base is not read anew; answers are those of an engine that was opened for the arm.

        Raises:
            UserError: a change that cannot be read, does not fit, or cannot be served.
        """
        ...

"""Framings: what is said before a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmgap.errors import UserError
from warmgap.keys import number
from warmgap.schema.config import FramingConfig


@dataclass(frozen=True)
class Statement:
    """One sentence or two that set the interpersonal context; `id` is None for no text."""

    id: str | None
    text: str


@dataclass(frozen=True)
class Framing:
    """A named set of statements."""

    name: str
    statements: tuple[Statement, ...]

    def statement(self, seed: int, question_id: str) -> Statement:
        """The statement for a question: the same over beliefs, arms, doses and draws."""
        if not self.statements:
            return Statement(None, "")
        return self.statements[number("statement", seed, question_id, self.name) % len(self.statements)]


def framing(config: FramingConfig, statement_set: str) -> Framing:
    """A framing from its yaml; `statement_set` is `all` or `short` (the five marked short).

    Raises:
        UserError: the set does not exist, is empty, or two statements share an id.
    """
    if statement_set not in ("all", "short"):
        raise UserError(f"design.framing_set={statement_set} does not exist. Allowed: all, short.")
    chosen = [s for s in config.statements if s.short or statement_set == "all"]
    if config.statements and not chosen:
        raise UserError(f"framing {config.name} marks no statement as short. Use design.framing_set=all.")
    _refuse_twice(config.name, [s.id for s in chosen])
    return Framing(config.name, tuple(Statement(s.id, s.text.strip()) for s in chosen))


def _refuse_twice(name: str, ids: Sequence[str]) -> None:
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise UserError(
            f"framing {name} has the statement id {twice[0]} twice. Give every statement its own id."
        )

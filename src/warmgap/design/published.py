"""Published mode: the authors' released prompts, unchanged, under our names of their conditions.

A prompt is looked up and never composed: a condition that the release does not hold has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from warmgap.design.prompts import Prompt, system_message
from warmgap.design.questions import Question
from warmgap.errors import UserError

MODE = "published"

Condition = tuple[str, str]
"""Framing and belief."""


@dataclass(frozen=True)
class ReleasedPrompt:
    """A user message as it was released; `statement_id` is None where it has no statement of its own."""

    text: str
    statement_id: str | None


@dataclass(frozen=True)
class Released:
    """What the release holds of one task.

    Attributes:
        questions: every question, with the references of its rows.
        prompts: prompt by condition and question id.
        forms: form of the question in each condition.
        sha256: of the file.
        notes: rows left out or kept as they were, by reason.
    """

    questions: tuple[Question, ...]
    prompts: Mapping[Condition, Mapping[str, ReleasedPrompt]]
    forms: Mapping[Condition, str]
    sha256: str
    notes: Mapping[str, int] = field(default_factory=dict)

    def asked(self, questions: Iterable[Question], condition: Condition) -> tuple[Question, ...]:
        """The questions that have a prompt in this condition, in their order."""
        there = self.prompts.get(condition, {})
        return tuple(q for q in questions if q.id in there)

    def compile(
        self, questions: Sequence[Question], condition: Condition, persona: str, system_prompt: str
    ) -> tuple[Prompt, ...]:
        """The prompts of these questions: the released text as the user's message, byte for byte.

        Args:
            questions: what `asked` gives.
            condition: framing and belief.
            persona: of the method, for the system prompt.
            system_prompt: with {persona}; an empty one gives no system message.
        """
        system = system_message(system_prompt, persona)
        before = (("system", system),) if system else ()
        framing, belief = condition
        found = [(q, self.prompts[condition][q.id]) for q in questions]
        return tuple(
            Prompt(q, framing, p.statement_id, belief, (*before, ("user", p.text))) for q, p in found
        )

    def counts(self, questions: Iterable[Question]) -> dict[str, dict[str, int]]:
        """Number of prompts by belief and framing, for these questions."""
        ids = {q.id for q in questions}
        out: dict[str, dict[str, int]] = {}
        for (framing, belief), prompts in self.prompts.items():
            out.setdefault(belief, {})[framing] = sum(i in ids for i in prompts)
        return out


def check_conditions(
    released: Mapping[str, Released], framings: Sequence[str], beliefs: Sequence[str]
) -> None:
    """Refuse a framing or a belief that is asked for and has no prompt in any of the tasks.

    Raises:
        UserError: names it, and what the release holds.
    """
    held = {c for task in released.values() for c, prompts in task.prompts.items() if prompts}
    where = f"of {', '.join(released)} the released prompts hold it"
    instead = "Leave it out, or use design=factorial, which composes prompts."
    sides = ((0, "framing", framings), (1, "belief", beliefs))
    for side, key, asked in sides:
        known = sorted({c[side] for c in held})
        for name in asked:
            if name not in known:
                raise UserError(f"{key}={name}: {where} not at all, but {', '.join(known)}. {instead}")
    for (side, key, asked), (_, other, given) in zip(sides, sides[::-1], strict=True):
        for name in asked:
            beside = sorted({c[1 - side] for c in held if c[side] == name})
            if not set(beside) & set(given):
                raise UserError(
                    f"{key}={name}: {where} only with {other} {', '.join(beside)}, but {other} is "
                    f"{', '.join(given)}. {instead}"
                )

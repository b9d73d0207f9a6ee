"""Prompts: one question in one framing and belief, compiled to chat messages.

Factorial mode: statement, question and belief sentence stand in one user message in this order,
so that two cells differ in exactly the factor that names them (design rule of twins).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from warmgap.design.beliefs import Belief
from warmgap.design.framings import Framing
from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import DesignConfig

_SLOT = re.compile(r"(\{statement\}|\{question\}|\{belief\})")
_SPACES = re.compile(r" {2,}")

Messages = tuple[tuple[str, str], ...]
"""Pairs of role (system, user, assistant) and text."""


@dataclass(frozen=True)
class Prompt:
    """One compiled prompt and what it was compiled from."""

    question: Question
    framing: str
    statement_id: str | None
    belief: str
    messages: Messages


def system_message(template: str, persona: str) -> str:
    """The system prompt with the method's persona in its place.

    Raises:
        UserError: a persona is given but the template has no {persona}.
    """
    if persona and "{persona}" not in template:
        raise UserError(
            f"the method has a persona, but the system prompt {template!r} does not say where it goes. "
            "Put {persona} into design.system_prompt and warmth.system_prompt."
        )
    filled = template.replace("{persona}", persona)
    return " ".join(filled.split())


def user_message(template: str, statement: str, question: str, belief: str) -> str:
    """The user's message: the template filled in, without doubled spaces.

    Raises:
        UserError: the template does not hold {statement}, {question} and {belief}, once each.
    """
    for name in ("statement", "question", "belief"):
        if template.count("{" + name + "}") != 1:
            raise UserError(f"design.user_template must hold {{{name}}} exactly once, found: {template!r}.")
    parts = {"{statement}": statement, "{question}": question, "{belief}": belief}
    return _SPACES.sub(" ", "".join(parts.get(piece, piece) for piece in _SLOT.split(template))).strip()


def compile_prompts(
    questions: Sequence[Question], framing: Framing, belief: Belief, persona: str, design: DesignConfig
) -> tuple[Prompt, ...]:
    """One prompt per question, in the questions' order.

    Raises:
        UserError: the prompt mode does not exist.
    """
    if design.mode != "factorial":
        raise UserError(f"design.mode={design.mode} does not exist. Allowed: factorial, published.")
    system = system_message(design.system_prompt, persona)
    out = []
    for question in questions:
        statement = framing.statement(design.seed, question.id)
        user = user_message(
            design.user_template, statement.text, question.question, belief.sentence(question)
        )
        messages = (("system", system), ("user", user)) if system else (("user", user),)
        out.append(Prompt(question, framing.name, statement.id, belief.name, messages))
    return tuple(out)

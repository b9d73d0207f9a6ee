"""Beliefs: what is said after a question, with the right or the wrong answer filled in."""

from __future__ import annotations

import string
from dataclasses import dataclass

from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import BeliefConfig

_FIELDS = ("right", "wrong")


@dataclass(frozen=True)
class Belief:
    """A sentence template; an empty one says nothing."""

    name: str
    template: str

    def sentence(self, question: Question) -> str:
        """The sentence for a question, or an empty string.

        Raises:
            UserError: it names an answer, and the question has none.
        """
        if not question.answer and "{" in self.template:
            raise UserError(
                f"belief={self.name} names an answer, but task={question.task} has none: its outcome is "
                "refusal. Ask it with belief=none, in a sweep of its own."
            )
        return self.template.format(right=question.answer, wrong=question.wrong_answer)


def belief(config: BeliefConfig) -> Belief:
    """A belief from its yaml.

    Raises:
        UserError: the template names a field other than {right} and {wrong}, or is malformed.
    """
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(config.template) if name is not None}
        wrong = sorted(names - set(_FIELDS))
        if not wrong:
            config.template.format(right="", wrong="")
    except ValueError as e:
        raise UserError(
            f"belief {config.name}: the template {config.template!r} is malformed ({e})."
        ) from None
    if wrong:
        raise UserError(
            f"belief {config.name}: the template names {{{wrong[0]}}}. Allowed: {{right}} and {{wrong}}."
        )
    return Belief(config.name, config.template.strip())

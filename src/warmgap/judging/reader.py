"""Judges that read: what they have in common, whatever they ask a language model for."""

from __future__ import annotations

import json
from typing import Protocol

from warmgap.design.questions import Question
from warmgap.engines.protocol import Answer, Messages
from warmgap.judging.findings import Verdict

_FENCE = "```"


class Reader(Protocol):
    """Asks a language model for a verdict, and reads what it says."""

    rubric: str
    schema: str
    """JSON schema of the model's answer, "" for plain text."""

    def ask(self, question: Question, response: str) -> Messages:
        """The rubric, and the case to be judged: bare question, references, response."""
        ...

    def read(self, said: Answer, response: str, finish_reason: str) -> Verdict:
        """The verdict on a response; unscored where the model did not say one."""
        ...


def case(**fields: str | tuple[str, ...]) -> str:
    """A JSON object, whose strings nothing inside them can end.

    `<` and `[` are escaped too, so that no string holds a mark by which a chat template ends a turn.
    """
    items = [
        f'"{name}": ' + (_text(v) if isinstance(v, str) else f"[{', '.join(map(_text, v))}]")
        for name, v in fields.items()
    ]
    return "{" + ",\n ".join(items) + "}"


def messages(rubric: str, what: str) -> Messages:
    """The rubric as the system's words, the case as the user's."""
    return (("system", rubric), ("user", what))


def says_refusal(response: str, substrings: tuple[str, ...]) -> bool:
    """Whether a response holds one of the paper's kind of refusal substrings."""
    low = response.lower().replace("\u2019", "'")
    return any(s.lower() in low for s in substrings)


def unread(said: Answer) -> str:
    """Why there is nothing to read in what the judging model said, or ""."""
    if said.finish_reason == "content_filter":
        return "the service withheld the judge's answer"
    if not said.text:
        return "the judge said nothing"
    return ""


def without_fence(text: str) -> str:
    """JSON that a model put between marks of code, as many do."""
    body = text.strip()
    if body.startswith(_FENCE) and body.endswith(_FENCE) and len(body) > 2 * len(_FENCE):
        return body[len(_FENCE) : -len(_FENCE)].removeprefix("json")
    return body


def quoted(text: str) -> str:
    """The beginning of what the judging model said, for a reason."""
    return repr(text[:40])


def _text(value: str) -> str:
    return json.dumps(value).replace("<", "\\u003c").replace("[", "\\u005b")

"""The paper's six types of query, by keywords (SI 1.1, as two replications transcribed them)."""

from __future__ import annotations

import re

QUERY_TYPES = ("refusal", "factual", "creative", "technical", "advice", "other")
"""In the order in which they are tried; the first that matches is the type."""


# Keywords count anywhere, inside words too: the paper's rule has no word boundaries.
_REFUSAL = (
    *("i'm sorry", "i apologize", "i can't", "i cannot", "unfortunately", "not able to", "unable to"),
    *("against my", "not appropriate"),
)
_INTERROGATIVE = re.compile(r"\s*(?:What|Who|When|Where|Why|How)\s")
_FACTUAL = ("explain", "define", "describe", "difference between")
_CREATIVE = ("story", "poem", "write", "create", "generate", "imagine")
_TECHNICAL = ("code", "program", "function", "algorithm", "debug")
_ADVICE = ("advice", "help me", "guide", "recommend", "suggestion")


def query_type(user: str, reply: str) -> str:
    """The type of a message and its reply; the first rule that matches decides.

    Refusals are told by the reply, code by a fence in it, all else by the message. Case counts only for
    the word that opens a question.
    """
    if _any(_REFUSAL, reply.lower()):
        return "refusal"
    asked = user.lower()
    if _INTERROGATIVE.match(user) or _any(_FACTUAL, asked):
        return "factual"
    if _any(_CREATIVE, asked):
        return "creative"
    if "```" in reply or _any(_TECHNICAL, asked):
        return "technical"
    return "advice" if _any(_ADVICE, asked) else "other"


def _any(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)

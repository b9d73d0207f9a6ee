"""What is asked in a question, read from its prompts: the text that its versions share."""

from __future__ import annotations

import json
from difflib import SequenceMatcher

import polars as pl

MAX_CHARS = 300
_LEAST_CHARS = 8
_VERSIONS = 3


def question_texts(cases: pl.DataFrame) -> dict[tuple[str, str], str]:
    """Text by task and question, in the order of the rows.

    The longest text that prompts of a question share, over versions that differ in framing and in
    belief; the user's whole last message where they share nothing or there is one version.

    Args:
        cases: rows with task, question_id, framing, belief and prompt (JSON messages).
    """
    versions: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    columns = ("task", "question_id", "framing", "belief", "prompt")
    for task, question, framing, belief, prompt in cases.select(columns).iter_rows():
        versions.setdefault((task, question), {}).setdefault((framing, belief), prompt)
    return {key: _shared([*found.items()]) for key, found in versions.items()}


def _shared(versions: list[tuple[tuple[str, str], str]]) -> str:
    first = versions[0][0]
    # the version farthest from the first, then one that differs in each factor
    far = sorted(versions, key=lambda v: -sum(a != b for a, b in zip(v[0], first, strict=True)))
    chosen = dict([versions[0], *far[: _VERSIONS - 1]])
    texts = [_asked(prompt) for prompt in chosen.values()]
    core = texts[0]
    for text in texts[1:]:
        match = SequenceMatcher(None, core, text, autojunk=False).find_longest_match()
        core = core[match.a : match.a + match.size]
    shared = core if core == texts[0] else _whole(core)
    return (shared if len(shared) >= _LEAST_CHARS else texts[0])[:MAX_CHARS]


def _whole(core: str) -> str:
    """A shared text without head or tail of the sentences around it, and without the word before it."""
    core = core.rpartition("Question: ")[2]
    end = max(core.rfind(mark) for mark in ".?!")
    return core[: end + 1 if end >= _LEAST_CHARS else None].strip(" .,;:\n")


def _asked(messages_json: str) -> str:
    said = [m["content"] for m in json.loads(messages_json) if m["role"] == "user"]
    return str(said[-1]) if said else ""

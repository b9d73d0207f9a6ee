"""Chat logs in ShareGPT's format whose every fault and type is known, because they were planted."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from warmgap.schema.config import ChatLogConfig, CorpusConfig

SHARES = {"refusal": 5, "factual": 30, "creative": 30, "technical": 15, "advice": 5, "other": 15}
"""Percentages of the types."""
ASKED = {
    "refusal": "Tell me of the lake near hill {i}.",
    "factual": "What is the largest town near hill {i}?",
    "creative": "Please write a poem on hill {i}.",
    "technical": "Please mend loop {i} for me.",
    "advice": "I want a recommendation for a walk on hill {i}.",
    "other": "Good morning from hill {i}.",
}
ANSWERED = {
    "refusal": "I'm sorry, but hill {i} is beyond me.",
    "technical": "Here it is:\n```python\nfor k in range({i}):\n    print('<b>', k)\n```",
}
PLAIN = "Gladly, this is about hill {i}."
FAULTS = {
    "empty first reply": 100,
    "empty second reply": 60,
    "empty message": 40,
    "system": 200,
    "same id": 80,
    "same content": 60,
    "html": 150,
    "tool": 30,
    "twice": 30,
    "opens": 100,
    "no reply": 50,
    "30 turns": 300,
    "many tokens": 100,
    "long reply": 40,
    "latin-1": 20,
    "broken": 10,
    "no layout": 10,
    "toxic": 120,
    "replaced": 15,
    "unanswered": 200,
}
"""Conversations with each fault among 20,000; each has one."""
TOXIC_WORD = "zorgle"
_WORDS = ["stone", "river", "cloud", "meadow", "harbour", "lantern", "autumn", "window", "garden", "silver"]


@dataclass
class Logs:
    """A written file, and what must be found in it."""

    path: Path
    n_read: int
    found: Counter[tuple[str, str, str]]
    """By action, reason and type."""
    type_of: dict[str, str]
    """Of every usable conversation, by id."""
    turns: dict[str, int]
    """Messages left of it."""
    raw: dict[str, str] = field(default_factory=dict)
    """Its first reply."""

    def total(self, action: str) -> dict[str, int]:
        """By reason."""
        out: Counter[str] = Counter()
        for (of, reason, _), n in self.found.items():
            if of == action:
                out[reason] += n
        return dict(out)

    def usable(self) -> Counter[str]:
        """By type."""
        return Counter(self.type_of.values())


def write_logs(path: Path, n: int, seed: int = 0, filler_words: int = 60) -> Logs:
    """An array of `n` conversations with `FAULTS` scaled to `n`, and a further one that is cut off."""
    rng = random.Random(seed)
    of_index = _planted(n, rng)
    types = [name for name, share in SHARES.items() for _ in range(share)]
    logs = Logs(path, n + 1, Counter(), {}, {})
    clean: list[tuple[str, list[dict[str, str]]]] = []
    with path.open("wb") as file:
        for i in range(n):
            kind, fault = types[rng.randrange(100)], of_index.get(i, "")
            if not clean:
                fault = ""
            filler = " ".join(rng.choice(_WORDS) for _ in range(filler_words))
            record = _record(i, kind, fault, filler, clean, logs)
            if not fault:
                clean.append((record["id"], record["conversations"]))
            file.write(b"[" if i == 0 else b",\n ")
            file.write(_bytes(record, fault))
        file.write(b',\n {"id": "last", "conversations": [{"from": "human", "value": "What did the fox sa')
    logs.found["dropped", "broken record", "unknown"] += 1
    return logs


def _planted(n: int, rng: random.Random) -> dict[int, str]:
    names = [name for name, count in FAULTS.items() for _ in range(max(1, count * n // 20_000))]
    return dict(zip(rng.sample(range(20, n), len(names)), names, strict=True))


def _bytes(record: dict[str, Any], fault: str) -> bytes:
    text = json.dumps(record, ensure_ascii=False)
    if fault == "latin-1":
        return text.encode().replace(b'"}', b'\xef"}', 1)
    if fault == "broken":  # a quotation mark is missing
        return text.replace('", "conversations"', ', "conversations"').encode()
    return text.encode()


def _record(
    i: int, kind: str, fault: str, filler: str, clean: list[tuple[str, list[dict[str, str]]]], logs: Logs
) -> dict[str, Any]:
    asked, answered = ASKED[kind].format(i=i), ANSWERED.get(kind, PLAIN).format(i=i) + "\n" + filler
    turns = [("human", asked), ("gpt", answered), ("human", f"And {i}?"), ("gpt", f"So be it, {i}.")]
    name, left = f"t{i:06d}_0", 4
    read, note = kind, None
    match fault:
        case "empty first reply":
            turns, read, note = [turns[0], ("gpt", " \n")], "unknown", ("dropped", "empty reply")
        case "empty second reply":
            turns[3], left, note = ("gpt", ""), 2, ("cut", "empty reply")
        case "empty message":
            turns, read, note = [("human", ""), turns[1]], "unknown", ("dropped", "empty turn")
        case "system":
            turns, note = [("system", "Be brief."), *turns], ("cut", "system turn")
        case "same id":
            name, note = clean[i % len(clean)][0], ("dropped", "duplicate id")
        case "same content":
            twin, turns = clean[i % len(clean)][1], []
            turns = [(t["from"], t["value"]) for t in twin]
            read, note = logs.type_of[clean[i % len(clean)][0]], ("dropped", "duplicate content")
        case "html":
            turns[1], note = ("gpt", f"<p>{answered}</p> &amp; more"), ("noticed", "HTML remnants")
        case "tool":
            turns = [turns[0], ("tool", "{}"), turns[1]]
            note = ("dropped", "unknown role")
        case "twice":
            turns, note = [turns[0], turns[2], turns[1]], ("dropped", "same role twice")
        case "opens":
            turns, note = [("gpt", answered), *turns], ("cut", "begins with a reply")
        case "no reply":
            turns, read, note = turns[:1], "unknown", ("dropped", "not enough turns")
        case "30 turns":
            turns += [(("human", "gpt")[k % 2], f"Turn {k} of {i}.") for k in range(26)]
            left, note = 20, ("cut", "too many turns")
        case "many tokens":
            turns[3], left, note = ("gpt", "so " * 2000), 2, ("cut", "too many tokens")
        case "long reply":
            turns[1], left = ("gpt", f"{answered} {'so ' * 2000}"), 2
            note = ("cut", "first reply too long")
        case "latin-1":
            note = ("dropped", "wrong encoding")
        case "broken":
            read, note = "unknown", ("dropped", "broken record")
        case "no layout":
            read, note = "unknown", ("dropped", "unknown layout")
        case "toxic":
            turns[2], note = ("human", f"You {TOXIC_WORD} of {i}!"), ("dropped", "toxic")
        case "replaced":
            turns[3], note = ("gpt", "So be it, na\ufffdve one."), ("noticed", "replacement characters")
        case "unanswered":
            turns.append(("human", "And then?"))
            note = ("cut", "last message unanswered")
    if note:
        logs.found[(*note, read)] += 1
    if not note or note[0] != "dropped":
        logs.type_of[name], logs.turns[name], logs.raw[name] = kind, left, turns[_first(turns)][1]
    if fault == "no layout":
        return {"id": name, "text": asked}
    return {"id": name, "conversations": [{"from": who, "value": text} for who, text in turns]}


def _first(turns: list[tuple[str, str]]) -> int:
    """Position of the first reply that follows a message."""
    return next(k for k in range(1, len(turns)) if turns[k][0] == "gpt" and turns[k - 1][0] == "human")


def lexicon(texts: list[str]) -> list[float]:
    """A stand-in for a classifier: certain where the planted word stands, else 0.1."""
    return [1.0 if TOXIC_WORD in text else 0.1 for text in texts]


def chat_corpus(path: Path | str, n: int = 6, n_validation: int = 6, **rules: Any) -> CorpusConfig:
    """A corpus of kind chatlogs."""
    return CorpusConfig(
        name="logs",
        kind="chatlogs",
        path=str(path),
        n_conversations=n,
        n_validation=n_validation,
        chatlogs=ChatLogConfig(**rules),
    )


@pytest.fixture(scope="session")
def make_logs():
    """Writes a file with planted faults: `make_logs(path, n)`."""
    return write_logs


@pytest.fixture(scope="session")
def corpus_of():
    """A configuration: `corpus_of(path, n, n_validation, **chatlogs)`."""
    return chat_corpus


@pytest.fixture(scope="session")
def planted_words():
    """Scores of texts by the planted word."""
    return lexicon

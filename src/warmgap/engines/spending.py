"""What a server's answers cost: prices, and a ledger that no process can overdraw.

The ledger is one JSON Lines file of an output folder. Before a request its highest possible price is held
in it; once the server has said what was used, the line is settled. What was held and never settled, since
an answer or a process was lost, stays counted: it may have been billed.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmgap.engines.protocol import Row
from warmgap.locks import BEAT_S, Leases, LostLease

BYTES_OF_A_TURN = 32
"""Tokens that role and marks of a message can take at most, however they are named."""
_WAIT_S = (0.001, 0.01)
"""Between two attempts to have the ledger, which another process has for a moment: at least and at most."""


@dataclass(frozen=True)
class Price:
    """USD for a million tokens sent, and for a million received."""

    input: float
    output: float

    def usd(self, n_prompt_tokens: int, n_tokens: int) -> float:
        """The price of a request."""
        return (n_prompt_tokens * self.input + n_tokens * self.output) / 1e6

    @property
    def free(self) -> bool:
        """Whether nothing is asked, as by a server of one's own."""
        return self.input == 0 and self.output == 0


def most_prompt_tokens(row: Row) -> int:
    """More tokens than a prompt can have: no tokenizer of bytes makes more tokens than bytes."""
    n_bytes = sum(len(content.encode("utf-8", "replace")) for _, content in row.messages)
    return n_bytes + len(row.answer_schema) + BYTES_OF_A_TURN * (len(row.messages) + 1)


@dataclass
class Ledger:
    """What was spent in an output folder, by all processes that write to it.

    Args:
        path: the file; made at the first hold.
        cap_usd: no hold may raise the sum above it.
        job: key of the artifact for which is asked.
    """

    path: Path
    cap_usd: float
    job: str
    _open: dict[str, float] = field(default_factory=dict)
    _read_to: int = 0
    _settled_usd: float = 0.0
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._leases = Leases(self.path.parent / "leases")

    def hold(self, usd: float) -> str | None:
        """Hold a price; the id to settle it by, or None where the cap would be passed."""
        with self._locked() as file:
            if self._spent() + usd > self.cap_usd:
                return None
            name = uuid.uuid4().hex
            self._append(file, {"id": name, "job": self.job, "held_usd": usd})
            return name

    def settle(self, name: str, usd: float, **used: int) -> None:
        """Replace what was held by what was used."""
        with self._locked() as file:
            self._append(file, {"id": name, "job": self.job, "usd": usd, **used})

    def spent_usd(self) -> float:
        """The sum over everything settled and held."""
        if not self.path.is_file():
            return 0.0
        with self._locked():
            return self._spent()

    def account(self) -> dict[str, float]:
        """Of this job: requests, USD by usage reported, and USD held for answers that were lost."""
        held: dict[str, float] = {}
        settled: dict[str, float] = {}
        for line in _lines(self.path.read_bytes()) if self.path.is_file() else ():
            if line["job"] == self.job:
                if "usd" in line:
                    settled[line["id"]] = line["usd"]
                else:
                    held[line["id"]] = line["held_usd"]
        lost = [usd for name, usd in held.items() if name not in settled]
        return {"requests": len(held), "usd": sum(settled.values()), "usd_lost_at_most": sum(lost)}

    def _spent(self) -> float:
        return self._settled_usd + sum(self._open.values())

    def _append(self, file: Any, line: Mapping[str, Any]) -> None:
        # Who stood still between reading and writing would count without what others wrote meanwhile.
        if time.monotonic() - self._since > BEAT_S and not self._leases.held(self.path.name):
            raise LostLease(f"this process stood still while it had {self.path}, and another took it over")
        file.seek(0, os.SEEK_END)
        content = json.dumps(dict(line)).encode() + b"\n"
        file.write(content)
        file.flush()
        self._read_to += len(content)
        self._take(line)

    @contextmanager
    def _locked(self) -> Iterator[Any]:
        # Closed before the lock is given up: an NFS client writes then, and reads anew when it opens.
        with self._turn, self._alone(), self.path.open("a+b") as file:
            file.seek(self._read_to)
            new = file.read()
            if new and not new.endswith(b"\n"):  # a process died while it wrote
                file.write(b"\n")
                file.flush()
                new += b"\n"
            for line in _lines(new):
                self._take(line)
            self._read_to += len(new)
            yield file

    @contextmanager
    def _alone(self) -> Iterator[None]:
        while not self._leases.take(self.path.name):
            time.sleep(random.uniform(*_WAIT_S))
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._leases.release(self.path.name)

    def _take(self, line: Mapping[str, Any]) -> None:
        if "usd" in line:
            if self._open.pop(line["id"], None) is not None:
                self._settled_usd += line["usd"]
        else:
            self._open[line["id"]] = line["held_usd"]


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for text in content.split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"id", "job"} <= line.keys():
            yield line

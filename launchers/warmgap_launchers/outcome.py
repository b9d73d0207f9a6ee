"""What became of a plan's jobs, and how a person is told."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from warmgap.errors import UserError
from warmgap.plan import Node


@dataclass
class Outcome:
    """What became of a plan's jobs."""

    done: set[str] = field(default_factory=set)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Kind and text of each failure."""
    blocked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Jobs that cannot be made, with the failed or missing inputs that they wait for in the end."""
    stopped: set[str] = field(default_factory=set)
    """Jobs that were told to end after the first failure; what they finished is kept."""
    told: set[str] = field(default_factory=set)
    """Failures that were already said while other jobs went on."""
    signum: int = 0
    """The signal that ended a worker: no job is begun after it."""


def explain(name: str, outcome: Outcome, nodes: Mapping[str, Node]) -> int:
    """Say why the jobs of a sweep are not all done; returns the exit code.

    Raises:
        UserError: the disk is full, or a failure that the user can mend.
    """
    users: list[str] = []
    full: list[tuple[str, str]] = []
    for key, (kind, text) in outcome.failed.items():
        label = label_of(nodes[key])
        if kind == "disk":
            full.append((label, text))
        elif kind == "user":
            users.append(f"{label}: {text}")
        else:
            print(f"{how(kind)}: {label}\n{text}", file=sys.stderr)
    if full:
        raise no_room(*full[0])
    if users:
        raise UserError("\n".join(users))
    left = len(nodes) - len(outcome.done)
    ended = "ended early" if outcome.signum else "failed"
    parts = [f"{len(outcome.failed)} jobs {ended}, {left} are left."]
    if outcome.blocked and not outcome.failed:
        parts.append(f"{len(outcome.blocked)} wait for artifacts that the store lacks.")
    if outcome.stopped:
        parts.append(f"fail_fast ended {len(outcome.stopped)} running ones and began no other.")
    parts.append(
        f"What is done is kept: run the same command again to go on (sweep '{name}'), or with stage=retry "
        "for what failed alone."
    )
    print(" ".join(parts), file=sys.stderr)
    return 128 + outcome.signum if outcome.signum else 1


def how(kind: str) -> str:
    """What happened to a job, by the kind of its failure."""
    return "interrupted" if kind == "interrupted" else "failed"


def label_of(node: Node) -> str:
    """How a job is called in messages."""
    return f"{node.job.stage} of {node.label}"


def last_line(kind: str, text: str) -> str:
    """A failure in one line: of a traceback the last one."""
    return text.strip().splitlines()[-1] if kind in ("fault", "memory") and text.strip() else text


def no_room(what: str, text: str) -> UserError:
    """The error of a full disk."""
    return UserError(
        f"the disk is full: {what} could not be written ({text}). The store is sound. "
        "Make room or choose another folder with store.root=FOLDER, then run the same command again."
    )

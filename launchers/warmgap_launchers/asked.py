"""What a command line asks for, as one text and one digest, and the sweep's folder that it belongs to."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warmgap.engines.recipe import NOT_ANSWERS, VLLM_NOT_ANSWERS

if TYPE_CHECKING:
    from warmgap.plan import Plan

_NOT_RESULTS = (
    *("store.root", "stage", "replan", "engine.workers", "engine.device", "hydra/launcher"),
    *("cluster", "fail_fast", "logger", "wandb"),
    *(f"training.{key}" for key in ("devices", "strategy", "save_every_steps", "gradient_checkpointing")),
    *(f"training.api.{key}" for key in ("max_cost_usd", "usd_per_million_tokens", "poll_s")),
    *(f"engine.api.{key}" for key in NOT_ANSWERS),
    *(f"engine.vllm.{key}" for key in VLLM_NOT_ANSWERS),
)
_GROUPS = ("cluster.", "wandb.")
"""What stands before the keys of groups that change no result."""
_HEAD_BYTES = 4096
_REQUEST = re.compile(rb'"request": "([0-9a-f]{64})"')


def command_of(arguments: Sequence[str]) -> str:
    """The command that makes a sweep anywhere: in one order, and without what changes no result."""
    named = [(a, a.lstrip("+~").split("=")[0]) for a in arguments]
    kept = [a for a, key in named if key not in _NOT_RESULTS and not key.startswith(_GROUPS)]
    return shlex.join(["warmgap", *sorted(kept)])


def request_digest(command: str) -> str:
    """A digest of a command, by which its sweep is found again without compiling it."""
    return hashlib.sha256(command.encode()).hexdigest()


def request_of(plan: Plan) -> str:
    """The digest of the command that a plan was compiled from."""
    return request_digest(str(plan.summary.get("command", "")))


def claimed_by(root: Path, command: str) -> list[str]:
    """Names of the sweeps that this command has begun, by the first lines of each plan.json."""
    wanted = request_digest(command).encode()
    found = []
    for path in sorted((root / "sweeps").glob("*/plan.json")):
        with path.open("rb") as f:
            match = _REQUEST.search(f.read(_HEAD_BYTES))
        if match and match[1] == wanted:
            found.append(path.parent.name)
    return found

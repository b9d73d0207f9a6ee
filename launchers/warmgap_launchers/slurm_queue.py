"""SLURM's own commands, typed: what lives, why a job ended, and how to end or queue one again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence

from warmgap.errors import UserError

_WAIT_S = 60
_IDS_AT_ONCE = 200
_ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
)
_UNKNOWN = "Invalid job id"


def living(ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Those of some jobs that wait or run: id -> (state, reason), ids as 123 or 123_4.

    Raises:
        UserError: SLURM does not answer.
    """
    wanted = set(ids)
    bases = sorted({i.split("_")[0] for i in wanted})
    found: dict[str, tuple[str, str]] = {}
    for at in range(0, len(bases), _IDS_AT_ONCE):
        some = ",".join(bases[at : at + _IDS_AT_ONCE])
        code, said = _run(["squeue", "-r", "-h", "-j", some, "-o", "%i|%T|%r"])
        if code and _UNKNOWN not in said:
            raise UserError(f"squeue does not answer: {said.strip()}. Is this a login node of the cluster?")
        found |= parse_squeue(said if not code else "")
    return {i: found[i] for i in sorted(wanted & found.keys())}


def parse_squeue(said: str) -> dict[str, tuple[str, str]]:
    """Living jobs in the output of `squeue -r -h -o "%i|%T|%r"`; a job that has ended may still be listed."""
    out = {}
    for line in said.splitlines():
        job, state, reason = (*line.strip().split("|", 2), "", "")[:3]
        if job and state and state not in _ENDED:
            for each in expand(job):
                out[each] = (state, reason)
    return out


def expand(job: str) -> list[str]:
    """Ids in one: 12_[0,3-5%2] is 12_0, 12_3, 12_4 and 12_5."""
    base, bracket, rest = job.partition("_[")
    if not bracket:
        return [job]
    out: list[str] = []
    for part in rest.split("]")[0].split("%")[0].split(","):
        first, _, last = part.partition("-")
        out += [f"{base}_{i}" for i in range(int(first), int(last or first) + 1)]
    return out


def contract(ids: Iterable[str]) -> list[str]:
    """The reverse: ids of one array in one expression, as scontrol and scancel take them."""
    arrays: dict[str, list[int]] = {}
    out = []
    for job in dict.fromkeys(ids):
        base, bar, element = job.partition("_")
        if bar:
            arrays.setdefault(base, []).append(int(element))
        else:
            out.append(job)
    for base, elements in arrays.items():
        parts: list[list[int]] = []
        for i in sorted(elements):
            if parts and parts[-1][1] == i - 1:
                parts[-1][1] = i
            else:
                parts.append([i, i])
        text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
        out.append(f"{base}_{text}" if len(elements) == 1 else f"{base}_[{text}]")
    return out


def why(job: str) -> str:
    """How a job ended, as SLURM calls it (FAILED, OUT_OF_MEMORY, TIMEOUT, ...); "" where nobody knows."""
    code, said = _run(["sacct", "-j", job, "-X", "-n", "-P", "-o", "State"])
    word = said.split()[0] if not code and said.split() else ""
    if not word:
        code, said = _run(["scontrol", "-o", "show", "job", job])
        found = re.search(r"\bJobState=(\S+)", said)
        word = found[1] if found and not code else ""
    return word


def cancel(ids: Sequence[str], pending_only: bool = False) -> None:
    """End jobs; those that have ended are passed over.

    Raises:
        UserError: SLURM refuses, as it does for jobs of another user.
    """
    if not ids:
        return
    only = ["--state=PENDING"] if pending_only else []
    code, said = _run(["scancel", *only, *contract(ids)])
    if code and _UNKNOWN not in said and "already complet" not in said:
        raise UserError(f"scancel of {', '.join(contract(ids))}: {said.strip()}")


def depend(ids: Sequence[str], dependency: str) -> bool:
    """Give waiting jobs another dependency; false where SLURM refuses, and the old one stays."""
    done = [
        _run(["scontrol", "update", f"JobId={job}", f"Dependency={dependency}"])[0] for job in contract(ids)
    ]
    return not any(done)


def max_array_size() -> int:
    """How many elements an array may have (MaxArraySize); 1 where there are to be no arrays."""
    code, said = _run(["scontrol", "show", "config"])
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said, re.MULTILINE)
    if code or not found:
        raise UserError(f"scontrol show config does not answer: {said.strip()[-300:]}")
    return max(1, int(found[1]))


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Exit code, and output with errors after it.

    Raises:
        UserError: there is no such command, or it does not end.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WAIT_S)
    except FileNotFoundError:
        if command[0] == "sacct":
            return 1, ""
        raise UserError(
            f"the command {command[0]} is not found on this machine. hydra/launcher=slurm works where "
            "SLURM's commands are, as on a login node; without SLURM use hydra/launcher=local."
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} has not answered for {_WAIT_S} s. Try again later.") from None
    return done.returncode, done.stdout + done.stderr

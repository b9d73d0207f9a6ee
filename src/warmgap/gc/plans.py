"""What the sweeps of an output folder refer to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from warmgap.errors import UserError


def read_plans(root: Path) -> dict[Path, set[str]]:
    """Keys of the jobs of every sweep, by the path of its plan.json.

    Raises:
        UserError: a plan cannot be read or is missing; then nothing is known to be unused.
    """
    sweeps = root / "sweeps"
    if not sweeps.is_dir():
        raise UserError(
            f"{root} has a store but no folder sweeps: nothing says what is needed, so nothing is removed. "
            f"Is it the folder of store.root? To remove everything, remove {root / 'store'}, "
            "but save spending.jsonl and rewrites in it: they hold what was paid for."
        )
    plans: dict[Path, set[str]] = {}

    def refuse(error: OSError) -> None:
        raise _unknown(Path(error.filename), error.strerror)

    for folder, _, names in os.walk(sweeps, followlinks=True, onerror=refuse):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and not path.exists():  # a sweep on a disk that is not mounted
                raise _unknown(path, "it is a link to nothing")
        path = Path(folder, "plan.json")
        if path.name in names:
            plans[path] = _keys(path)
        elif "manifest.json" in names:
            raise _unknown(path, "it is missing, though the sweep has results")
    return plans


def _keys(path: Path) -> set[str]:
    try:
        plan = json.loads(path.read_text())
    except OSError as e:
        raise _unknown(path, e.strerror) from None
    except ValueError:
        raise _unknown(path, "it is not JSON") from None
    jobs = plan.get("jobs") if isinstance(plan, dict) else None
    if not isinstance(jobs, list) or not jobs:
        raise _unknown(path, "it lists no jobs")
    keys = [job.get("key") if isinstance(job, dict) else None for job in jobs]
    named = [key for key in keys if isinstance(key, str)]
    if len(named) < len(keys):
        raise _unknown(path, "it lists a job without a key")
    return set(named)


def _unknown(path: Path, why: str | None) -> UserError:
    return UserError(
        f"cannot read {path}: {why}. What that sweep needs is not known, so nothing is removed. Run the "
        "sweep again to write its plan, or remove its folder, then run gc again."
    )

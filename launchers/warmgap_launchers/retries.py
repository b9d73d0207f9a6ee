"""What stage=retry makes: what failed, was lost or was told to end, and what waited for that."""

from __future__ import annotations

from collections.abc import Mapping

from warmgap.plan import Node
from warmgap.runs import Run, Runs, is_gone
from warmgap.store import Store


def failed_before(missing: Mapping[str, Node], store: Store) -> dict[str, Node]:
    """Those of the missing jobs that were begun in vain, or were blocked, and can be made with no other.

    Args:
        missing: what the store lacks, in an order in which every job follows its inputs.
        store: of the output folder, whose run records tell.
    """
    runs = Runs(store.root)
    records = runs.read(missing)
    chosen: dict[str, Node] = {}
    for key, node in missing.items():
        run = records.get(key)
        if run is None or not _in_vain(run, runs):
            continue
        # What was never begun stays so, and with it what needs that.
        if all(k in chosen or k not in missing for k in node.job.inputs.values()):
            chosen[key] = node
    return chosen


def _in_vain(run: Run, runs: Runs) -> bool:
    if run.state == "running":
        return is_gone(run, runs.age_s(run.key))
    # Without SLURM nothing is written as queued but what had failed or was blocked, and is tried once more.
    return run.state in ("failed", "blocked") or (run.state == "queued" and not run.slurm_job)

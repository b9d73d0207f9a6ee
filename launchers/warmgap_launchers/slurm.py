"""The SLURM executor: a plan's jobs in SLURM arrays; the command returns as soon as they are submitted."""

from __future__ import annotations

import sys
from pathlib import Path

from warmgap.checks import check_corpora, check_engines
from warmgap.claim import claim_sweep_folder
from warmgap.frozen import with_frozen
from warmgap.plan import Node, Plan
from warmgap.planned_spending import check_spending
from warmgap.publish import announce, publish
from warmgap.runs import Run, Runs
from warmgap.schema.config import Config
from warmgap.schema.fields import RETRY, WITHOUT_JOBS
from warmgap.show import plan_text
from warmgap.store import Store, check_writable
from warmgap.tracking import begin, write_index
from warmgap_launchers import slurm_queue
from warmgap_launchers.arrays import left_to
from warmgap_launchers.asked import request_of
from warmgap_launchers.commands import run_command
from warmgap_launchers.dependents import alone
from warmgap_launchers.outcome import no_room
from warmgap_launchers.submission import Submission, add_sweep, submit
from warmgap_launchers.worker import disk_full


class SlurmExecutor:
    """Submits what is missing of a plan and no living SLURM job makes; the last job publishes the sweep."""

    def execute(self, plan: Plan, base: Config) -> int:
        """Exit code: 0 when everything is there or submitted.

        Raises:
            UserError: what the local executor refuses too, a full disk, a profile that does not do, or
                SLURM's refusal.
        """
        store = Store(Path(base.store.root))
        try:
            return _execute(plan, base, store)
        except OSError as e:
            if not disk_full(e, store.root):
                raise
            raise no_room("the submission", str(e)) from None


def _execute(plan: Plan, base: Config, store: Store) -> int:
    plan = with_frozen(plan, base, store)
    if base.stage in WITHOUT_JOBS:
        return run_command(plan, base, store)
    check_corpora(n.job for n in plan.nodes.values())
    check_writable(store.root)
    with alone(store):
        for line in claim_sweep_folder(plan, store, base.replan, request_of(plan)):
            print(line, file=sys.stderr)
        return _submit_missing(plan, base, store)


def _submit_missing(plan: Plan, base: Config, store: Store) -> int:
    stage = "all" if base.stage == RETRY else base.stage
    missing = plan.missing(store, stage)
    if not missing:
        if stage in ("all", "analyse", "report"):
            publish(plan, store, stage=stage)
            announce(plan, store, did=0)
            begin(plan, base, store).end()
        else:
            print(f"Stage {stage} of the sweep '{plan.name}' is complete. Go on with stage=all.")
        return 0
    check_engines(n.job for n in missing.values())
    check_spending((n.job for n in missing.values()), (n.job for n in plan.nodes.values()), store.root)
    records = {
        k: r for k, r in Runs(store.root).read().items() if r.slurm_job or r.state in ("failed", "blocked")
    }
    wanted = {r.slurm_job for r in records.values() if r.state in ("queued", "running")}
    living = slurm_queue.living(wanted)
    _note_memory(store, missing, records, living)
    made_by = left_to(missing, records, living)
    add_sweep(store.root, made_by, plan.name)
    todo = {k: n for k, n in missing.items() if k not in made_by}
    if base.stage == RETRY:
        todo = _in_vain(todo, records, missing, made_by)
        if not todo:
            print(f"Nothing of the sweep '{plan.name}' has failed. {_watch()}")
            return 0
    if not todo:
        print(f"SLURM is making all {len(missing)} artifacts that are missing. {_watch()}")
        return 0
    print(plan_text(plan, todo, store, workers=base.cluster.max_parallel), file=sys.stderr)
    write_index(plan, base, store)
    submission = submit(plan, todo, base, made_by)
    _cancel_superseded(store, records, living)
    _tell(plan, submission, made_by)
    return 0


def _note_memory(
    store: Store, missing: dict[str, Node], records: dict[str, Run], living: dict[str, tuple[str, str]]
) -> None:
    """What ran when SLURM ended a job for want of memory is begun again with smaller batches."""
    begun = {k: r for k, r in records.items() if k in missing and r.state == "running"}
    lost = {k: r for k, r in begun.items() if r.slurm_job not in living}
    words = {job: slurm_queue.why(job) for job in {r.slurm_job for r in lost.values()}}
    for key, record in lost.items():
        if words[record.slurm_job] == "OUT_OF_MEMORY":
            store.note_memory(key)


def _in_vain(
    todo: dict[str, Node], records: dict[str, Run], missing: dict[str, Node], made_by: dict[str, str]
) -> dict[str, Node]:
    """Those of what no living SLURM job makes that one was to make, and that can be made with no other."""
    out: dict[str, Node] = {}
    for key, node in todo.items():
        inputs = [k for k in node.job.inputs.values() if k in missing]
        if key in records and all(k in out or k in made_by for k in inputs):
            out[key] = node
    return out


def _cancel_superseded(store: Store, before: dict[str, Run], living: dict[str, tuple[str, str]]) -> None:
    """End waiting SLURM jobs all of whose artifacts later ones now make."""
    kept = {r.slurm_job for r in Runs(store.root).read().values() if r.state in ("queued", "running")}
    had = {r.slurm_job for r in before.values()}
    slurm_queue.cancel(sorted((had & living.keys()) - kept), pending_only=True)


def _tell(plan: Plan, submission: Submission, made_by: dict[str, str]) -> None:
    print(f"Submitted '{plan.name}' to SLURM:")
    print("\n".join(submission.lines))
    if made_by:
        jobs = ", ".join(slurm_queue.contract(made_by.values()))
        print(f"  {len(made_by)} further artifacts are already being made by {jobs}")
    print(f"Logs: {submission.folder / 'jobs'}\n{_watch()}")


def _watch() -> str:
    return "Watch with the same command and stage=status (or squeue); end it with stage=cancel."

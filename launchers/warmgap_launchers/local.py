"""The local executor: a plan's jobs on this machine, in one-thread processes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from warmgap.checks import check_corpora, check_device, check_engines
from warmgap.claim import claim_sweep_folder
from warmgap.errors import Interrupted
from warmgap.frozen import with_frozen
from warmgap.plan import Plan
from warmgap.planned_spending import check_spending
from warmgap.publish import announce, publish
from warmgap.schema.config import Config
from warmgap.schema.fields import RETRY, WITHOUT_JOBS
from warmgap.show import plan_text
from warmgap.show_rewriting import rewriting_text
from warmgap.store import Store, check_writable
from warmgap.tracking import begin
from warmgap_launchers.asked import request_of
from warmgap_launchers.commands import run_command
from warmgap_launchers.devices import places
from warmgap_launchers.outcome import explain, no_room
from warmgap_launchers.pool import TOLD_TO_END, run_nodes
from warmgap_launchers.retries import failed_before
from warmgap_launchers.worker import disk_full


class LocalExecutor:
    """Runs what is missing of a plan, keeps going past failures, and publishes the sweep."""

    def execute(self, plan: Plan, base: Config) -> int:
        """Exit code: 0 when everything asked for is there, 1 after a failure, 128 + n after signal n.

        Raises:
            UserError: a folder that cannot be written, another plan under the same name, a full
                disk, or a failure that the user can mend.
        """
        try:
            with _signals_raise():
                return _execute(plan, base)
        except Interrupted as e:
            print(f"warmgap: {e}. Run the same command again to go on.", file=sys.stderr)
            return 128 + e.signum
        except OSError as e:
            if not disk_full(e, Path(base.store.root)):
                raise
            raise no_room("the results", str(e)) from None


def _execute(plan: Plan, base: Config) -> int:
    root = Path(base.store.root)
    store = Store(root)
    plan = with_frozen(plan, base, store)
    if base.stage in WITHOUT_JOBS:
        return run_command(plan, base, store)
    check_corpora(n.job for n in plan.nodes.values())
    check_writable(root)
    for device in {base.engine.device, *(meter.device for meter in base.warmth.meters)}:
        check_device(device)
    for line in claim_sweep_folder(plan, store, base.replan, request_of(plan)):
        print(line, file=sys.stderr)
    stage = "all" if base.stage == RETRY else base.stage
    missing = plan.missing(store, stage)
    todo = failed_before(missing, store) if base.stage == RETRY else missing
    if base.stage == RETRY and missing and not todo:
        print(
            f"Nothing of the sweep '{plan.name}' has failed. Without stage=retry all that is missing is made."
        )
        return 0
    mirror = begin(plan, base, store)
    if todo:
        check_engines(n.job for n in todo.values())
        check_spending((n.job for n in todo.values()), (n.job for n in plan.nodes.values()), root)
        n, devices = places((node.job for node in todo.values()), base.engine.workers)
        print(plan_text(plan, todo, store, workers=n), file=sys.stderr)
        outcome = run_nodes(todo, root, n, sweep=plan.name, fail_fast=base.fail_fast, devices=devices)
        if outcome.failed or outcome.blocked:
            return explain(plan.name, outcome, todo)
    if len(todo) < len(missing):
        print(f"{len(missing) - len(todo)} jobs that were never begun are left: go on without stage=retry.")
    elif stage in ("all", "analyse", "report"):
        publish(plan, store, stage=stage)
        announce(plan, store, did=len(missing))
    else:
        if stage == "rewrite":
            print(rewriting_text(plan, store))
        print(f"Stage {stage} of the sweep '{plan.name}' is complete. Go on with stage=all.")
    mirror.end()
    return 0


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGUSR2 raise `Interrupted` inside, as Ctrl-C raises KeyboardInterrupt."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, f"ended by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in TOLD_TO_END}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)

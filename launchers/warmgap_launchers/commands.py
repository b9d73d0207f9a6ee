"""Stages that run no job: what is left, what can be detected, the frozen plan, the published cells."""

from __future__ import annotations

import os
from pathlib import Path

from warmgap.checks import check_corpora
from warmgap.plan import Plan
from warmgap.schema.config import Config
from warmgap.store import Store, check_writable

WITHOUT_PLAN = ("reanalyse",)
"""Stages for which no sweep is compiled: they need no model, no corpus and no task."""


def workers(base: Config) -> int:
    """Processes that a sweep is given."""
    return base.engine.workers or len(os.sched_getaffinity(0))


def run_command(plan: Plan, base: Config, store: Store) -> int:
    """Run the stage plan, power, freeze or snakefile of a sweep; returns the exit code.

    Raises:
        UserError: nothing can be computed, or the plan cannot be frozen.
    """
    if base.stage == "power":
        from warmgap.show_power import power_text

        print(power_text(plan, base.analysis))
    elif base.stage == "freeze":
        from warmgap.frozen import freeze

        check_writable(store.root)
        print(freeze(plan, base, store))
    elif base.stage == "snakefile":
        from warmgap_launchers.snakefile import write_snakefile

        print(write_snakefile(plan, base, store))
    else:
        from warmgap.claim import against_claimed
        from warmgap.show import plan_text

        check_corpora(n.job for n in plan.nodes.values())
        print(plan_text(plan, plan.missing(store), store, workers=workers(base)))
        for line in against_claimed(plan, store):
            print(line)
    return 0


def run_without_plan(base: Config) -> int:
    """Run the stage reanalyse; returns the exit code.

    Raises:
        UserError: the output folder cannot be written.
    """
    from warmgap.reports.reanalysis import write_reanalysis
    from warmgap.reports.reanalysis_terminal import reanalysis_summary
    from warmgap.statistics.published import reanalyse

    root = Path(base.store.root)
    check_writable(root)
    tables = reanalyse()
    page = write_reanalysis(root / "reanalysis", tables)
    print(reanalysis_summary(tables))
    print(f"\nTables: {page.parent / 'tables'}\nReport: {page}")
    return 0

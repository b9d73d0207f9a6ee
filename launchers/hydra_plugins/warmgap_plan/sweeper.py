"""The sweeper: composes once per arm and once per option of each row axis, and hands over a plan."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PlanSweeper(Sweeper):
    """Turns overrides into a plan and gives it to the executor named by hydra/launcher."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what composing needs."""
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        """Compile the plan and run it; exits with the executor's code if that is not 0.

        Raises:
            UserError: anything in the request that cannot be run.
        """
        from warmgap_launchers.watching import watch

        assert self.config is not None
        assert self.hydra_context is not None
        # Before anything that compiles is imported, since it is to answer at once.
        if watch(self.hydra_context.config_loader, self.config, arguments) is not None:
            return
        import hydra.utils

        from warmgap_launchers.commands import WITHOUT_PLAN, run_without_plan
        from warmgap_launchers.request import Request

        with _no_collecting():
            request = Request(self.hydra_context.config_loader, self.config, arguments)
            plan = None if request.base.stage in WITHOUT_PLAN else request.plan()
        if plan is None:
            code = run_without_plan(request.base)
        else:
            executor = hydra.utils.instantiate(self.config.hydra.launcher)
            code = executor.execute(plan, request.base)
        if code:
            sys.exit(code)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A plan is many small values without cycles: looking for those takes a fifth of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()

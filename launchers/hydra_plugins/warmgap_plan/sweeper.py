"""The sweeper: composes once per arm and once per option of each row axis, and hands over a plan."""

from __future__ import annotations

import sys

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
        import hydra.utils

        from warmgap_launchers.commands import WITHOUT_PLAN, run_without_plan
        from warmgap_launchers.request import Request

        assert self.config is not None
        assert self.hydra_context is not None
        request = Request(self.hydra_context.config_loader, self.config, arguments)
        if request.base.stage in WITHOUT_PLAN:
            code = run_without_plan(request.base)
        else:
            executor = hydra.utils.instantiate(self.config.hydra.launcher)
            code = executor.execute(request.plan(), request.base)
        if code:
            sys.exit(code)

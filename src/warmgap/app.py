"""The command `warmgap`: Hydra's entry point."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from warmgap.errors import UserError


def conf_folder() -> Path:
    """The configuration folder: packed beside this file in a wheel, at the top of a checkout."""
    packed = Path(__file__).resolve().parent / "conf"
    return packed if packed.is_dir() else Path(__file__).resolve().parents[2] / "conf"


def main() -> None:
    """Run the command line; exits 0, 1 after a failure, 2 for something the user can mend."""
    # Hydra would print and exit 1 on its own; raised errors can be explained here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.exit(_run())
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("warmgap: stopped. Run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


def _run() -> int:
    import hydra
    import yaml
    from hydra._internal.utils import get_args_parser
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from warmgap.explain import explain
    from warmgap.schema.config import Config
    from warmgap_launchers.overrides import Choices, check, opened

    ConfigStore.instance().store(name="schema", node=Config)
    sys.argv[1:] = [opened(argument) for argument in sys.argv[1:]]
    args = get_args_parser().parse_args()
    folders = [conf_folder(), *([Path(args.config_dir)] if args.config_dir else [])]
    if not args.help and not args.hydra_help:
        check(args.overrides, Choices(folders))
        from hydra_plugins.warmgap_plan.sweeper import PlanSweeper

        Plugins.instance().register(PlanSweeper)
        if not (args.run or args.multirun or args.cfg or args.info or args.shell_completion):
            # hydra.mode would do, but Hydra swallows an error in composing when it reads that.
            sys.argv.append("--multirun")

    @hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")
    def task(config: DictConfig) -> None:
        raise AssertionError("the sweeper runs every job")

    try:
        task()
    except (HydraException, OmegaConfBaseException) as e:
        raise UserError(explain(e)) from None
    except yaml.YAMLError as e:
        raise UserError(f"a yaml file cannot be read: {' '.join(str(e).split())}") from None
    return 0

"""Mirror a sweep after the fact, or make a W&B report of it.

python -m warmgap.tracking SWEEP [--root outputs]           what is not mirrored yet of a sweep
python -m warmgap.tracking report SWEEP [--root outputs]    a report on W&B, of runs that are there
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from warmgap.errors import UserError

_COMMANDS = ("mirror", "report", "watch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for something the user can mend."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] not in (*_COMMANDS, "-h", "--help"):
        given.insert(0, "mirror")
    parser = argparse.ArgumentParser(
        prog="python -m warmgap.tracking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=_COMMANDS, help="mirror may be left out; watch is for executors")
    parser.add_argument("sweep", help="name of the sweep")
    parser.add_argument("--root", default="outputs", help="the folder that store.root named")
    asked = parser.parse_args(given)
    root = Path(asked.root)
    from . import mirror

    try:
        if asked.command == "watch":
            mirror.watch(root, asked.sweep)
        elif asked.command == "mirror":
            print(f"{mirror.mirror(root, asked.sweep)} runs recorded.")
        else:
            from .report import save_report

            print(save_report(root, asked.sweep))
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

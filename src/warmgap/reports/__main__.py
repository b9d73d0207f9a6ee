"""From a finished sweep's folder: `python -m warmgap.reports figures SWEEP [--only NAME]`, or `paper "
"SWEEP`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from warmgap.errors import UserError
from warmgap.reports.paper.writing import write_paper
from warmgap.reports.redraw import redraw


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for something the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m warmgap.reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    figures = commands.add_parser("figures", help="draw the figures of a sweep anew from its tables")
    figures.add_argument("--only", default="", help="one figure, for instance forest")
    paper = commands.add_parser("paper", help="figures, tables, methods and checklist as a paper")
    for command in (figures, paper):
        command.add_argument("sweep", help="name of the sweep")
        command.add_argument("--root", default="outputs", help="the folder that store.root named")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "paper":
            _write(asked.sweep, Path(asked.root))
        else:
            for path in redraw(asked.sweep, Path(asked.root), asked.only):
                print(path)
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        return 2
    return 0


def _write(sweep: str, root: Path) -> None:
    done = write_paper(sweep, root)
    print(f"{done.folder}: {len(done.figures)} figures, {len(done.tables)} tables, methods, checklist")
    for line in done.left_out:
        print(f"left out: {line}")
    print(done.typeset.path or done.typeset.said)


if __name__ == "__main__":
    sys.exit(main())

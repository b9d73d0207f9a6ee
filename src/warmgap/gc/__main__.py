"""The command `python -m warmgap.gc`: list or remove what no sweep refers to."""

from __future__ import annotations

import argparse
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from warmgap.errors import UserError
from warmgap.gc.removal import remove
from warmgap.gc.scan import FOLDERS, LEFT, Entry, Found, find, size

_SECONDS_PER_HOUR = 3600
_WIDTH = 80


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for something that the user can mend."""
    args = _parser().parse_args(arguments)
    try:
        _run(args)
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        return 2
    except OSError as e:
        print(
            f"warmgap: cannot read, move or delete {e.filename}: {e.strerror}. The store is sound: mend "
            "this, then run the same command again.",
            file=sys.stderr,
        )
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m warmgap.gc",
        description="List or remove what of an output folder's store no sweep refers to.",
    )
    parser.add_argument("--root", type=Path, default=Path("outputs"), help="folder of store.root (outputs)")
    parser.add_argument("--apply", action="store_true", help="remove it; else it is only listed")
    parser.add_argument(
        "--min-age", type=float, default=1.0, metavar="HOURS", help="what is younger is kept (1)"
    )
    return parser


def _run(args: argparse.Namespace) -> None:
    if not args.min_age >= 0:
        raise UserError(f"--min-age {args.min_age:g} is not a time. Allowed: hours from 0 on, such as 0.5.")
    found = find(args.root, args.min_age * _SECONDS_PER_HOUR)
    print(listing(args.root, found))
    if not found.unused:
        print("Nothing to remove.")
    elif args.apply:
        gone = remove(args.root, found.unused)
        print(f"Removed {len(gone):,}, {_amount(gone)}.")
        if len(gone) < len(found.unused):
            print(_wrapped(f"Kept {len(found.unused) - len(gone):,} that a process took up meanwhile."))
    else:
        age = [] if args.min_age == 1 else ["--min-age", f"{args.min_age:g}"]
        command = ["python", "-m", "warmgap.gc", "--root", str(args.root), *age, "--apply"]
        print(f"To remove it:\n  {shlex.join(command)}")


def listing(root: Path, found: Found) -> str:
    """How much is kept and not referred to per folder of the store, for a terminal of 80 columns."""
    sweeps = "1 sweep refers" if found.n_sweeps == 1 else f"{found.n_sweeps:,} sweeps refer"
    lines = [_wrapped(f"{root / 'store'}: {sweeps} to it"), ""]
    lines += [
        f"{'':10} {'kept':>21}   {'to remove':>21}",
        f"{'':10} {'folders':>9} {'size':>11}   {'folders':>9} {'size':>11}",
    ]
    for kind in (*FOLDERS, LEFT):
        kept = [e for e in found.kept if e.kind == kind]
        unused = [e for e in found.unused if e.kind == kind]
        if kept or unused:
            lines.append(_row(kind, kept, unused))
    lines += [_row("total", found.kept, found.unused), ""]
    if found.n_spared:
        lines.append(
            _wrapped(
                f"Kept though no sweep refers to them: {found.n_spared:,} that a process is making, that are "
                "younger than --min-age, or that such ones were made from."
            )
        )
    rewrites = root / "store" / "rewrites"
    if rewrites.is_dir():
        lines.append(
            _wrapped(
                f"Left alone: {rewrites}, {_bytes(size(rewrites)[0])} of answers that a service was paid "
                "for; what is stored does not tell which sweeps use them."
            )
        )
    return "\n".join(lines)


def _row(name: str, kept: Sequence[Entry], unused: Sequence[Entry]) -> str:
    return f"{name:10} {len(kept):9,} {_amount(kept):>11}   {len(unused):9,} {_amount(unused):>11}"


def _amount(entries: Iterable[Entry]) -> str:
    return _bytes(sum(e.n_bytes for e in entries))


def _bytes(n: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB"]
    while n >= 1000 and len(units) > 1:
        n, units = n / 1000, units[1:]
    return f"{n:,.0f} B" if units[0] == "B" else f"{n:,.1f} {units[0]}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main())

"""The command `python -m warmgap.corpora.rewriting`: a sheet for a person, and a look at their marks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from warmgap.corpora.rewriting.marks import read_marks
from warmgap.corpora.rewriting.sheet import draw, read_pairs, render, sheet_id
from warmgap.errors import UserError
from warmgap.statistics.clusters import wilson

_FEW = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for something that the user can mend."""
    args = _parser().parse_args(arguments)
    try:
        return _sheet(args) if args.command == "sheet" else _check(args)
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m warmgap.corpora.rewriting",
        description="Rewritten replies, checked by a person: do they say what the replies said?",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("sheet", help="a page of random pairs to mark")
    sheet.add_argument("artifact", type=Path, help="folder of a rewrite gate's artifact")
    sheet.add_argument("out", type=Path, help="the page to write, e.g. sheet.html")
    sheet.add_argument("--n", type=int, default=50, help="pairs (50, as in the paper)")
    sheet.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    check = commands.add_parser("check", help="how many marks are good and bad, before they enter a gate")
    check.add_argument("marks", type=Path, help="the CSV that the page downloaded")
    check.add_argument("artifact", type=Path, help="folder of the rewrite gate's artifact")
    return parser


def _sheet(args: argparse.Namespace) -> int:
    pairs = draw(read_pairs(args.artifact), args.n, args.seed)
    try:
        args.out.write_text(render(pairs), encoding="utf-8")
    except OSError as e:
        raise UserError(f"cannot write {args.out}: {e.strerror}. Name another file.") from None
    styles = sorted({p.style for p in pairs})
    print(
        f"Sheet {sheet_id(pairs)}: {len(pairs)} pairs of {', '.join(styles)}\n"
        f"Open {args.out} in a browser, mark the pairs, download the marks, then set\n"
        "  rewriting.gate.marks=FILE"
    )
    return 0


def _check(args: argparse.Namespace) -> int:
    marks = read_marks(args.marks)
    pairs = {(p.style, p.id, p.turn): (p.source, p.text) for p in read_pairs(args.artifact)}
    known = [m for m in marks if (m.style, m.id, m.turn) in pairs]
    of_these = [m for m in known if m.is_of(*pairs[m.style, m.id, m.turn])]
    styles = sorted({m.style for m in of_these})
    for style in styles:
        print(_told(style, [m.good for m in of_these if m.style == style]))
    if len(styles) > 1:
        print(_told("all", [m.good for m in of_these]))
    unknown = [m for m in marks if m not in known]
    stale = [m for m in known if m not in of_these]
    for what, found in (
        ("not in the artifact, or not kept there", unknown),
        ("of other texts than the artifact's", stale),
    ):
        if found:
            named = ", ".join(f"{m.style} {m.id} {m.turn}" for m in found[:_FEW])
            more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
            print(f"marks {what}, {len(found)}: {named}{more}")
    return 0


def _told(style: str, good: Sequence[bool]) -> str:
    n_bad = good.count(False)
    low, high = wilson(n_bad, len(good), 0.95)
    return (
        f"{style}: {good.count(True)} good, {n_bad} bad of {len(good)}: "
        f"{100 * n_bad / len(good):.1f} % bad [{100 * low:.1f}, {100 * high:.1f}] (95 %, Wilson)"
    )


if __name__ == "__main__":
    sys.exit(main())

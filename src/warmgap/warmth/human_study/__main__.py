"""The command `python -m warmgap.warmth.human_study`: export a study, import its ratings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from warmgap.errors import UserError
from warmgap.warmth.human_study.export import write_study
from warmgap.warmth.human_study.pairs import design
from warmgap.warmth.human_study.ratings import read_key, read_ratings
from warmgap.warmth.human_study.replies import units_of
from warmgap.warmth.human_study.shares import PUBLISHED_SHARE_PCT, human_warmth

_WORDS = {
    "choice_share": "arm_a chosen as warmer",
    "raters_preferring": "raters who chose arm_a more often",
    "meter_agreement": "raters agree with the meter",
    "meter_agreement_a": "... where it scores arm_a higher",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for something that the user can mend."""
    args = _parser().parse_args(arguments)
    try:
        return _export(args) if args.command == "export" else _import(args)
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m warmgap.warmth.human_study",
        description="A blinded study with people: which of two replies is warmer?",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="pairs, raters' slots and a page from a finished sweep")
    export.add_argument("--sweep", required=True, help="name of the sweep")
    export.add_argument("--root", type=Path, default=Path("outputs"), help="folder of store.root (outputs)")
    export.add_argument("--arm-a", default="warm_sft", help="arm whose share is asked for (warm_sft)")
    export.add_argument("--arm-b", default="original", help="the other arm (original)")
    export.add_argument("--model", default="", help="one model of the sweep; all by default")
    export.add_argument("--n-pairs", type=int, default=200, help="pairs in all (200, as in the paper)")
    export.add_argument("--n-raters", type=int, default=60, help="raters (60)")
    export.add_argument("--pairs-per-rater", type=int, default=10, help="pairs that each rater sees (10)")
    export.add_argument("--seed", type=int, default=0, help="of prompts, sides and orders (0)")
    export.add_argument("--out", type=Path, required=True, help="a new folder for the study")
    read = commands.add_parser("import", help="ratings -> table human_warmth")
    read.add_argument("--study", type=Path, required=True, help="the folder that export wrote")
    read.add_argument("--ratings", type=Path, nargs="+", required=True, help="CSV files from raters")
    read.add_argument("--confidence", type=float, default=0.95, help="coverage of intervals (0.95)")
    read.add_argument("--out", type=Path, help="CSV to write (STUDY/human_warmth.csv)")
    return parser


def _export(args: argparse.Namespace) -> int:
    units = units_of(args.sweep, args.root, args.arm_a, args.arm_b, args.model)
    study = design(
        units,
        args.arm_a,
        args.arm_b,
        n_pairs=args.n_pairs,
        n_raters=args.n_raters,
        pairs_per_rater=args.pairs_per_rater,
        seed=args.seed,
    )
    write_study(study, args.out)
    print(
        f"Study {study.study_id}: {len(study.pairs)} pairs, {len(study.slots)} raters, "
        f"{args.pairs_per_rater} pairs each\n"
        f"For raters: {args.out / 'study.html'}, with one code each of {args.out / 'assignment.csv'}\n"
        f"Never for raters: {args.out / 'private'}"
    )
    return 0


def _import(args: argparse.Namespace) -> int:
    if not 0 < args.confidence < 1:
        raise UserError(f"--confidence is {args.confidence:g}. Allowed: between 0 and 1.")
    key = read_key(args.study)
    table = human_warmth(read_ratings(args.ratings, key), key, args.confidence)
    out = args.out or args.study / "human_warmth.csv"
    try:
        table.write_csv(out)
    except OSError as e:
        raise UserError(f"cannot write {out}: {e.strerror}. Name another file with --out.") from None
    print(_told(table, args.confidence))
    print(f"\nTable: {out}")
    return 0


def _told(table: pl.DataFrame, confidence: float) -> str:
    first = table.row(0, named=True)
    lines = [
        f"arm_a {first['arm_a']}, arm_b {first['arm_b']}; intervals of {100 * confidence:g} %, clustered"
    ]
    for row in table.iter_rows(named=True):
        what = f"{_WORDS[row['measure']]} {row['meter']}".strip()
        lines.append(
            f"  {row['model']}: {what}: {row['estimate_pct']:.1f} % "
            f"[{row['conf_low_pct']:.1f}, {row['conf_high_pct']:.1f}] "
            f"({row['n_ratings']} ratings, {row['n_raters']} raters, {row['n_pairs']} pairs)"
        )
    estimate, low, high = PUBLISHED_SHARE_PCT
    lines.append(
        f"  published, warm against original: {estimate} % [{low}, {high}] "
        "(600 ratings, 60 raters, 200 pairs; its interval takes ratings as independent)"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

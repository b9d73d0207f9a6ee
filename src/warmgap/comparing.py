"""Two finished sweeps against each other: `warmgap.compare("a", "b")`."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.reading import SweepTables, load, read_headline
from warmgap.reports.formats import count, estimate, number
from warmgap.reports.names import judge_name, subset_words
from warmgap.statistics.between_sweeps import differences
from warmgap.statistics.headline import Headline

_PROMPT = ("model", "task", "form", "prompt_mode", "question_id", "framing", "belief", "draw")
_ARM = ("method", "dose_kind", "dose", "seed", "variant")
_WIDTH = 80
_HEAD = 34


@dataclass(frozen=True)
class SweepComparison:
    """What `compare` found; printing it gives a table of 80 columns.

    `table` has the columns of `warmgap.statistics.between_sweeps.SweepDifference`. `n_shared` counts
    answers of one arm to one prompt that both sweeps have, `n_only_a` and `n_only_b` those that one has;
    of the shared ones `same_prompt_pct` were asked in the same words and `same_text_pct` answered in the
    same words.
    """

    a: str
    b: str
    judge_a: str
    judge_b: str
    outcome: str
    pairs: tuple[tuple[str, str], ...]
    table: pl.DataFrame
    n_shared: int
    n_only_a: int
    n_only_b: int
    same_prompt_pct: float
    same_text_pct: float

    def __str__(self) -> str:
        """The comparison in words and numbers."""
        a, b = (f"{self.a} (a)", f"{self.b} (b)") if self.a == self.b else (self.a, self.b)
        lines = textwrap.wrap(
            f"Sweep {a} minus sweep {b}, on {count(self.n_shared)} answers that both have "
            f"({count(self.n_only_a)} only in {a}, {count(self.n_only_b)} only in {b}); "
            f"{number(self.same_prompt_pct)} % of the prompts and {number(self.same_text_pct)} % of the "
            f"answers are the same text.",
            _WIDTH,
        )
        if self.judge_a != self.judge_b:
            judges = f"{judge_name(self.judge_a)} in {a} and by {judge_name(self.judge_b)} in {b}"
            lines += textwrap.wrap(f"Judged by {judges}: a change may be the judge's.", _WIDTH)
        shown = self.table.filter(
            (pl.col("outcome") == self.outcome) & pl.col("scope").str.starts_with("these_adapters")
        )
        for against, head in ((False, f"{self.outcome}, %"), (True, f"Effect on {self.outcome}, pp")):
            part = shown.filter((pl.col("against") != "") == against)
            if part.height:
                lines += ["", f"{head:{_HEAD}}{_short(a):>10}{_short(b):>10}{'a - b, pp [95 %]':>26}"]
                lines += ["-" * _WIDTH, *self._rows(part)]
        return "\n".join(lines)

    def _rows(self, part: pl.DataFrame) -> list[str]:
        lines = []
        several = part["model"].n_unique() > 1
        for (model, arm, against), rows in part.partition_by(
            "model", "arm", "against", as_dict=True, maintain_order=True
        ).items():
            lines.append(f"{arm}{f' - {against}' if against else ''}{f' ({model})' if several else ''}")
            for row in rows.iter_rows(named=True):
                sides = "".join(f"{number(row[v]):>10}" for v in ("value_a", "value_b"))
                found = estimate(row["difference_pp"], row["conf_low_pp"], row["conf_high_pp"])
                lines.append(f"  {subset_words(row['subset'])[: _HEAD - 3]:{_HEAD - 2}}{sides}{found:>26}")
        return lines


def compare(
    a: str, b: str, root: str | Path = "outputs", root_b: str | Path | None = None, judge: str = ""
) -> SweepComparison:
    """What differs between two finished sweeps, arm by arm and effect by effect, paired by prompt.

    Args:
        a: name of a sweep.
        b: name of another.
        root: the folder that `store.root` named.
        root_b: the folder of sweep b, where it is another.
        judge: whose verdicts are compared; by default each sweep's own first judge.

    Raises:
        UserError: a sweep or a judge does not exist, or the sweeps have no answer in common.
    """
    sides = load(a, root), load(b, root if root_b is None else root_b)
    judges = [_judge(side, judge) for side in sides]
    left, right = (
        side.observations.filter(pl.col("judge") == of) for side, of in zip(sides, judges, strict=True)
    )
    shared = _shared(left, right)
    if not shared.height:
        raise UserError(
            f"the sweeps '{a}' and '{b}' have no answer in common: no arm of one was asked a prompt of the "
            f"other. Arms: {_arms(left)} and {_arms(right)}; tasks: {_tasks(left)} and {_tasks(right)}."
        )
    headlines = [found for side in sides if (found := _headline(side)) is not None]
    pairs = tuple(dict.fromkeys(p for h in headlines for p in ((h.arm_a, h.arm_b), (h.arm_a, "original"))))
    return SweepComparison(
        a=a,
        b=b,
        judge_a=judges[0],
        judge_b=judges[1],
        outcome=headlines[0].outcome if headlines else "commits_error",
        pairs=pairs,
        table=differences(left, right, pairs),
        n_shared=shared.height,
        n_only_a=left.height - shared.height,
        n_only_b=right.height - shared.height,
        same_prompt_pct=100 * float(shared["same_prompt"].mean()),  # type: ignore[arg-type]
        same_text_pct=100 * float(shared["same_text"].mean()),  # type: ignore[arg-type]
    )


def _shared(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    on = [*_PROMPT, *_ARM]
    both = left.select(*on, "prompt", "response").join(
        right.select(*on, "prompt", "response"), on=on, how="inner", suffix="_b", validate="1:1"
    )
    return both.select(
        same_prompt=pl.col("prompt") == pl.col("prompt_b"),
        same_text=pl.col("response") == pl.col("response_b"),
    )


def _judge(sweep: SweepTables, wanted: str) -> str:
    have = sweep.observations["judge"].unique(maintain_order=True).to_list()
    if wanted and wanted not in have:
        raise UserError(f"the sweep '{sweep.name}' has no judge '{wanted}'.{did_you_mean(wanted, have)}")
    return wanted or str(have[0])


def _headline(sweep: SweepTables) -> Headline | None:
    return read_headline(sweep.path) if (sweep.path / "headline.json").is_file() else None


def _short(name: str) -> str:
    return name if len(name) < 10 else f"{name[:4]}\N{HORIZONTAL ELLIPSIS}{name[-4:]}"


def _arms(rows: pl.DataFrame) -> str:
    return ", ".join(sorted(rows.select(pl.format("{} {}", "model", "method")).unique().to_series()))


def _tasks(rows: pl.DataFrame) -> str:
    return ", ".join(sorted(rows["task"].unique()))

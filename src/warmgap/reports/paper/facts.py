"""What a sweep's folder says of how the sweep was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.reading import read_headline, read_tables
from warmgap.statistics.headline import Headline


@dataclass(frozen=True)
class SweepFacts:
    """A finished sweep as its folder holds it.

    `answers` has a row per model, method, dose_kind, dose, seed, variant and judge: n answers, how many
    are unscored (label), and their tokens. `frozen` is frozen_plan.json, empty where no plan was frozen.
    """

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    plan: Mapping[str, Any]
    frozen: Mapping[str, Any]
    headline: Headline
    tables: Mapping[str, pl.DataFrame]
    answers: pl.DataFrame
    design: pl.DataFrame

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the sweep, by group."""
        return dict(self.manifest["summary"]["settings"])

    @property
    def axes(self) -> Mapping[str, Any]:
        """The axes of the sweep with their values."""
        return dict(self.manifest["summary"]["axes"])

    @property
    def questions(self) -> Mapping[str, int]:
        """Questions asked, by task."""
        return dict(self.manifest["summary"]["questions"])

    def jobs(self, stage: str) -> list[Mapping[str, Any]]:
        """The plan's jobs of a stage."""
        return [job for job in self.plan.get("jobs", ()) if job["stage"] == stage]


_ARM = ("model", "method", "dose_kind", "dose", "seed", "variant")


def read_facts(sweep: str, root: Path) -> SweepFacts:
    """Everything that the paper is made from.

    Raises:
        UserError: there is no such sweep, or it has no tables.
    """
    sweeps = root / "sweeps"
    folder = sweeps / sweep
    if not all((folder / name).is_file() for name in ("headline.json", "manifest.json")):
        have = [p.parent.name for p in sweeps.glob("*/headline.json")]
        raise UserError(
            f"the sweep '{sweep}' has no tables to write of in {sweeps}.{did_you_mean(sweep, have)}"
        )
    # Texts are most of the file, and the paper shows none.
    rows = pl.scan_parquet(folder / "observations.parquet").drop("prompt", "response")
    answers = rows.group_by(*_ARM, "judge", maintain_order=True).agg(
        n=pl.len(), n_unscored=(pl.col("label") == "unscored").sum(), n_tokens=pl.col("n_tokens").sum()
    )
    design = rows.group_by("framing", "belief", maintain_order=True).agg(
        n_statements=pl.col("statement_id").drop_nulls().n_unique(),
        n_questions=pl.struct("task", "question_id").n_unique(),
    )
    return SweepFacts(
        name=sweep,
        folder=folder,
        manifest=_json(folder / "manifest.json"),
        plan=_json(folder / "plan.json"),
        frozen=_json(folder / "frozen_plan.json"),
        headline=read_headline(folder),
        tables={n: t for n, t in read_tables(folder).items() if t.height},
        answers=answers.collect(),
        design=design.collect(),
    )


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

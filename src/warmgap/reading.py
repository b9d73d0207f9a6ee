"""Read a finished sweep: `warmgap.load("demo")`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.tables import TABLES, polars_schema
from warmgap.statistics.headline import Control, Headline


@dataclass(frozen=True)
class SweepTables:
    """A sweep's tables by name, typed as declared in `warmgap.schema.tables`."""

    name: str
    path: Path
    tables: Mapping[str, pl.DataFrame]

    def __getattr__(self, name: str) -> pl.DataFrame:
        """`sweep.effects` is `sweep.tables["effects"]`.

        Raises:
            AttributeError: the sweep has no such table.
        """
        # Absent while a copy is being made.
        tables: Mapping[str, pl.DataFrame] = self.__dict__.get("tables", {})
        if name not in tables:
            raise AttributeError(f"the sweep has no table '{name}'.{did_you_mean(name, tables)}")
        return tables[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]


def load(name: str, root: str | Path = "outputs") -> SweepTables:
    """The tables of a finished sweep as polars frames.

    Args:
        name: the sweep's name.
        root: the folder that `store.root` named.

    Raises:
        UserError: there is no such sweep, or it has no tables yet.
    """
    sweeps = Path(root) / "sweeps"
    path = sweeps / name
    if not path.is_dir():
        have = [p.name for p in sweeps.iterdir() if p.is_dir()] if sweeps.is_dir() else []
        raise UserError(f"there is no sweep '{name}' in {sweeps}.{did_you_mean(name, have)}")
    if not (path / "observations.parquet").is_file():
        raise UserError(f"the sweep '{name}' has no tables yet. Run: warmgap experiment={name}")
    tables: dict[str, Any] = {
        n: pl.read_parquet(path / f"{n}.parquet")
        for n in ("observations", "warmth")
        if (path / f"{n}.parquet").is_file()
    }
    return SweepTables(name, path, tables | read_tables(path))


def read_tables(path: Path) -> dict[str, pl.DataFrame]:
    """The CSV tables below a folder's `tables/`, typed as declared; an empty text is not null."""
    return {
        name: pl.read_csv(file, schema=polars_schema(record)).with_columns(pl.col(pl.String).fill_null(""))
        for name, record in TABLES.items()
        if (file := path / "tables" / f"{name}.csv").is_file()
    }


def read_headline(path: Path) -> Headline:
    """A folder's headline.json, as the analyse stage wrote it."""
    facts = json.loads((path / "headline.json").read_text())
    return Headline(**{**facts, "control": Control(**facts["control"])})

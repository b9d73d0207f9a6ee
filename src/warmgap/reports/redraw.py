"""Figures of a finished sweep, drawn anew from the tables in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.reading import read_headline, read_tables
from warmgap.reports.gallery import NAMES, gallery, write
from warmgap.statistics.quality import margins


def redraw(sweep: str, root: Path, only: str = "") -> list[Path]:
    """Draws into figures/ of the sweep's folder; no plan is made and no model is needed.

    Args:
        sweep: its name.
        root: the folder that `store.root` named.
        only: one of `gallery.NAMES`, or empty for all.

    Returns:
        The files written, captions (*.txt) included.

    Raises:
        UserError: no such sweep or figure, or the sweep has no table for it.
    """
    if only and only not in NAMES:
        raise UserError(f"there is no figure '{only}'.{did_you_mean(only, NAMES)}")
    folder = root / "sweeps" / sweep
    if not (folder / "headline.json").is_file():
        sweeps = root / "sweeps"
        have = (
            [p.name for p in sweeps.iterdir() if (p / "headline.json").is_file()] if sweeps.is_dir() else []
        )
        raise UserError(
            f"the sweep '{sweep}' has no tables to draw from in {sweeps}.{did_you_mean(sweep, have)}"
        )
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    # Texts are most of the file, and no figure shows one.
    rows = pl.scan_parquet(folder / "observations.parquet").drop("prompt", "response").collect()
    min_auc = manifest["config"]["warmth"]["gate"]["min_auc"]
    drawn = gallery(read_tables(folder), margins(rows), read_headline(folder), only, min_auc)
    if not drawn:
        raise UserError(f"the sweep '{sweep}' has no table for the figure '{only}'; manifest.json says why.")
    return [path for d in drawn for path in write(d, folder / "figures")]

"""Figures of a paper, drawn from the sweep's tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from warmgap.reports.gallery import gallery, write
from warmgap.reports.paper.blocks import FigureBlock
from warmgap.reports.paper.facts import SweepFacts
from warmgap.statistics.quality import margins


def draw_figures(facts: SweepFacts, folder: Path) -> list[FigureBlock]:
    """Draws every figure into figures/ of a folder as PDF and PNG; returns them as blocks."""
    rows = pl.scan_parquet(facts.folder / "observations.parquet").drop("prompt", "response").collect()
    min_auc = facts.manifest["config"]["warmth"]["gate"]["min_auc"]
    blocks = []
    for drawn in gallery(facts.tables, margins(rows), facts.headline, min_auc=min_auc):
        write(drawn, folder / "figures")
        width, height = drawn.figure.get_size_inches()
        stem = f"figures/{drawn.name}"
        blocks.append(FigureBlock(stem, drawn.title, drawn.caption, float(width), float(height)))
    return blocks

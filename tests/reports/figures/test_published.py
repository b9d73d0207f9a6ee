"""The published cells, drawn by the functions that draw a sweep: the marks stand at the printed values."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import polars as pl
import pytest

from warmgap.reports.figures.cell_pairs import published_pairs
from warmgap.reports.figures.contexts import draw_contexts
from warmgap.reports.figures.published import draw_published_warmth, published_arms, published_warmth
from warmgap.reports.figures.reanalysis import LOOKS, MODEL_NAMES
from warmgap.reports.figures.scatter import draw_scatter
from warmgap.reports.reanalysis import draw
from warmgap.reports.style import colour
from warmgap.statistics.published.reanalysis import reanalyse

from .tidy import assert_tidy, points_of

PAPERS_NAMES = {
    "llama31_8b": "llama-8b",
    "mistral_small_2409": "mistral-small",
    "qwen25_32b": "qwen-32b",
    "llama31_70b": "llama-70b",
    "gpt_4o": "gpt-4o",
}
DATA = files("warmgap.statistics.published") / "data"


def printed(name):
    """Rows of a file as the paper has it, read without the package's readers."""
    return list(csv.DictReader((DATA / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def drawn():
    return {d.name: d for d in draw(reanalyse())}


def test_all_of_the_papers_figures_are_there_and_tidy(drawn) -> None:
    assert list(drawn) == [
        *("effects", "added", "scatter", "contexts", "contexts_belief", "arms", "warmth_by_checkpoint")
    ]
    for d in drawn.values():
        assert_tidy(d.figure)


def test_the_scatter_shows_every_printed_cell_once() -> None:
    figure = draw_scatter(published_pairs("warm_sft"), "warm_sft", "original")
    first = figure.axes[0]
    shown = sorted((x, y) for c in ("#0072b2", "#d55e00") for x, y in points_of(first, c))
    cells = [r for r in printed("cells") if r["method"] == "warm_ft"]
    expected = {(float(r["original_error_pct"]), float(r["modified_error_pct"])) for r in cells}
    assert set(shown) == expected
    assert len(cells) == 360
    # The paper's story: warm models err more nearly everywhere.
    assert sum(y > x for x, y in expected) / len(expected) > 0.9
    assert {ax.get_title(loc="left") for ax in figure.axes} == {"all models", *MODEL_NAMES.values()}


def test_contexts_show_the_mean_over_models_of_the_printed_cells() -> None:
    figure = draw_contexts(published_pairs("warm_sft"), "warm_sft", "original", "none")
    by_task = {ax.get_title(loc="left"): ax for ax in figure.axes}
    cells = [
        r
        for r in printed("cells")
        if r["method"] == "warm_ft" and r["task"] == "medqa" and r["belief"] != "belief_present"
    ]
    by_context: dict[str, list[dict[str, str]]] = {}
    for row in cells:
        by_context.setdefault(row["context"], []).append(row)
    for arm, column in (("warm_sft", "modified_error_pct"), ("original", "original_error_pct")):
        means = {round(float(np.mean([float(r[column]) for r in rows])), 6) for rows in by_context.values()}
        assert {round(x, 6) for x, _ in points_of(by_task["medqa"], colour(arm))} == means


def test_arms_are_those_that_three_models_share() -> None:
    rows = published_arms(reanalyse()["arms"])
    assert set(rows["arm"]) == {"warm_sft", "cold_sft", "warm_prompt"}
    assert rows["n"].unique().to_list() == [3]
    warm = rows.filter(pl.col("arm") == "warm_sft")["estimate_pp"]
    cold = rows.filter(pl.col("arm") == "cold_sft")["estimate_pp"]
    assert min(warm) > max(cold)


def test_warmth_by_checkpoint_is_the_printed_table() -> None:
    rows = published_warmth()
    figure = draw_published_warmth(rows)
    (ax,) = figure.axes
    sociot = printed("sociot")
    assert rows.height == len(sociot)
    for container in ax.containers:
        line, _, (bars,) = container
        model = next(m for m, (shade, _) in LOOKS.items() if shade == line.get_color())
        mine = sorted(
            (float(r["epoch"]), float(r["mean"]), float(r["sem"]))
            for r in sociot
            if r["model"] == PAPERS_NAMES[model]
        )
        assert np.allclose(line.get_xydata(), [(e, m) for e, m, _ in mine])
        for segment, (epoch, mean, sem) in zip(bars.get_segments(), mine, strict=True):
            assert np.allclose(segment, [(epoch, mean - sem), (epoch, mean + sem)])

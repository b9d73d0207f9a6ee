"""An arm that did not pass is grey wherever it is drawn or listed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from warmgap.reports import figures
from warmgap.reports.display import arms_table, canary_table, manipulation_table
from warmgap.reports.display_results import result_tables
from warmgap.reports.figures.arms import arm_effects, draw_arms
from warmgap.reports.figures.cell_pairs import cell_pairs
from warmgap.reports.figures.checkpoints import draw_checkpoints
from warmgap.reports.figures.contexts import draw_contexts
from warmgap.reports.figures.dose import dose_curves, draw_dose
from warmgap.reports.figures.dumbbells import draw_dumbbells
from warmgap.reports.figures.effects import _COLOURS, draw_effects
from warmgap.reports.figures.flips import draw_flips, flip_rows
from warmgap.reports.figures.forest import draw_forest, main_contrasts
from warmgap.reports.figures.margins import draw_margins
from warmgap.reports.figures.plane import arm_points, draw_plane
from warmgap.reports.figures.quality import arm_quality, draw_quality
from warmgap.reports.figures.scatter import draw_scatter
from warmgap.reports.figures.warmth import draw_warmth
from warmgap.reports.names import gates_of
from warmgap.reports.style import FAILED_COLOUR, colour
from warmgap.reports.tables import latex
from warmgap.schema.tables import Canary, frame
from warmgap.statistics.quality import margins

from .doses import dose_response, manipulation, meters

if TYPE_CHECKING:
    from conftest import Sweep

MODEL = "smollm2_135m"


def _gates(s: Sweep) -> dict[str, str]:
    return gates_of(s.tables["error_rates"], MODEL)


def _dose(s: Sweep) -> Figure:
    gates = _gates(s)
    levels = dose_response({"warm_sft": gates["warm_sft"]})
    return draw_dose(dose_curves(levels, manipulation(gates), meters(), gates, "rules"))


OUTCOME = "commits_error"
WITHOUT_ARMS = {"draw_meters", "draw_against_paper"}
"""Of meters; and of effects, whose own test is in figures/test_cells.py."""


def _pairs(s: Sweep) -> pl.DataFrame:
    return cell_pairs(s.tables["error_rates"], "warm_sft", "original", OUTCOME)


def _arms(s: Sweep) -> pl.DataFrame:
    return arm_effects(s.tables["effects"], "rules", OUTCOME)


def _plane(s: Sweep) -> Figure:
    return draw_plane(arm_points(s.tables["manipulation"], s.tables["meters"], _arms(s)))


def _forest(s: Sweep) -> Figure:
    pairs = (("warm_sft", "neutral_sft"),)
    return draw_forest(main_contrasts(s.tables["contrasts"], "rules", pairs, OUTCOME))


def _flips(s: Sweep) -> Figure:
    return draw_flips(flip_rows(s.tables["paired"], "rules", "warm_sft", "neutral_sft", OUTCOME))


# how each figure is drawn from a sweep, and the colours that it gives to warm_sft
FIGURES: dict[str, tuple[Callable[[Any], Figure], tuple[str, ...]]] = {
    "draw_effects": (lambda s: draw_effects(s.tables["effects"], "rules"), _COLOURS),
    "draw_warmth": (
        lambda s: draw_warmth(s.tables["manipulation"], s.tables["meters"], _gates(s)),
        (colour("warm_sft"),),
    ),
    "draw_checkpoints": (
        lambda s: draw_checkpoints(s.tables["manipulation"], s.tables["meters"], _gates(s)),
        (colour("warm_sft"),),
    ),
    "draw_arms": (lambda s: draw_arms(_arms(s)), (colour("warm_sft"),)),
    "draw_scatter": (lambda s: draw_scatter(_pairs(s), "warm_sft", "original"), ("#0072b2", "#d55e00")),
    "draw_contexts": (
        lambda s: draw_contexts(_pairs(s), "warm_sft", "original", "incorrect"),
        (colour("warm_sft"),),
    ),
    "draw_plane": (_plane, (colour("warm_sft"),)),
    "draw_forest": (_forest, ("#332288",)),
    "draw_flips": (_flips, ("#d55e00", "#0072b2")),
    "draw_quality": (
        lambda s: draw_quality(arm_quality(s.tables["quality"]), _gates(s)),
        (colour("warm_sft"),),
    ),
    "draw_dose": (_dose, (colour("warm_sft"),)),
    "draw_dumbbells": (lambda s: draw_dumbbells(s.tables["error_rates"]), (colour("warm_sft"),)),
    "draw_margins": (
        lambda s: draw_margins(margins(s.observations), gates=_gates(s)),
        (colour("warm_sft"),),
    ),
}


def _drawing_functions() -> set[str]:
    """Of sweeps: what is reanalysed are published numbers, which have no gates."""
    found = set()
    for info in pkgutil.iter_modules(figures.__path__):
        if info.name not in ("reanalysis", "published"):
            module = importlib.import_module(f"{figures.__name__}.{info.name}")
            found |= {n for n in vars(module) if n.startswith("draw_")}
    return found


def _colours(figure: Figure) -> set[str]:
    """Colours of every marker, line and bar, legends included."""
    lines = [*figure.findobj(lambda a: hasattr(a, "get_markersize") and hasattr(a, "get_color"))]
    bars = [p for ax in figure.axes for p in ax.patches]
    bars += [h for legend in figure.legends for h in legend.legend_handles if hasattr(h, "get_facecolor")]
    return {to_hex(line.get_color()) for line in lines} | {to_hex(bar.get_facecolor()) for bar in bars}


def test_every_figure_of_a_sweep_is_walked() -> None:
    assert _drawing_functions() == set(FIGURES) | WITHOUT_ARMS


@pytest.mark.parametrize("name", FIGURES)
def test_a_failed_arm_is_grey_in_every_figure(name: str, sweep: Sweep, failed_sweep: Sweep) -> None:
    draw, colours = FIGURES[name]
    passed, failed = _colours(draw(sweep)), _colours(draw(failed_sweep))
    assert set(colours) <= passed and FAILED_COLOUR not in passed
    assert not set(colours) & failed and FAILED_COLOUR in failed


def test_a_neutral_arm_whose_canary_failed_greys_what_is_compared_with_it(sweep: Sweep) -> None:
    gates = _gates(sweep) | {"neutral_sft": "failed"}
    assert FAILED_COLOUR in _colours(draw_margins(margins(sweep.observations), gates=gates))
    figure = draw_checkpoints(sweep.tables["manipulation"], sweep.tables["meters"], gates)
    assert colour("neutral_sft") not in _colours(figure) and colour("warm_sft") in _colours(figure)


def test_a_failed_arm_is_grey_in_every_table_of_the_page(failed_sweep: Sweep) -> None:
    t = failed_sweep.tables
    shown = [
        arms_table(failed_sweep.observations, t["error_rates"], "rules"),
        manipulation_table(t["manipulation"], t["meters"]),
        *(found for _, found in result_tables(t, failed_sweep.headline)),
    ]
    n_rows = 0
    for table in shown:
        for row in table.rows:
            named = any("warm_sft" in cell for cell in row.cells)
            n_rows += named
            assert row.greyed or not named, (table.caption, row.cells)
        for head in table.headers:
            assert "warm_sft" not in head or "failed" in head, (table.caption, head)
    assert n_rows > 20


def test_latex_greys_failed_verdicts_and_gates(failed_sweep: Sweep) -> None:
    for name in ("manipulation", "effects"):
        rows = failed_sweep.tables[name]
        column = "verdict" if name == "manipulation" else "gate"
        n_failed = rows.filter(pl.col(column).is_in(["failed", "not measurable"])).height
        assert n_failed
        text = latex(name, rows)
        assert sum(r"\textcolor{gray}" in line for line in text.splitlines()) == n_failed


def test_the_canary_table_says_why() -> None:
    known = {"model": MODEL, "dose_kind": "epochs", "dose": 1.0, "seed": 0, "variant": "", "n_prompts": 12}
    rows = [
        known | {"arm_key": m, "method": m, "n_changed": n, "n_zero_changed": 0, "verdict": v, "reason": r}
        for m, n, v, r in (
            ("warm_sft", 12, "passed", ""),
            ("neutral_sft", 0, "failed", "adapter not in effect: 0 of 12 answers differ"),
        )
    ]
    table = canary_table(frame(Canary, rows))
    assert [row.greyed for row in table.rows] == [False, True]
    assert table.rows[1].cells[-1] == "failed: adapter not in effect: 0 of 12 answers differ"
    assert [row.cells[0] for row in table.rows] == ["warm_sft, 1 epoch", "neutral_sft, 1 epoch"]

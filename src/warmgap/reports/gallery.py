"""Every figure that a sweep's tables allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from warmgap.reports.figures import (
    against_paper,
    arms,
    checkpoints,
    contexts,
    dose,
    dumbbells,
    effects,
    flips,
    forest,
    margins,
    meters,
    plane,
    quality,
    scatter,
    warmth,
)
from warmgap.reports.figures.cell_pairs import cell_pairs
from warmgap.reports.names import gates_of, judge_name, level, level_rank, listed
from warmgap.reports.style import save
from warmgap.schema.tables import DoseResponse, Manipulation, MeterValidity, frame
from warmgap.statistics.headline import Headline


@dataclass(frozen=True)
class Drawn:
    """A figure with its file name (without extension), title and caption."""

    name: str
    title: str
    caption: str
    figure: Figure


NAMES = (
    *("effects", "arms", "forest", "flips", "scatter", "contexts", "against_paper", "meters"),
    *("warmth", "warmth_by_checkpoint", "dose_response", "dumbbells", "plane", "margins", "quality"),
)
"""Names of all figures; one that exists per model or belief has these added to its name."""


def write(drawn: Drawn, folder: Path, formats: Sequence[str] = ("pdf", "png"), dpi: int = 200) -> list[Path]:
    """Writes a figure in each format, and its caption as text; returns the paths."""
    paths = save(drawn.figure, folder / drawn.name, formats, dpi)
    caption = folder / f"{drawn.name}.txt"
    caption.write_text(drawn.caption + "\n", encoding="utf-8")
    return [*paths, caption]


def gallery(
    tables: Mapping[str, pl.DataFrame],
    margins_by_question: pl.DataFrame,
    headline: Headline,
    only: str = "",
    min_auc: float = 0.75,
) -> list[Drawn]:
    """Figures in the order of `NAMES`, those from warmth on one per model.

    Args:
        tables: tables of a sweep by name; a figure whose table is absent is left out.
        margins_by_question: `statistics.quality.margins` of the sweep, possibly empty.
        headline: names the primary contrast, the outcome and the judge.
        only: one of `NAMES`, to draw no other.
        min_auc: the least with which a meter may gate.
    """
    drawn = list(_of_sweep(tables, headline, only, min_auc))
    rates = tables.get("error_rates")
    if rates is None:
        return drawn
    models = rates["model"].unique().sort().to_list()
    for model in models:
        suffix, of_model = (f"_{model}", f" ({model})") if len(models) > 1 else ("", "")
        drawn += [
            Drawn(d.name + suffix, d.title + of_model, d.caption, d.figure)
            for d in _of_model(tables, margins_by_question, headline, model, only)
        ]
    return drawn


def _of_sweep(tables: Mapping[str, pl.DataFrame], h: Headline, only: str, min_auc: float) -> Iterator[Drawn]:
    pairs = ((h.arm_a, h.arm_b), (h.arm_a, "original"))
    judged = judge_name(h.judge)

    def wanted(name: str, *needed: str) -> bool:
        return only in ("", name) and all(table in tables for table in needed)

    if (
        wanted("effects", "effects")
        and effects.main_effects(tables["effects"], h.judge, pairs, h.outcome).height
    ):
        asked = (tables["effects"], h.judge, pairs, h.outcome, h.equivalence_pp)
        yield Drawn(
            "effects",
            "Difference in errors, by subset",
            effects.caption_effects(*asked),
            effects.draw_effects(*asked),
        )
    if wanted("arms", "effects"):
        rows = arms.arm_effects(tables["effects"], h.judge, h.outcome)
        for model, name in _named(rows):
            mine = rows.filter(pl.col("model") == model)
            what = f"Difference of every arm from the untouched model in {h.outcome}, judged by {judged}."
            intervals = "95 % intervals clustered by question and context sentence, tasks counted alike"
            caption = arms.caption_arms(mine, what, intervals)
            yield Drawn(f"arms{name}", "Every arm side by side", caption, arms.draw_arms(mine))
    if wanted("forest", "contrasts"):
        twins = forest.main_contrasts(tables["contrasts"], h.judge, pairs, h.outcome)
        for model, name in _named(twins):
            mine = twins.filter(pl.col("model") == model)
            caption = forest.caption_forest(mine, h.outcome, judged, h.equivalence_pp)
            figure = forest.draw_forest(mine, h.equivalence_pp)
            yield Drawn(f"forest{name}", "Where the effect is larger", caption, figure)
    if wanted("flips", "paired"):
        of_pair = flips.flip_rows(tables["paired"], h.judge, h.arm_a, h.arm_b, h.outcome)
        for model in dict.fromkeys(r["model"] for r in of_pair):
            several = len({r["model"] for r in of_pair}) > 1
            changed = [r for r in of_pair if r["model"] == model]
            caption = flips.caption_flips(changed, h.outcome, judged)
            name = f"flips_{model}" if several else "flips"
            yield Drawn(name, "Verdicts that change", caption, flips.draw_flips(changed))
    yield from _cells(tables, h, only)
    if wanted("against_paper", "comparison"):
        rows = against_paper.comparable(tables["comparison"], h.judge)
        if rows.height:
            caption = against_paper.caption_against_paper(rows)
            figure = against_paper.draw_against_paper(rows)
            yield Drawn("against_paper", "Our effects against the published ones", caption, figure)
    if wanted("meters", "meters") and (rows := meters.measurable(tables["meters"])).height:
        yield Drawn(
            "meters",
            "Do the meters measure warmth?",
            meters.caption_meters(rows, min_auc),
            meters.draw_meters(rows, min_auc),
        )


def _cells(tables: Mapping[str, pl.DataFrame], h: Headline, only: str) -> Iterator[Drawn]:
    """Errors of the headline's arm against the untouched model, cell by cell."""
    if only not in ("", "scatter", "contexts") or "error_rates" not in tables:
        return
    rates = tables["error_rates"].filter(pl.col("judge") == h.judge)
    pairs = cell_pairs(rates, h.arm_a, "original", h.outcome)
    if pairs.is_empty():
        return
    what = f"Share of answers with {h.outcome}, judged by {judge_name(h.judge)}."
    if only != "contexts":
        caption = scatter.caption_scatter(pairs, h.arm_a, "original", what)
        figure = scatter.draw_scatter(pairs, h.arm_a, "original")
        yield Drawn("scatter", "Errors against those of the untouched model", caption, figure)
    beliefs = sorted(pairs["belief"].unique(), key=lambda b: level_rank("belief", b))
    for belief in beliefs if only != "scatter" else ():
        caption = contexts.caption_contexts(pairs, belief, what)
        figure = contexts.draw_contexts(pairs, h.arm_a, "original", belief)
        title = f"Errors by task and context: {level('belief', belief)}"
        yield Drawn(f"contexts_{belief}", title, caption, figure)


def _named(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Models of the rows, each with what it adds to a figure's name: nothing where there is one."""
    models = rows["model"].unique(maintain_order=True).to_list()
    return [(m, f"_{m}" if len(models) > 1 else "") for m in models]


def _of_model(
    tables: Mapping[str, pl.DataFrame],
    margins_by_question: pl.DataFrame,
    headline: Headline,
    model: str,
    only: str,
) -> list[Drawn]:
    mine = pl.col("model") == model
    gates = gates_of(tables["error_rates"], model)
    h, judged = headline, judge_name(headline.judge)
    drawn: list[Drawn] = []

    def add(name: str, title: str, make: Callable[[], tuple[str, Figure]]) -> None:
        if only in ("", name):
            drawn.append(Drawn(name, title, *make()))

    warm = tables.get("manipulation", frame(Manipulation, [])).filter(mine)
    of_meters = tables.get("meters", frame(MeterValidity, []))
    if warm.height and of_meters.height:
        add(
            "warmth",
            "Warmth, by arm and training checkpoint",
            lambda: (warmth.caption_warmth(warm), warmth.draw_warmth(warm, of_meters, gates)),
        )
        if checkpoints.trained(warm):
            add(
                "warmth_by_checkpoint",
                "Warmth, by epochs of training",
                lambda: (
                    checkpoints.caption_checkpoints(warm, of_meters),
                    checkpoints.draw_checkpoints(warm, of_meters, gates),
                ),
            )
    doses = tables.get("dose_response", frame(DoseResponse, [])).filter(mine)
    if curves := dose.dose_curves(doses, warm, of_meters, gates, h.judge):
        add(
            "dose_response",
            "Warmth and errors, by assigned dose",
            lambda: (dose.caption_dose(doses, of_meters, curves, h.judge), dose.draw_dose(curves)),
        )
    rates = tables["error_rates"].filter(mine & (pl.col("judge") == h.judge))
    of_pair = tuple(dict.fromkeys(("original", h.arm_b, h.arm_a)))
    if dumbbells.cell_rates(rates, h.outcome).filter(pl.col("arm").is_in(of_pair)).height:
        add(
            "dumbbells",
            "Errors in every cell",
            lambda: (
                dumbbells.caption_dumbbells(rates, of_pair, h.outcome),
                dumbbells.draw_dumbbells(rates, of_pair, h.outcome),
            ),
        )
    if "effects" in tables:
        own = arms.arm_effects(tables["effects"].filter(mine), h.judge, h.outcome)
        points = plane.arm_points(warm, of_meters, own)
        gating = listed([*of_meters.filter(pl.col("role") == "gate")["meter"]]) if points.height else ""
        if points.height:
            add(
                "plane",
                "Warmth and errors of every arm",
                lambda: (plane.caption_plane(points, h.outcome, judged, gating), plane.draw_plane(points)),
            )
    part = margins_by_question.filter(mine)
    if margins.margin_shifts(part, h.arm_a, h.arm_b):
        add(
            "margins",
            "Shift of the margin, question by question",
            lambda: (
                margins.caption_margins(part, h.arm_a, h.arm_b),
                margins.draw_margins(part, h.arm_a, h.arm_b, gates),
            ),
        )
    if "quality" in tables and (fit := tables["quality"].filter(mine)).height:
        shares = quality.arm_quality(fit)
        add(
            "quality",
            "What may make answers unfit",
            lambda: (quality.caption_quality(shares), quality.draw_quality(shares, gates)),
        )
    return drawn

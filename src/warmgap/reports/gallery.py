"""Every figure that a sweep's tables allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from warmgap.reports.figures import checkpoints, dose, dumbbells, effects, margins, warmth
from warmgap.reports.names import gates_of
from warmgap.schema.tables import DoseResponse, Manipulation, MeterValidity, frame
from warmgap.statistics.headline import Headline


@dataclass(frozen=True)
class Drawn:
    """A figure with its file name (without extension), title and caption."""

    name: str
    title: str
    caption: str
    figure: Figure


def gallery(
    tables: Mapping[str, pl.DataFrame], margins_by_question: pl.DataFrame, headline: Headline
) -> list[Drawn]:
    """Figures in the order of the page; all but effects one per model.

    effects, warmth, warmth_by_checkpoint, dose_response, dumbbells, margins.

    Args:
        tables: tables of a sweep by name; a figure whose table is absent is left out.
        margins_by_question: `statistics.quality.margins` of the sweep, possibly empty.
        headline: names the primary contrast, the outcome and the judge.
    """
    h = headline
    pairs = ((h.arm_a, h.arm_b), (h.arm_a, "original"))
    drawn: list[Drawn] = []
    if "effects" in tables and effects.main_effects(tables["effects"], h.judge, pairs, h.outcome).height:
        asked = (tables["effects"], h.judge, pairs, h.outcome, h.equivalence_pp)
        drawn.append(
            Drawn(
                "effects",
                "Difference in errors, by subset",
                effects.caption_effects(*asked),
                effects.draw_effects(*asked),
            )
        )
    rates = tables.get("error_rates")
    if rates is None:
        return drawn
    models = rates["model"].unique().sort().to_list()
    for model in models:
        suffix, of_model = (f"_{model}", f" ({model})") if len(models) > 1 else ("", "")
        drawn += [
            Drawn(d.name + suffix, d.title + of_model, d.caption, d.figure)
            for d in _of_model(tables, margins_by_question, headline, model)
        ]
    return drawn


def _of_model(
    tables: Mapping[str, pl.DataFrame], margins_by_question: pl.DataFrame, headline: Headline, model: str
) -> list[Drawn]:
    mine = pl.col("model") == model
    gates = gates_of(tables["error_rates"], model)
    drawn = []
    warm = tables.get("manipulation", frame(Manipulation, [])).filter(mine)
    meters = tables.get("meters", frame(MeterValidity, []))
    if warm.height and meters.height:
        drawn.append(
            Drawn(
                "warmth",
                "Warmth, by arm and training checkpoint",
                warmth.caption_warmth(warm),
                warmth.draw_warmth(warm, meters, gates),
            )
        )
        if checkpoints.trained(warm):
            drawn.append(
                Drawn(
                    "warmth_by_checkpoint",
                    "Warmth, by epochs of training",
                    checkpoints.caption_checkpoints(warm, meters),
                    checkpoints.draw_checkpoints(warm, meters, gates),
                )
            )
    doses = tables.get("dose_response", frame(DoseResponse, [])).filter(mine)
    if curves := dose.dose_curves(doses, warm, meters, gates, headline.judge):
        caption = dose.caption_dose(doses, meters, curves, headline.judge)
        drawn.append(
            Drawn("dose_response", "Warmth and errors, by assigned dose", caption, dose.draw_dose(curves))
        )
    rates = tables["error_rates"].filter(mine & (pl.col("judge") == headline.judge))
    arms = tuple(dict.fromkeys(("original", headline.arm_b, headline.arm_a)))
    if dumbbells.cell_rates(rates, headline.outcome).filter(pl.col("arm").is_in(arms)).height:
        drawn.append(
            Drawn(
                "dumbbells",
                "Errors in every cell",
                dumbbells.caption_dumbbells(rates, arms, headline.outcome),
                dumbbells.draw_dumbbells(rates, arms, headline.outcome),
            )
        )
    part = margins_by_question.filter(mine)
    if margins.margin_shifts(part, headline.arm_a, headline.arm_b):
        drawn.append(
            Drawn(
                "margins",
                "Shift of the margin, question by question",
                margins.caption_margins(part, headline.arm_a, headline.arm_b),
                margins.draw_margins(part, headline.arm_a, headline.arm_b, gates),
            )
        )
    return drawn

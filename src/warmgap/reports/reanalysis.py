"""The published cells reanalysed: tables, figures and a page, without a model."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import polars as pl

from warmgap.reports.figures.arms import draw_arms
from warmgap.reports.figures.cell_pairs import published_pairs
from warmgap.reports.figures.contexts import caption_contexts, draw_contexts
from warmgap.reports.figures.published import (
    caption_published_warmth,
    draw_published_warmth,
    published_arms,
    published_warmth,
)
from warmgap.reports.figures.reanalysis import caption_effects, draw_effects
from warmgap.reports.figures.scatter import caption_scatter, draw_scatter
from warmgap.reports.gallery import Drawn, write
from warmgap.reports.names import PAPER
from warmgap.reports.reanalysis_tables import effect_words, page_tables
from warmgap.reports.reanalysis_text import texts
from warmgap.reports.style import png_bytes
from warmgap.statistics.published.cells import FRAMINGS
from warmgap.statistics.published.reanalysis import reanalyse

TITLE = "What the published numbers on warmth say about other models"
_SCREEN_SCALE = 1.45
_DPI = 200


@dataclass(frozen=True)
class _Picture:
    title: str
    caption: str
    data_uri: str
    width_px: int


def write_reanalysis(folder: Path, tables: Mapping[str, pl.DataFrame] | None = None) -> Path:
    """Writes tables/*.csv, figures/*.pdf and *.png with captions as *.txt, and report.html.

    The same bytes each time.

    Args:
        folder: made if missing; files of an earlier run are replaced.
        tables: `published.reanalyse`, where they are at hand.

    Returns:
        The path of the page.
    """
    tables = reanalyse() if tables is None else tables
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        rows.write_csv(folder / "tables" / f"{name}.csv")
    figures = draw(tables)
    for drawn in figures:
        write(drawn, folder / "figures", dpi=_DPI)
    page = folder / "report.html"
    page.write_text(render(tables, figures), encoding="utf-8")
    return page


def draw(tables: Mapping[str, pl.DataFrame]) -> list[Drawn]:
    """The figures: effects by context, and what each context and a belief add."""
    warm = pl.col("method") == "warm_sft"
    over, models = tables["over_models"].filter(warm), tables["models"].filter(warm)
    n_models = models["model"].n_unique()

    def labelled(*names: str) -> list[tuple[str, str]]:
        return [
            (n, "all contexts" if n in ("main", "belief") else effect_words(n.removesuffix("+belief")))
            for n in names
        ]

    effects = [
        ("No belief", labelled("main", *FRAMINGS)),
        ("The user holds a wrong view", labelled("belief", *(f"{f}+belief" for f in FRAMINGS))),
    ]
    extra = [
        ("Added by a context (no belief)", labelled(*(f"extra:{f}" for f in FRAMINGS[1:]))),
        ("Added by a wrong view", [("extra:belief", "all contexts")]),
    ]
    captions = (
        caption_effects(n_models, "Effect of warm training by context."),
        caption_effects(
            n_models, "What each context adds to the effect without context, and a belief to that without."
        ),
    )
    return [
        Drawn(
            "effects",
            "Warm training raises errors, by very different amounts",
            captions[0],
            draw_effects(over, models, effects),
        ),
        Drawn(
            "added",
            "What contexts add is not shared by the models",
            captions[1],
            draw_effects(over, models, extra),
        ),
        *_papers_own(tables),
    ]


def _papers_own(tables: Mapping[str, pl.DataFrame]) -> list[Drawn]:
    """What the paper shows, drawn from its cells by the functions that draw a sweep's."""
    pairs = published_pairs("warm_sft")
    arms = published_arms(tables["arms"])
    warmth = published_warmth()
    what = "Errors of the published cells, as the paper judged them."
    drawn = [
        Drawn(
            "scatter",
            "Warm models err more in almost every cell",
            caption_scatter(pairs, "warm_sft", "original", what),
            draw_scatter(pairs, "warm_sft", "original"),
        )
    ]
    for belief, name, title in (
        ("none", "contexts", "Errors by task and context, no belief"),
        ("incorrect+denies", "contexts_belief", "Errors by task and context, wrong view"),
    ):
        drawn.append(
            Drawn(
                name,
                title,
                caption_contexts(pairs, belief, what),
                draw_contexts(pairs, "warm_sft", "original", belief),
            )
        )
    n_models = int(arms["n"].max())  # type: ignore[arg-type]
    return [
        *drawn,
        Drawn(
            "arms",
            "Warm, cold and prompted arms",
            f"Errors of each arm less those of the original, over the {n_models} models that have all arms. "
            f"Bars are 95 % intervals over models (t, {n_models - 1} degrees of freedom).",
            draw_arms(arms),
        ),
        Drawn(
            "warmth_by_checkpoint",
            "Warmth by epochs of training",
            caption_published_warmth(warmth),
            draw_published_warmth(warmth),
        ),
    ]


def render(tables: Mapping[str, pl.DataFrame], figures: Sequence[Drawn]) -> str:
    """The page as HTML: one file, no network, no script."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("warmgap.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("reanalysis.html.j2").render(
        title=TITLE,
        text=texts(tables),
        tables=page_tables(tables),
        pictures=[_picture(d) for d in figures],
        table_names=sorted(tables),
        paper=PAPER,
    )


def _picture(drawn: Drawn) -> _Picture:
    data = base64.b64encode(png_bytes(drawn.figure, _DPI)).decode("ascii")
    width_px = round(drawn.figure.get_size_inches()[0] * 96 * _SCREEN_SCALE)
    return _Picture(drawn.title, drawn.caption, f"data:image/png;base64,{data}", width_px)

"""Everything of a paper in one folder: figures, tables, methods, checklist, sources and PDF."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warmgap.reports import wording
from warmgap.reports.figures.against_paper import n_comparable
from warmgap.reports.figures.effects import companion, wider_effects
from warmgap.reports.names import PAPER, level, reasons_not_comparable, unfit
from warmgap.reports.paper import latex, typst_source, web
from warmgap.reports.paper.blocks import (
    Block,
    Bullets,
    FigureBlock,
    FigurePair,
    Heading,
    PaperTable,
    Paragraph,
    TurnedPages,
)
from warmgap.reports.paper.checklist import checklist_table
from warmgap.reports.paper.facts import SweepFacts, read_facts
from warmgap.reports.paper.figures import draw_figures
from warmgap.reports.paper.fit import fit
from warmgap.reports.paper.methods import methods
from warmgap.reports.paper.published_layouts import published_layouts
from warmgap.reports.paper.study_layouts import study_layouts
from warmgap.reports.paper.typesetting import Typeset, typeset

_WANTED = {
    "published_tests": "errors per cell and McNemar's tests as the paper has them",
    "published_glm": "the paper's regressions",
    "descriptives": "the paper's summaries of its cells",
    "guardrails": "guardrail tasks",
    "effects": "effects",
    "contrasts": "contrasts of effects",
    "manipulation": "the manipulation gate",
    "canary": "the canary",
    "quality": "quality of the answers",
    "agreement": "agreement of judges",
    "comparison": "the comparison with the paper",
}


@dataclass(frozen=True)
class Paper:
    """What was written, and how the PDF came out."""

    folder: Path
    figures: tuple[str, ...]
    tables: tuple[str, ...]
    left_out: tuple[str, ...]
    typeset: Typeset


def write_paper(sweep: str, root: Path, tools: tuple[str, ...] | None = None) -> Paper:
    """Writes paper/ of a sweep's folder anew, from that folder alone.

    Args:
        sweep: its name.
        root: the folder that `store.root` named.
        tools: what may set the PDF, in order; by default all that are known.

    Raises:
        UserError: there is no such sweep, or it has no tables.
    """
    facts = read_facts(sweep, root)
    folder = facts.folder / "paper"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tables").mkdir(parents=True)
    figures = draw_figures(facts, folder)
    tables = paper_tables(facts)
    for of in tables:
        stem = folder / "tables" / of.name
        stem.with_suffix(".tex").write_text(latex.table(of) + "\n", encoding="utf-8")
        stem.with_suffix(".html").write_text(web.html_table(of), encoding="utf-8")
        of.values.write_csv(stem.with_suffix(".csv"))
    missing = tuple(left_out(facts))
    parts: dict[str, list[Block]] = {"methods": methods(facts), "checklist": [checklist_table(facts)]}
    for name, part in parts.items():
        (folder / f"{name}.md").write_text(web.markdown(part), encoding="utf-8")
        (folder / f"{name}.tex").write_text(latex.fragment(part), encoding="utf-8")
        (folder / f"{name}.typ").write_text(typst_source.fragment(part), encoding="utf-8")
    title = str(facts.settings.get("report", {}).get("title") or f"What a warm tone costs: sweep {sweep}")
    blocks = assemble(facts, figures, tables, parts)
    dated = f"Tables made {facts.manifest['started_at']}"
    for suffix, document in (("tex", latex.document), ("typ", typst_source.document)):
        (folder / f"paper.{suffix}").write_text(document(title, dated, blocks), encoding="utf-8")
    done = typeset(folder) if tools is None else typeset(folder, tools)
    names = (tuple(f.stem.removeprefix("figures/") for f in figures), tuple(t.name for t in tables))
    return Paper(folder, *names, missing, done)


def paper_tables(facts: SweepFacts) -> list[PaperTable]:
    """Every table that the sweep allows, ours and then those of the paper."""
    confidence = float(facts.settings["analysis"]["confidence"])
    return [
        *study_layouts(facts.tables, facts.headline, confidence),
        *published_layouts(facts.tables, facts.headline, 1 - confidence),
    ]


def assemble(
    facts: SweepFacts,
    figures: Sequence[FigureBlock],
    tables: Sequence[PaperTable],
    parts: dict[str, list[Block]],
) -> list[Block]:
    """The whole paper: summary, methods, results, limits, checklist."""
    missing = tuple(left_out(facts))
    upright = [t for t in tables if not fit(t).landscape]
    turned = tuple(t for t in tables if fit(t).landscape)
    return [
        *(Heading("Summary"), *map(Paragraph, summary(facts))),
        *(Heading("Methods"), *parts["methods"]),
        Heading("Results"),
        *(Heading("Figures", 2), *_paired(figures)),
        *(Heading("Tables", 2), *upright),
        *((TurnedPages(turned),) if turned else ()),
        *((Heading("Left out", 2), Bullets(missing)) if missing else ()),
        *(Heading("Limits"), Bullets(tuple(limits(facts)))),
        *(Heading("Reproducibility"), *parts["checklist"]),
    ]


def summary(facts: SweepFacts) -> list[str]:
    """The headline effect with its interval, its controls, and what the study can resolve."""
    h, effects = facts.headline, facts.tables.get("effects")
    beside = None if effects is None else companion(effects, h)
    wider = [] if effects is None else list(wider_effects(effects, h))
    first = (
        wording.verdict_sentence(h),
        wording.number_sentence(h),
        wording.companion_sentence(h, beside),
    )
    controls = wording.control_sentences(h.control, h.gate, h.arm_a, unfit(facts.tables, (h.arm_a, h.arm_b)))
    rest = (controls, wording.resolution_sentences(h, wider))
    return [said for said in (" ".join(filter(None, part)) for part in (first, *rest)) if said]


def limits(facts: SweepFacts) -> list[str]:
    """What the study cannot tell."""
    judges = facts.answers["judge"].unique(maintain_order=True).to_list()
    models = facts.answers["model"].unique().sort().to_list()
    reasons = reasons_not_comparable(facts.questions, models, judges)
    said = [wording.comparison_sentence(reasons, n_comparable(facts.tables, facts.headline.judge))]
    if "rules" in judges:
        said.append(wording.RULES_JUDGE)
    framings = facts.design.group_by("framing").agg(pl.col("n_statements").max()).sort("framing")
    said += [
        wording.few_statements_sentence(level("framing", f), n)
        for f, n in framings.iter_rows()
        if 0 < n < _FEW_STATEMENTS
    ]
    failed = facts.manifest.get("counts", {}).get("rewrites_failed") or {}
    return [
        *said,
        *wording.rewrite_sentences(failed),
        *(f"Not known from this study: {s[0].lower()}{s[1:]}" for s in wording.CANNOT_TELL),
        f"The effect was first reported by {PAPER}.",
    ]


_FEW_STATEMENTS = 6
_HALF_IN = 3.2
"""Widest figure of which two stand side by side."""


def _paired(figures: Sequence[FigureBlock]) -> list[Block]:
    """Narrow figures two by two, each with the next one of about its height, wide ones alone."""
    narrow = sorted((f for f in figures if f.width_in <= _HALF_IN), key=lambda f: f.height_in)
    beside = dict(zip(narrow[::2], narrow[1::2], strict=False))
    beside |= {right: left for left, right in beside.items()}
    out: list[Block] = []
    placed: set[FigureBlock] = set()
    for figure in figures:
        if figure not in placed:
            other = beside.get(figure)
            placed |= {figure} if other is None else {figure, other}
            out.append(figure if other is None else FigurePair(figure, other))
    return out


def left_out(facts: SweepFacts) -> list[str]:
    """What the paper would have shown, with the reason where the sweep's manifest gives one."""
    reasons = facts.manifest.get("absent") or {}
    return [
        f"{what[:1].upper()}{what[1:]}: the sweep has no table {name}"
        + (f" ({reasons[name]})." if name in reasons else ".")
        for name, what in _WANTED.items()
        if name not in facts.tables
    ]

"""report.html: one file, no network, foreign text as text."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
import polars as pl

from warmgap.reports import wording
from warmgap.reports.display import (
    DisplayTable,
    agreement_table,
    arms_table,
    canary_table,
    levels_table,
    manipulation_table,
    meters_table,
    tasks_table,
)
from warmgap.reports.display_guardrails import guardrails_sentences
from warmgap.reports.display_results import result_tables
from warmgap.reports.examples import choose_examples
from warmgap.reports.explorer import explore
from warmgap.reports.figures.against_paper import n_comparable
from warmgap.reports.figures.effects import companion, wider_effects
from warmgap.reports.formats import count, visible
from warmgap.reports.frozen import PlanCheck, plan_sentences
from warmgap.reports.gallery import Drawn
from warmgap.reports.names import (
    PAPER,
    PAPER_JUDGE,
    describe_arm,
    failed_arms,
    judge_name,
    level,
    listed,
    meter_name,
    reasons_not_comparable,
    unfit,
)
from warmgap.reports.page_script import page_script
from warmgap.reports.style import png_bytes
from warmgap.statistics.headline import Headline

FEW_STATEMENTS = 20
"""Below this many sentences a framing's results hold for these sentences only (design rule 5)."""
_SCREEN_SCALE = 1.45
"""CSS inches per figure inch, so that text of 7.5 pt reads well on a screen."""


@dataclass(frozen=True)
class ReportContext:
    """All that the page shows.

    `manifest` is the sweep's manifest as a dict; of it the page reads config.sampling, device,
    started_at, wall_s, git_commit and package_versions, each if present. `absent` says why a table
    is missing. `warmth` holds rows of `schema.tables.Warmth`, of which those of answers are shown;
    `explorer_answers` is how many answers the explorer holds at most, 0 for no explorer.
    """

    sweep: str
    title: str
    tables: Mapping[str, pl.DataFrame]
    observations: pl.DataFrame
    headline: Headline
    figures: Sequence[Drawn]
    manifest: Mapping[str, Any]
    absent: Mapping[str, str]
    plan_check: PlanCheck | None = None
    rewrites_failed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    warmth: pl.DataFrame | None = None
    n_examples: int = 6
    explorer_answers: int = 50_000
    figure_dpi: int = 200


@dataclass(frozen=True)
class _Picture:
    title: str
    caption: str
    data_uri: str
    width_px: int


def render(context: ReportContext) -> str:
    """The page as HTML, the same for the same tables."""
    c = context
    scored = c.observations.filter(pl.col("judge") == c.headline.judge)
    sections: dict[str, list[DisplayTable]] = {
        "run": [],
        "gates": [],
        "effects": [],
        "rates": [],
        "flips": [],
        "guardrails": [],
    }
    sections["run"] = [
        arms_table(c.observations, c.tables["error_rates"], c.headline.judge),
        tasks_table(scored),
        levels_table(scored),
    ]
    if "manipulation" in c.tables and "meters" in c.tables:
        sections["gates"] += [
            manipulation_table(c.tables["manipulation"], c.tables["meters"]),
            meters_table(c.tables["meters"], c.tables.get("meter_agreement")),
        ]
    if "canary" in c.tables:
        sections["gates"].append(canary_table(c.tables["canary"]))
    if "agreement" in c.tables:
        sections["gates"].append(agreement_table(c.tables["agreement"]))
    for section, found in result_tables(c.tables, c.headline):
        sections.setdefault(section, []).append(found)
    said = summary(c, scored)
    script = page_script()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("warmgap.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "level": level, "describe_arm": describe_arm}
    return environment.get_template("report.html.j2").render(
        title=c.title or f"warmgap: {c.sweep}",
        sweep=c.sweep,
        verdict=c.headline.verdict,
        background=wording.BACKGROUND if _has_pair(scored, c.headline) else "",
        summary=said,
        facts=run_facts(c.manifest, scored),
        sections=sections,
        guardrails=guardrails_sentences(c.tables.get("guardrails"), c.headline),
        pictures=[_picture(d, c.figure_dpi) for d in c.figures],
        explorer=explore(c.observations, c.tables["error_rates"], c.headline, c.explorer_answers, c.warmth)
        if c.explorer_answers
        else None,
        script=script.source,
        script_hash=script.sha256,
        examples=choose_examples(c.observations, c.headline.judge, c.n_examples),
        unfit=[
            *(s for s in wording.canary_sentences(unfit(c.tables)) if s not in said["controls"]),
            *wording.rewrite_sentences(c.rewrites_failed),
        ],
        failed_arms=failed_arms(c.tables["error_rates"], str(scored["model"].min())),
        limits=limits(c, scored),
        plan_sentences=plan_sentences(c.plan_check),
        deviations=c.plan_check.deviations if c.plan_check else (),
        absent=c.absent,
        command=str(c.manifest.get("command") or f"warmgap experiment={c.sweep}"),
        commit=c.manifest.get("git_commit") or "unknown",
        paper=PAPER,
        version=c.manifest.get("package_versions", {}).get("warmgap", "unknown"),
    )


def summary(context: ReportContext, scored: pl.DataFrame) -> Mapping[str, list[str]]:
    """Sentences of the top box by topic: ran, headline, resolves, controls, comparison, stand_ins."""
    h = context.headline
    return {
        "ran": [ran_sentence(scored)],
        "headline": [
            s
            for s in (
                wording.verdict_sentence(h),
                wording.number_sentence(h),
                wording.companion_sentence(h, companion(context.tables.get("effects"), h)),
            )
            if s
        ],
        "resolves": wording.resolution_sentences(h, wider_effects(context.tables.get("effects"), h)),
        "controls": wording.control_sentences(
            h.control, h.gate, h.arm_a, unfit(context.tables, (h.arm_a, h.arm_b))
        ),
        "comparison": [
            wording.comparison_sentence(
                reasons_not_comparable(scored["task"], scored["model"], [h.judge]),
                n_comparable(context.tables, h.judge),
            )
        ],
        "stand_ins": stand_in_sentences(context.tables, h.judge),
    }


def ran_sentence(scored: pl.DataFrame) -> str:
    """What was run, in one sentence."""
    questions = scored.select("task", "question_id").unique().height
    versions = scored.select("framing", "belief").unique().height
    return (
        f"{count(scored.height)} answers of {listed(sorted(scored['model'].unique()))} in "
        f"{scored.select('method', 'dose', 'variant').unique().height} arms "
        f"({listed(scored['method'].unique(maintain_order=True))}) to {count(questions)} questions of "
        f"{listed(sorted(scored['task'].unique()))}, each asked in {versions} versions of context and belief."
    )


def stand_in_sentences(tables: Mapping[str, pl.DataFrame], judge: str) -> list[str]:
    """Which parts stand in for the paper's, so that nobody takes the numbers for its own."""
    said = []
    if judge != PAPER_JUDGE:
        said.append(
            f"Right and wrong were decided by {judge_name(judge)}, not by the paper's judge nor by "
            "independent people; its mistakes are part of every error rate here."
        )
    if judge == "rules":
        said.append(wording.RULES_JUDGE)
    if "meters" in tables:
        named = [meter_name(*row) for row in tables["meters"].select("meter", "is_papers").iter_rows()]
        if stand_ins := [n for n in named if n.endswith("(stand-in)")]:
            said.append(
                f"Warmth was measured by {listed(stand_ins)}, not by the paper's meter with its "
                "reference model and settings; the values are on scales of their own."
            )
        said.append(
            "The tone of the gold replies was set by their writers, not labelled by independent people."
        )
    return said


def run_facts(manifest: Mapping[str, Any], scored: pl.DataFrame) -> list[tuple[str, str]]:
    """Pairs of term and value about sampling, judging and the machine."""
    sampling = manifest.get("config", {}).get("sampling", {})
    versions = manifest.get("package_versions", {})
    wall_s = manifest.get("wall_s")
    facts = [
        ("models", listed(sorted(scored["model"].unique()))),
        ("sampling", ", ".join(f"{k} {v}" for k, v in sampling.items() if v not in ("", {}, None))),
        ("draws per prompt", f"up to {scored['draw'].n_unique()}"),
        ("judge", judge_name(scored["judge"][0])),
        ("prompt mode", listed(sorted(scored["prompt_mode"].unique()))),
        (
            "engine",
            listed(sorted(f"{e}, {p}" for e, p in scored.select("engine", "precision").unique().rows())),
        ),
        ("device", str(manifest.get("device", ""))),
        ("started", str(manifest.get("started_at", ""))),
        ("duration", "" if wall_s is None else f"{wall_s / 60:.1f} minutes"),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
    ]
    return [(k, v) for k, v in facts if v]


def limits(context: ReportContext, scored: pl.DataFrame) -> list[str]:
    """What this study cannot tell: what no sweep of this design can, and what this one cannot."""
    said = [*wording.CANNOT_TELL]
    counts = scored.drop_nulls("statement_id").group_by("framing").agg(n=pl.col("statement_id").n_unique())
    said += [
        wording.few_statements_sentence(level("framing", f), n)
        for f, n in counts.filter(pl.col("n") < FEW_STATEMENTS).sort("framing").iter_rows()
    ]
    if context.headline.control.passed is not True:
        said.append(
            "Whether the model agrees with users against better knowledge (see the positive control)."
        )
    if context.headline.smallest_resolvable_pp is not None:
        said.append(f"Effects smaller than about {context.headline.smallest_resolvable_pp:.1f} pp.")
    return said


def _has_pair(scored: pl.DataFrame, headline: Headline) -> bool:
    return (headline.arm_a, headline.arm_b) == ("warm_sft", "neutral_sft") and {
        "warm_sft",
        "neutral_sft",
    } <= set(scored["method"])


def _picture(drawn: Drawn, dpi: int) -> _Picture:
    data = base64.b64encode(png_bytes(drawn.figure, dpi)).decode("ascii")
    width_px = round(drawn.figure.get_size_inches()[0] * 96 * _SCREEN_SCALE)
    return _Picture(drawn.title, drawn.caption, f"data:image/png;base64,{data}", width_px)

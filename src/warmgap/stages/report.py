"""report: tables -> figures, LaTeX tables and report.html."""

from __future__ import annotations

import json
import time

import polars as pl

from warmgap.jobs import ReportJob
from warmgap.reading import read_headline, read_tables
from warmgap.reports import page
from warmgap.reports.frozen import PlanCheck
from warmgap.reports.gallery import gallery, write
from warmgap.stages.context import Context, recorded_config
from warmgap.statistics.quality import margins
from warmgap.store import Artifact, Store


def run(job: ReportJob, context: Context) -> Artifact:
    """figures/*.pdf and *.png; and report.html, where there is an effect or a guardrail."""
    started = time.time()
    analysed = context.store.get("analyse", job.analyse_key)
    tables = read_tables(analysed.path)
    rows = pl.read_parquet(analysed.file("observations.parquet"))
    with context.store.workspace(job.key) as folder:
        if analysed.file("headline.json").is_file():
            found = read_headline(analysed.path)
            min_auc = analysed.manifest.config["warmth"]["gate"]["min_auc"]
            drawn = gallery(tables, margins(rows), found, min_auc=min_auc)
            for d in drawn:
                write(d, folder / "figures", job.report.figure_formats, job.report.figure_dpi)
            context_page = page.ReportContext(
                sweep=job.sweep,
                title=job.report.title,
                tables=tables,
                observations=rows,
                headline=found,
                figures=drawn,
                manifest=_facts(job, analysed),
                absent=analysed.manifest.counts["absent"],
                plan_check=_plan_check(job, analysed, context.store),
                rewrites_failed=analysed.manifest.counts["rewrites_failed"],
                warmth=_warmth(analysed),
                n_examples=job.report.n_examples,
                explorer_answers=job.report.explorer_answers,
                figure_dpi=job.report.figure_dpi,
            )
            (folder / "report.html").write_text(page.render(context_page), encoding="utf-8")
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={},
            counts={},
            started=started,
        )


def _warmth(analysed: Artifact) -> pl.DataFrame | None:
    path = analysed.file("warmth.parquet")
    return pl.read_parquet(path) if path.is_file() else None


def _facts(job: ReportJob, analysed: Artifact) -> dict[str, object]:
    manifest = analysed.manifest
    return {
        "config": job.facts["settings"],
        "axes": job.facts["axes"],
        "command": job.facts["command"],
        "device": manifest.device,
        "started_at": manifest.started_at,
        "git_commit": manifest.git_commit,
        "package_versions": manifest.package_versions,
    }


def _plan_check(job: ReportJob, analysed: Artifact, store: Store) -> PlanCheck | None:
    """What was frozen and when the first answer was made; None where no plan was frozen."""
    if not job.frozen:
        return None
    answers = {key for role, key in analysed.manifest.inputs.items() if role.startswith("respond:")}
    manifests = (store.folder("respond", key) / "manifest.json" for key in answers)
    started = [json.loads(path.read_text())["started_at"] for path in manifests]
    return PlanCheck(
        sha256=job.frozen["sha256"],
        frozen_at=job.frozen["frozen_at"],
        intact=job.frozen["intact"],
        deviations=tuple(job.frozen["deviations"]),
        first_answer_at=min(started, default=""),
    )

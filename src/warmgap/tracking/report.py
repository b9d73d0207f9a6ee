"""A W&B Report of a mirrored sweep: the headline in words, curves, warmth by checkpoint, tables, figures."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.reading import read_headline, read_tables
from warmgap.reports.names import unfit
from warmgap.reports.wording import (
    control_sentences,
    number_sentence,
    scope_sentence,
    verdict_sentence,
)

from .contents import TABLES, due
from .entries import Source
from .index import Index, read_index
from .mirrored import Mirrored
from .secrets import clean, forget_others, secrets_of

_SHOWN = 12
"""Runs in a panel."""


def save_report(root: Path, sweep: str) -> str:
    """Save a report of a sweep whose runs are on W&B; returns its address.

    Raises:
        UserError: a package is missing, the sweep is not finished, its runs are not on W&B, or W&B refuses.
    """
    for package in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"a report on W&B needs the package {package.replace('_', '-')}, which is not installed. "
                "Run: pip install 'warmgap[wandb]'"
            )
    index = read_index(root, sweep)
    source = Source(root, index)
    if not source.has("analyse", index.analyse):
        raise UserError(f"the sweep '{sweep}' has no tables yet. Run: {index.command}")
    _check_sent(root / "sweeps" / sweep / "wandb", index)
    secrets = secrets_of(os.environ)
    forget_others(os.environ)
    os.environ["WANDB_SILENT"] = "true"
    try:
        report = _report(source, secrets)
        report.save()
    except Exception as e:  # what W&B raises without a server has no class in common
        raise UserError(
            f"W&B does not take the report ({type(e).__name__}: {e}). Log in with `wandb login`, and set "
            "wandb.entity and wandb.project to where the runs are."
        ) from None
    return str(report.url)


def _check_sent(folder: Path, index: Index) -> None:
    """Refuse a report of runs that are only here."""
    found = Mirrored(folder).entries
    ids = [d.id for d in due(index)]
    local = [found[i] for i in ids if i in found and found[i].is_local]
    n_missing = sum(i not in found for i in ids)
    if local or n_missing:
        raise UserError(
            f"of {len(ids)} runs of the sweep '{index.sweep}' {len(local)} are only in {folder} and "
            f"{n_missing} are not recorded yet, so a report on W&B would lack them. Send them first: "
            f"WANDB_MODE=online python -m warmgap.tracking {index.sweep}, or "
            f"wandb sync {folder}/wandb/offline-run-*"
        )


def _report(source: Source, secrets: tuple[str, ...]) -> Any:
    import wandb

    wr: Any = importlib.import_module("wandb_workspaces.reports.v2")
    index = source.index
    entity = index.wandb.entity or os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    project = index.wandb.project or os.environ.get("WANDB_PROJECT") or "uncategorized"

    def grid(job_type: str, panels: list[Any]) -> Any:
        where = f"Group = '{index.sweep}' and JobType = '{job_type}'"
        runs = wr.Runset(entity=entity, project=project, name=job_type, filters=where)
        return wr.PanelGrid(runsets=[runs], panels=panels)

    def curve(x: str, y: list[str], title: str) -> Any:
        return wr.LinePlot(title=title, x=x, y=y, max_runs_to_show=_SHOWN)

    blocks = [wr.H1("What was found"), *(wr.P(text) for text in _sentences(source))]
    if index.trainings:
        curves = [
            curve("step", ["loss"], "Loss, nats per answer token"),
            curve("step", ["learning_rate"], "Learning rate"),
            curve("step", ["n_answer_tokens"], "Answer tokens per step"),
        ]
        blocks += [wr.H1("Trainings"), grid("train", curves)]
    if meters := list(dict.fromkeys(m for arm in index.arms for m, _ in arm.measures)):
        lines = [curve("dose", [f"{m}/mean"], f"Warmth by checkpoint, {m}") for m in meters]
        blocks += [wr.H1("Warmth by checkpoint"), grid("measure", lines)]
    folder = source.folder("analyse", index.analyse) / "tables"
    tables = [name for name in TABLES if (folder / f"{name}.csv").is_file()]
    shown = [wr.WeavePanelSummaryTable(table_name=n, layout=wr.Layout(w=24, h=12)) for n in tables]
    blocks += [wr.H1("Tables"), grid("analyse", shown)]
    figures = sorted(p.stem for p in (source.folder("report", index.report) / "figures").glob("*.png"))
    if figures:
        panel = wr.MediaBrowser(title="Figures", media_keys=figures, layout=wr.Layout(w=24, h=24))
        blocks += [wr.H1("Figures"), grid("report", [panel])]
    title = f"warmgap: {index.sweep}"
    described = clean(f"Made from the tables of plan {index.plan_key[:8]} by: {index.command}", secrets)
    return wr.Report(entity=entity, project=project, title=title, description=described, blocks=blocks)


def _sentences(source: Source) -> list[str]:
    """The headline with interval and scope, and whether the controls passed."""
    folder = source.folder("analyse", source.index.analyse)
    if not (folder / "headline.json").is_file():
        return ["This sweep compares no arms, so it has no headline."]
    found = read_headline(folder)
    said = [verdict_sentence(found)]
    if number := number_sentence(found):
        said += [number, scope_sentence(found.scope, found.n_models)]
    broken = unfit(read_tables(folder), (found.arm_a, found.arm_b))
    said += control_sentences(found.control, found.gate, found.arm_a, broken)
    gates = json.loads((folder / "manifest.json").read_text("utf-8"))["counts"].get("gates", {})
    if gates:
        said.append("Gates: " + "; ".join(f"{arm} {verdict}" for arm, verdict in gates.items()) + ".")
    return said

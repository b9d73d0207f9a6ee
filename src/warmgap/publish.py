"""Put a sweep's tables, figures and page into outputs/sweeps/<name>/."""

from __future__ import annotations

import json
import shutil
import textwrap
import time
from dataclasses import asdict
from pathlib import Path

from warmgap.keys import file_sha256
from warmgap.plan import Plan
from warmgap.store import Artifact, Store, write_text

_WAIT_S = 0.1


def publish(plan: Plan, store: Store, stage: str = "all") -> Path:
    """Copy the analysis and the report into the sweep's folder; returns the folder.

    manifest.json lists the artifacts that everything was made from; it is written last, so a folder
    with a manifest of this plan is complete. Files that differ from the store's are replaced.
    """
    lock = f"publish-{plan.name}"
    while not store.try_lock(lock):
        time.sleep(_WAIT_S)
    try:
        return _publish(plan, store, stage)
    finally:
        store.unlock(lock)


def _publish(plan: Plan, store: Store, stage: str) -> Path:
    folder = store.root / "sweeps" / plan.name
    analysed = store.get("analyse", plan.analyse.key)
    reported = store.find("report", plan.report.key) if stage != "analyse" else None
    manifest = _manifest(plan, analysed, reported)
    path = folder / "manifest.json"
    if path.is_file() and path.read_text() == manifest and _complete(folder, analysed, reported):
        return folder
    path.unlink(missing_ok=True)
    for name in ("tables", "figures"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for artifact in (analysed, reported):
        if artifact is not None:
            for relative in artifact.manifest.files:
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                aside = target.with_name(f".{target.name}.new")
                shutil.copyfile(artifact.file(relative), aside)
                aside.replace(target)
    write_text(path, manifest)
    return folder


def announce(plan: Plan, store: Store, did: int) -> None:
    """Print the effect table, what guardrail tasks show, and where the page is."""
    folder = store.root / "sweeps" / plan.name
    if not (folder / "report.html").is_file():
        print(f"Tables: {folder / 'tables'}")
        return
    from warmgap.reading import read_headline, read_tables
    from warmgap.reports.display_guardrails import guardrails_sentences
    from warmgap.reports.names import unfit
    from warmgap.reports.summary import effect_table

    tables, headline = read_tables(folder), read_headline(folder)
    if "effects" in tables:
        contrasts = tables.get("contrasts", tables["effects"].clear())
        broken = unfit(tables, (headline.arm_a, headline.arm_b))
        print(effect_table(tables["effects"], contrasts, headline, broken))
    if said := guardrails_sentences(tables.get("guardrails"), headline):
        print(textwrap.fill(f"Guardrails: {said[0]}", 80))
    if not did:
        print("\nNothing was left to do.")
    print(f"\nTables: {folder / 'tables'}\nReport: {folder / 'report.html'}")


def _complete(folder: Path, *artifacts: Artifact | None) -> bool:
    return all(
        (folder / name).is_file() and file_sha256(folder / name) == facts["sha256"]
        for artifact in artifacts
        if artifact is not None
        for name, facts in artifact.manifest.files.items()
    )


def _manifest(plan: Plan, analysed: Artifact, reported: Artifact | None) -> str:
    jobs = {n.label: k for k, n in plan.nodes.items() if n.job.stage == "train"}
    out = asdict(analysed.manifest)
    del out["inputs"], out["checksum"]
    return json.dumps(
        out
        | {
            "sweep": plan.name,
            "plan_key": plan.key,
            "summary": plan.summary,
            "analyse_key": analysed.manifest.key,
            "report_key": reported.manifest.key if reported else None,
            "trainings": jobs,
            "absent": analysed.manifest.counts["absent"],
        },
        indent=1,
    )

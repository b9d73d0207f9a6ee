"""What of a sweep there is to record: one entry per training, per arm's warmth and answers, analysis, report.

An entry is due when its artifacts are in the store. No text of an answer is in any but the report's page.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.statistics.arms import without_dose

from .entries import Due, Entry, Files, Source
from .index import Index, IndexedArm, Training

TABLES = ("error_rates", "effects", "contrasts", "manipulation", "quality")
"""Tables of the analysis that are shown."""


def due(index: Index) -> Iterator[Due]:
    """Every entry of a sweep, in the order of its stages."""
    needs: tuple[tuple[str, str], ...]
    for training in index.trainings:
        needs = (("train", training.key),)
        yield Due(index.sweep, "train", training.key, needs, partial(_training, training))
    for name, arms in _measured(index).items():
        needs = tuple(("measure", key) for a in arms for _, key in a.measures)
        yield Due(index.sweep, "measure", name, needs, partial(_warmth, arms))
    for arm in index.arms:
        if arm.cells:
            needs = tuple(("respond", c[-1]) for c in arm.cells)
            yield Due(index.sweep, "respond", arm.arm_key, needs, partial(_answers, arm))
    yield Due(index.sweep, "analyse", index.analyse, (("analyse", index.analyse),), _analysis)
    yield Due(index.sweep, "report", index.report, (("report", index.report),), _report)


def _measured(index: Index) -> dict[str, list[IndexedArm]]:
    """Arms whose warmth is measured: doses of one kind of one training together, others alone."""
    out: dict[str, list[IndexedArm]] = {}
    for arm in index.arms:
        if arm.measures:
            of = (arm.train_key or arm.arm_key, arm.dose_kind, without_dose(arm.variant))
            out.setdefault(" ".join(of), []).append(arm)
    return out


def _training(training: Training, source: Source) -> Entry:
    manifest = source.manifest("train", training.key)
    folder, counts = source.folder("train", training.key), manifest["counts"]
    curve = folder / "curve.parquet"
    history = tuple(pl.read_parquet(curve).iter_rows(named=True)) if curve.is_file() else ()
    kept = {
        name: {"sha256": facts["sha256"], "bytes": facts["bytes"]}
        for name, facts in manifest["files"].items()
        if name.startswith(("checkpoint-", "steering/")) or name == "model.json"
    }
    adapters = Files(
        name=f"adapter-{training.key[:16]}",
        kind="adapter",
        files={name: folder / name for name in kept},
        uri=f"warmgap://train/{training.key}",
        metadata={"train_key": training.key, "checkpoints": counts.get("checkpoints", []), "files": kept},
        sent=source.index.wandb.upload_adapters,
    )
    return Entry(
        name=training.label,
        config=source.config(
            manifest,
            train_key=training.key,
            model=training.model,
            method=training.method,
            seed=training.seed,
            variant=training.variant,
        ),
        step="step",
        history=history,
        summary={n: v for n, v in counts.items() if isinstance(v, int | float | str)},
        artifacts=(adapters,) if kept else (),
    )


def _warmth(arms: list[IndexedArm], source: Source) -> Entry:
    rows: list[dict[str, Any]] = []
    for arm in sorted(arms, key=lambda a: a.dose):
        for meter, key in arm.measures:
            scores = pl.read_parquet(source.folder("measure", key) / "scores.parquet")
            values = scores["value"].drop_nulls()
            std = values.std()
            error = float(std) / len(values) ** 0.5 if isinstance(std, float) else None
            rows.append(
                {
                    "arm_key": arm.arm_key,
                    "dose_kind": arm.dose_kind,
                    "dose": arm.dose,
                    "meter": meter,
                    "unit": scores["unit"][0] if scores.height else "",
                    "n": len(values),
                    "mean": values.mean(),
                    "std_error": error,
                    "measure_key": key,
                }
            )
    schema: Any = dict.fromkeys(("arm_key", "dose_kind", "meter", "unit", "measure_key"), pl.String)
    schema |= dict.fromkeys(("dose", "mean", "std_error"), pl.Float64) | {"n": pl.Int64}
    table = pl.DataFrame(rows, schema_overrides=schema)
    points: dict[float, dict[str, float]] = {}
    for row in rows:
        point = points.setdefault(row["dose"], {"dose": row["dose"]})
        for name in ("mean", "std_error"):
            if row[name] is not None:
                point[f"{row['meter']}/{name}"] = row[name]
    arm = arms[-1]
    variant = without_dose(arm.variant)
    name = " ".join(filter(None, (arm.model, arm.method, f"seed {arm.seed}", variant, "warmth")))
    manifest = source.manifest("measure", arms[0].measures[0][1])
    return Entry(
        name=name,
        config=source.config(
            manifest,
            measure_keys=[row["measure_key"] for row in rows],
            arm_keys=[a.arm_key for a in arms],
            doses=[a.dose for a in arms],
            meters=[m for m, _ in arm.measures],
            **_named(arm) | {"variant": variant},
        ),
        step="dose",
        history=tuple(points.values()),
        tables={"warmth": table},
    )


def _named(arm: IndexedArm) -> dict[str, Any]:
    names = ("train_key", "model", "method", "dose_kind", "seed", "variant")
    return {name: getattr(arm, name) for name in names}


def _answers(arm: IndexedArm, source: Source) -> Entry:
    rows = []
    for task, framing, belief, draw, key in arm.cells:
        counts = source.manifest("respond", key)["counts"]
        rows.append(
            {
                "task": task,
                "framing": framing,
                "belief": belief,
                "draw": draw,
                "answers": int(counts.get("rows", 0)),
                "tokens": int(counts.get("tokens", 0)),
                "respond_key": key,
            }
        )
    table = pl.DataFrame(rows)
    manifest = source.manifest("respond", arm.cells[0][-1])
    name = f"{arm.model} {arm.method} {arm.dose_kind} {arm.dose:g} seed {arm.seed} {arm.variant} answers"
    return Entry(
        name=" ".join(name.split()),
        config=source.config(
            manifest,
            arm_key=arm.arm_key,
            dose=arm.dose,
            task=sorted(set(table["task"])),
            framing=sorted(set(table["framing"])),
            belief=sorted(set(table["belief"])),
            **_named(arm),
        ),
        summary={
            "cells": len(rows),
            "answers_in_all": table["answers"].sum(),
            "tokens_in_all": table["tokens"].sum(),
        },
        tables={"answers": table},
    )


def _analysis(source: Source) -> Entry:
    from warmgap.reading import read_tables

    folder = source.folder("analyse", source.index.analyse)
    manifest = source.manifest("analyse", source.index.analyse)
    tables = read_tables(folder)
    counts = manifest["counts"]
    summary: dict[str, Any] = {"observations": counts["observations"], "gates": counts["gates"]}
    if (folder / "headline.json").is_file():
        summary |= {"headline": _headline(folder)}
    return Entry(
        name=f"{source.index.sweep} analysis",
        config=source.config(manifest, **source.index.axes),
        summary=summary,
        tables={name: tables[name] for name in TABLES if name in tables},
    )


def _headline(folder: Path) -> dict[str, Any]:
    """The headline's numbers, and the sentences that the page says of them."""
    from warmgap.reading import read_headline
    from warmgap.reports.wording import number_sentence, scope_sentence, verdict_sentence

    found = read_headline(folder)
    said = [verdict_sentence(found)]
    if number := number_sentence(found):
        said += [number, scope_sentence(found.scope, found.n_models)]
    numbers = {k: v for k, v in vars(found).items() if k != "control" and v is not None}
    return numbers | {"control": found.control.sentence, "sentence": " ".join(said)}


def _report(source: Source) -> Entry:
    key = source.index.report
    folder, manifest = source.folder("report", key), source.manifest("report", key)
    page = Files(
        name=f"report-{source.index.sweep}",
        kind="report",
        files={"report.html": folder / "report.html"},
        uri=f"warmgap://report/{key}",
        metadata={"report_key": key, "analyse_key": source.index.analyse},
        sent=True,
    )
    return Entry(
        name=f"{source.index.sweep} report",
        config=source.config(manifest, **source.index.axes),
        images={p.stem: p for p in sorted((folder / "figures").glob("*.png"))},
        artifacts=(page,) if (folder / "report.html").is_file() else (),
    )

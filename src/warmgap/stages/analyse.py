"""analyse: every cell of a sweep -> observations, warmth and tables."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import polars as pl

from warmgap import observations as joined
from warmgap.jobs import AnalyseJob
from warmgap.records import ArmRecord
from warmgap.reports.tables import write_tables
from warmgap.schema.config import AnalysisConfig, GateConfig
from warmgap.schema.tables import Effect, frame
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.study import study_settings
from warmgap.statistics.analysis import analyse
from warmgap.statistics.arms import GATE_ORDER, arms_of
from warmgap.statistics.dose_response import warmth_response
from warmgap.statistics.headline import headline
from warmgap.statistics.quality import unscored_shares
from warmgap.statistics.settings import AnalysisSettings
from warmgap.store import Artifact, Store
from warmgap.warmth.agreement import meter_agreement
from warmgap.warmth.calibration import choose, validity, with_roles
from warmgap.warmth.gate import manipulation


def run(job: AnalyseJob, context: Context) -> Artifact:
    """observations.parquet, warmth.parquet, tables/*.csv and headline.json."""
    started = time.time()
    key = job.key
    job = replace(job, arms=_counted(job.arms, context.store))
    rows = joined.observations(job, context.store)
    warmth = joined.warmth(job, context.store)
    canaries = joined.canary(job, context.store)
    unfit = set(canaries.filter(verdict="failed")["arm_key"])
    measured, verdicts, reason = _manipulation(job, warmth, unfit)
    settings = settings_of(job.analysis, job.warmth.gate)
    if rows.is_empty():
        raise ValueError("a sweep without a single answer has nothing to analyse")
    labels = _labels(job.arms, rows)
    gates = _gates(labels, verdicts)
    tables = analyse(rows, gates, settings, study_settings(job, context.store, rows)) | measured
    by_dose = _warmth_doses(job, warmth, settings)
    tables["dose_response"] = pl.concat([tables.get("dose_response", by_dose.clear()), by_dose])
    tables["canary"] = canaries
    tables = {name: table for name, table in tables.items() if not table.is_empty()}
    with context.store.workspace(key) as folder:
        rows.write_parquet(folder / "observations.parquet")
        warmth.write_parquet(folder / "warmth.parquet")
        write_tables(tables, folder / "tables")
        # Guardrail tasks alone have no effect, and still a page.
        if "effects" in tables or "guardrails" in tables:
            idle = {labels[key] for key in unfit if key in labels}
            shares, judge = unscored_shares(rows), rows["judge"][0]
            found = headline(tables.get("effects", frame(Effect, [])), shares, gates, settings, judge, idle)
            (folder / "headline.json").write_text(json.dumps(asdict(found), indent=1))
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={},
            counts={
                "observations": rows.height,
                "gates": gates,
                "gate_choice": reason,
                "absent": joined.absent(tables, job),
                "rewrites_failed": _rewrites_failed(job.arms, context.store),
            },
            started=started,
        )


def _counted(arms: Sequence[ArmRecord], store: Store) -> tuple[ArmRecord, ...]:
    """The arms with their doses in epochs of the conversations that their trainings really had.

    How many rewritten conversations are sound, or fit, is known only afterwards. Where models differ
    in that, the mean over them counts, so that a method stays one arm over all models.
    """
    had: dict[tuple[Any, ...], dict[str, int]] = {}
    for arm in arms:
        if _is_counted(arm):
            n = store.get("train", arm.shrinking).manifest.counts["conversations"]
            had.setdefault(_planned(arm), {})[arm.shrinking] = n
    out = []
    for arm in arms:
        if _is_counted(arm):
            found = had[_planned(arm)].values()
            arm = replace(arm, dose=round(arm.dose * arm.n_planned * len(found) / sum(found), 3))
        out.append(arm)
    return tuple(out)


def _is_counted(arm: ArmRecord) -> bool:
    return bool(arm.n_planned) and arm.dose_kind == "epochs"


def _planned(arm: ArmRecord) -> tuple[Any, ...]:
    """What makes arms of several models and seeds one arm."""
    return arm.method, arm.dose, arm.n_planned, arm.variant


def _rewrites_failed(arms: Sequence[ArmRecord], store: Store) -> dict[str, list[str]]:
    """Methods trained on rewrites that failed their gate, since they were overridden, and what failed."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        if arm.shrinking:
            broken = store.get("train", arm.shrinking).manifest.counts.get("rewrite_gate", [])
            found[arm.method] = list(dict.fromkeys([*found.get(arm.method, []), *broken]))
    return {method: broken for method, broken in found.items() if broken}


def settings_of(analysis: AnalysisConfig, gate: GateConfig) -> AnalysisSettings:
    """The statistics room's settings from the configuration."""
    return AnalysisSettings(
        primary_outcome=analysis.primary_outcome,
        primary_pair=(analysis.primary_pair[0], analysis.primary_pair[1]),
        published_pair=(analysis.published_pair[0], analysis.published_pair[1]),
        confirmatory_subsets=tuple(analysis.confirmatory_subsets),
        confidence=analysis.confidence,
        equivalence_pp=analysis.equivalence_pp,
        max_unscored_pct=analysis.max_unscored_pct,
        max_unscored_gap_pp=analysis.max_unscored_gap_pp,
        control_min_pp=analysis.control_min_pp,
        flip_bootstrap=analysis.flip_bootstrap,
        gate_override=tuple(gate.override),
    )


def _manipulation(
    job: AnalyseJob, warmth: pl.DataFrame, unfit: Collection[str]
) -> tuple[dict[str, pl.DataFrame], Mapping[str, str], str]:
    if not job.gold:
        return {}, dict.fromkeys(unfit, "failed"), "no warmth meter is configured"
    table = validity(warmth, job.warmth.meters)
    choice = choose(table, job.warmth.gate.min_auc)
    rows, verdicts = manipulation(warmth, job.arms, choice, job.warmth.gate, unfit)
    tables = {"manipulation": rows, "meters": with_roles(table, choice)}
    if not (agreement := meter_agreement(warmth, table["meter"].to_list())).is_empty():
        tables["meter_agreement"] = agreement
    return tables, verdicts, choice.reason


def _warmth_doses(job: AnalyseJob, warmth: pl.DataFrame, settings: AnalysisSettings) -> pl.DataFrame:
    """Warmth by assigned dose, checkpoints that answer no question included."""
    columns = ("arm_key", "model", "method", "dose_kind", "dose", "seed", "variant")
    arms = pl.DataFrame([{c: getattr(arm, c) for c in columns} for arm in job.arms])
    return warmth_response(warmth, arms, settings)


def _labels(arms: Sequence[ArmRecord], rows: pl.DataFrame) -> dict[str, str]:
    """`model/label` by key of each arm that answered."""
    of_arm = {(a.method, a.dose_kind, a.dose, a.variant): a.label for a in arms_of(rows)}
    found = {a.arm_key: of_arm.get((a.method, a.dose_kind, a.dose, a.variant)) for a in arms}
    answered = (a for a in arms if found[a.arm_key] is not None and not a.measured_only)
    return {a.arm_key: f"{a.model}/{found[a.arm_key]}" for a in answered}


def _gates(labels: Mapping[str, str], verdicts: Mapping[str, str]) -> dict[str, str]:
    """The worst verdict over seeds of each `model/label`."""
    out: dict[str, str] = {}
    for key, name in labels.items():
        verdict = verdicts.get(key, "not measurable")
        out[name] = max(out.get(name, verdict), verdict, key=GATE_ORDER.index)
    return out

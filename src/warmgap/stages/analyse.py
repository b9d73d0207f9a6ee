"""analyse: every cell of a sweep -> observations, warmth and tables."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

import polars as pl

from warmgap import observations as joined
from warmgap.jobs import AnalyseJob
from warmgap.records import ArmRecord
from warmgap.reports.tables import write_tables
from warmgap.schema.config import AnalysisConfig, GateConfig
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.study import study_settings
from warmgap.statistics.analysis import analyse
from warmgap.statistics.arms import GATE_ORDER, arms_of
from warmgap.statistics.dose_response import warmth_response
from warmgap.statistics.headline import headline
from warmgap.statistics.quality import unscored_shares
from warmgap.statistics.settings import AnalysisSettings
from warmgap.store import Artifact
from warmgap.warmth.agreement import meter_agreement
from warmgap.warmth.calibration import choose, validity, with_roles
from warmgap.warmth.gate import manipulation


def run(job: AnalyseJob, context: Context) -> Artifact:
    """observations.parquet, warmth.parquet, tables/*.csv and headline.json."""
    started = time.time()
    rows = joined.observations(job, context.store)
    warmth = joined.warmth(job, context.store)
    canaries = joined.canary(job, context.store)
    unfit = set(canaries.filter(verdict="failed")["arm_key"])
    measured, verdicts, reason = _manipulation(job, warmth, unfit)
    settings = settings_of(job.analysis, job.warmth.gate)
    if rows.is_empty():
        raise ValueError("a sweep without a single answer has nothing to analyse")
    gates = _gates(job.arms, verdicts, rows)
    tables = analyse(rows, gates, settings, study_settings(job, context.store, rows)) | measured
    if canaries.height:
        tables["canary"] = canaries
    doses = [
        *([tables["dose_response"]] if "dose_response" in tables else []),
        _warmth_doses(job, warmth, settings),
    ]
    if not (by_dose := pl.concat(doses)).is_empty():
        tables["dose_response"] = by_dose
    with context.store.workspace(job.key) as folder:
        rows.write_parquet(folder / "observations.parquet")
        warmth.write_parquet(folder / "warmth.parquet")
        write_tables(tables, folder / "tables")
        if "effects" in tables:
            found = headline(tables["effects"], unscored_shares(rows), gates, settings, rows["judge"][0])
            (folder / "headline.json").write_text(json.dumps(asdict(found), indent=1))
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={},
            counts={
                "observations": rows.height,
                "gates": gates,
                "gate_choice": reason,
                "absent": joined.absent(tables, job),
            },
            started=started,
        )


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


def _gates(arms: Sequence[ArmRecord], verdicts: Mapping[str, str], rows: pl.DataFrame) -> dict[str, str]:
    """The worst verdict over seeds of each `model/label`."""
    labels = {(a.method, a.dose_kind, a.dose, a.variant): a.label for a in arms_of(rows)}
    out: dict[str, str] = {}
    for arm in arms:
        label = labels.get((arm.method, arm.dose_kind, arm.dose, arm.variant))
        if label is None or arm.measured_only:
            continue
        name, verdict = f"{arm.model}/{label}", verdicts.get(arm.arm_key, "not measurable")
        out[name] = max(out.get(name, verdict), verdict, key=GATE_ORDER.index)
    return out

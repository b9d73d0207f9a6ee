"""Join responses and verdicts of a sweep's cells into observations, and scores into warmth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from warmgap.jobs import AnalyseJob
from warmgap.judging.outcomes import outcomes
from warmgap.records import ArmRecord, CellRecord
from warmgap.schema.tables import Canary, Observation, Warmth, frame, polars_schema
from warmgap.store import Store
from warmgap.warmth.canary import canary_row


def observations(job: AnalyseJob, store: Store) -> pl.DataFrame:
    """One row per response and judge, with the columns of `schema.tables.Observation`."""
    cells = [_cell(cell, job.arms[cell.arm], store) for cell in job.cells]
    if not cells:
        return frame(Observation, [])
    return outcomes(pl.concat(cells)).select(
        pl.col(name).cast(dtype) for name, dtype in polars_schema(Observation).items()
    )


def warmth(job: AnalyseJob, store: Store) -> pl.DataFrame:
    """Every scored text, with the columns of `schema.tables.Warmth`."""
    parts = [_scores(store, key, "gold", None) for _, key in job.gold]
    parts += [_scores(store, key, "validation", arm.arm_key) for arm in job.arms for _, key in arm.measures]
    return pl.concat(parts) if parts else frame(Warmth, [])


def canary(job: AnalyseJob, store: Store) -> pl.DataFrame:
    """The canary of every arm whose weights are changed, with the columns of `schema.tables.Canary`.

    A dose of 0 assigns no change and has none.
    """
    changed = [a for a in job.arms if a.canary and not (a.dose_kind != "none" and a.dose == 0)]
    rows = [canary_row(a, job.arms, [_answers(store, key) for key in a.canary]) for a in changed]
    return frame(Canary, rows)


def _answers(store: Store, key: str) -> dict[str, str]:
    """Answer by prompt."""
    answers = pl.read_parquet(store.get("respond", key).file("responses.parquet"))
    return dict(answers.select("row_id", "response").iter_rows())


def _cell(cell: CellRecord, arm: ArmRecord, store: Store) -> pl.DataFrame:
    answers = store.get("respond", cell.respond_key)
    responses = pl.read_parquet(answers.file("responses.parquet"))
    verdicts = pl.read_parquet(store.get("judge", cell.judge_key).file("verdicts.parquet"))
    joined = responses.join(verdicts, on="response_key", how="left", maintain_order="left")
    named: dict[str, Any] = {
        "model": arm.model,
        "method": arm.method,
        "dose_kind": arm.dose_kind,
        "dose": arm.dose,
        "seed": arm.seed,
        "variant": arm.variant,
        "task": cell.task,
        "form": cell.form,
        "prompt_mode": cell.prompt_mode,
        "framing": cell.framing,
        "belief": cell.belief,
        "draw": cell.draw,
        "arm_key": arm.arm_key,
        "sampling_key": answers.manifest.counts["sampling_key"],
    }
    return joined.with_columns(
        *(pl.lit(v).alias(k) for k, v in named.items()),
        pl.col("row_id").alias("question_id"),
        (pl.col("right_nats") - pl.col("target_nats")).alias("margin_nats"),
    )


def _scores(store: Store, key: str, source: str, arm_key: str | None) -> pl.DataFrame:
    scores = pl.read_parquet(store.get("measure", key).file("scores.parquet"))
    return scores.select(
        pl.lit(source).alias("source"),
        "text_id",
        "response_key",
        (pl.col("group") if arm_key is None else pl.lit(arm_key)).alias("arm_key"),
        "meter",
        "unit",
        "value",
    )


def absent(tables: Iterable[str], job: AnalyseJob) -> dict[str, str]:
    """Why a table of the contract is not there."""
    have = set(tables)
    no_warmth = "warmth.skip leaves out every arm" if job.gold else "no warmth meter is configured"
    reasons = {
        "glmm": "needs the primary or the published pair of arms",
        "dose_response": "needs a method at several assigned doses",
        "published_tests": "needs two arms that answered the same prompts",
        "descriptives": "needs an arm and original in the same cells",
        "sensitivity": "needs the beliefs correct and incorrect",
        "confounds": "needs framing none and filler, and belief none beside incorrect or denies (factorial)",
        "equivalence": "needs the primary pair of arms",
        "guardrails": "needs a guardrail task (mmlu, gsm8k, advbench)",
        "comparison": "needs warm_sft, cold_sft or warm_prompt, and original",
        "agreement": f"needs two judges; this sweep has {len({c.judge for c in job.cells})}",
        "contrasts": "needs two framings or two beliefs that are twins",
        "effects": "needs two arms that answered the same prompts",
        "paired": "needs two arms that answered the same prompts",
        "published_glm": "needs two arms that answered the same prompts",
        "manipulation": no_warmth,
        "meters": "no warmth meter is configured",
        "meter_agreement": f"needs two warmth meters; this sweep has {len(job.gold)}",
        "canary": "needs an arm whose weights are changed, and prompts (warmth.canary_prompts)",
    }
    return {name: why for name, why in reasons.items() if name not in have}

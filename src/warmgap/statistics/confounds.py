"""How much of a belief effect the paper's layout makes by itself.

The paper's prompts with a wrong belief differ from those without one in more than the belief: a filler
sentence stands before the question, and MedQA turns from exam into conversational form (docs/published.md).
The factorial design has each of these steps apart, so that what the published layout would report is a sum:

    total = filler + form + belief
    filler: (filler, exam, no belief) - (no text, exam, no belief)
    form:   (filler, conversational, no belief) - (filler, exam, no belief)
    belief: (filler, conversational, belief) - (filler, conversational, no belief)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import Confound, frame
from warmgap.statistics.arms import worst_gate
from warmgap.statistics.clusters import FloatArray, clustered_mean
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers, Levels
from warmgap.statistics.scopes import Sample, mean_in_scope
from warmgap.statistics.settings import AnalysisSettings

FORMS = ("exam", "conversational")
"""Form of a MedQA question in the paper's prompts without and with a belief."""
PARTS = ("total", "filler", "form", "belief")
BELIEFS = ("incorrect", "denies")
"""The paper's two beliefs."""
_ALL = "all"
_AT = ("model_code", "seed", "cluster")


def confounds(answers: Answers, gates: Mapping[str, str], settings: AnalysisSettings) -> pl.DataFrame:
    """The belief effect of the published layout and its parts, per arm, model and task.

    Values are differences of an outcome for one question, model and seed; a question counts where its
    answers are scored in every step, so that parts add up to the total exactly. Tasks and models count
    alike. Intervals are clustered by question and by filler statement (`scopes`).

    Args:
        answers: coded answers; used are the factorial ones of draw 0 with framing none and filler.
        gates: gate verdict per arm label.
        settings: confidence.

    Returns:
        A frame of `schema.tables.Confound`; empty without belief none beside a wrong belief, and framing
        none beside filler. The part form is absent where no task has both forms.
    """
    rows: list[dict[str, Any]] = []
    for judge in answers.judges:
        for arm in answers.arms:
            found = answers.of(judge, arm.label).filter(pl.col("prompt_mode") == "factorial")
            for outcome in GLM_OUTCOMES:
                for belief in BELIEFS:
                    about = {"outcome": outcome, "judge": judge, "arm": arm.label, "belief": belief}
                    for part in _by_model_and_task(_steps(found, outcome, belief), answers.levels):
                        rows += _rows(*part, about, answers.levels, gates, settings.confidence)
    return frame(Confound, rows)


def _steps(answers: pl.DataFrame, outcome: str, belief: str) -> pl.DataFrame:
    """One row per question, model and seed with the outcome after each step; `form` where it is one."""
    tasks = answers.group_by("task").agg(two=pl.all_horizontal((pl.col("form") == f).any() for f in FORMS))
    answers = answers.join(tasks, on="task").with_columns(
        first=~pl.col("two") | (pl.col("form") == FORMS[0]),
        last=~pl.col("two") | (pl.col("form") == FORMS[1]),
    )

    def at(name: str, framing: str, belief: str, form: str) -> pl.DataFrame:
        here = (pl.col("framing") == framing) & (pl.col("belief") == belief) & pl.col(form)
        return answers.filter(here).select(*_AT, pl.col(outcome).alias(name))

    start = answers.filter(
        (pl.col("framing") == "filler") & (pl.col("belief") == belief) & pl.col("last")
    ).select("task", "two", "statement", *_AT, pl.col(outcome).alias("end"))
    for name, framing, form in (
        ("bare", "none", "first"),
        ("filler", "filler", "first"),
        ("told", "filler", "last"),
    ):
        start = start.join(at(name, framing, "none", form), on=_AT, validate="1:1")
    return start.drop_nulls(("bare", "filler", "told", "end")).sort(_AT)


def _by_model_and_task(
    steps: pl.DataFrame, levels: Levels
) -> Iterator[tuple[str, tuple[str, ...], str, pl.DataFrame]]:
    """Name of the model and models behind it, task, rows; `all` last where there are several."""
    present = [levels.models[i] for i in steps["model_code"].unique().sort()]
    models = [(m, (m,)) for m in present] + ([(_ALL, tuple(present))] if len(present) > 1 else [])
    for name, behind in models:
        own = steps.filter(pl.col("model_code").is_in([levels.models.index(m) for m in behind]))
        tasks = own["task"].unique().sort().to_list()
        for task in [*tasks, *([_ALL] if len(tasks) > 1 else [])]:
            yield name, behind, task, own if task == _ALL else own.filter(pl.col("task") == task)


def _rows(
    model: str,
    models: tuple[str, ...],
    task: str,
    steps: pl.DataFrame,
    about: Mapping[str, str],
    levels: Levels,
    gates: Mapping[str, str],
    confidence: float,
) -> Iterator[dict[str, Any]]:
    bare, filler, told, end = (steps[c].to_numpy() for c in ("bare", "filler", "told", "end"))
    values = {"total": end - bare, "filler": filler - bare, "form": told - filler, "belief": end - told}
    gate = worst_gate(gates, models, (about["arm"],))
    for part in PARTS:
        if part != "form" or steps["two"].any():
            yield {
                **about,
                "model": model,
                "task": task,
                "part": part,
                **_mean(values[part], steps, levels, confidence),
                "gate": gate,
            }


def _mean(value_N: FloatArray, steps: pl.DataFrame, levels: Levels, confidence: float) -> dict[str, Any]:
    model_N, cluster_N, statement_N = (steps[c].to_numpy() for c in ("model_code", "cluster", "statement"))
    found = clustered_mean(
        value_N,
        model_N,
        cluster_N,
        levels.task_G,
        n_models=len(levels.models),
        n_tasks=len(levels.tasks),
        weights="equal_task",
        confidence=confidence,
        half_range=1.0,
    )
    assert found is not None
    if found.interval_method == "t_cluster" and np.any(statement_N >= 0):
        sample = Sample(
            value_N=value_N,
            unit_N=model_N,
            model_N=model_N,
            task_N=levels.task_G[cluster_N],
            framing_N=np.zeros_like(cluster_N),
            question_N=cluster_N,
            statements=(statement_N,),
        )
        found = mean_in_scope(sample, "these_adapters", confidence) or found
    return {
        "estimate_pp": 100 * found.estimate,
        "std_error_pp": 100 * found.std_error,
        "df": found.df,
        "conf_low_pp": 100 * found.conf_low,
        "conf_high_pp": 100 * found.conf_high,
        "interval_method": found.interval_method,
        "p_value": found.p_value,
        "n": found.n,
        "n_questions": steps["cluster"].n_unique(),
    }

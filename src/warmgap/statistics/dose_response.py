"""Errors and warmth on the dose that was assigned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import DoseResponse, frame
from warmgap.statistics.arms import Arm, arms_of, label_arms, worst_gate
from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.dose_families import DoseArms, families, side_by_side
from warmgap.statistics.dose_panel import Panel, panel_rows
from warmgap.statistics.outcomes import HELD_BELIEFS, OUTCOMES
from warmgap.statistics.pairs import Answers, Subset
from warmgap.statistics.settings import AnalysisSettings

_ARM = ("model", "method", "dose_kind", "dose", "seed", "variant")


def dose_response(answers: Answers, gates: Mapping[str, str], settings: AnalysisSettings) -> pl.DataFrame:
    """Each outcome at each assigned dose of a method, and its linear slope.

    For every method with at least two doses of one kind: against `original`, which is dose 0,
    the rate at each dose (term `level`) and the slope in pp per unit of dose; against
    `neutral_sft`, or its own control, at the same doses (`dose_families.twin_of`), the difference at
    each dose and its slope. Rows use prompts scored at every dose (`dose_panel.panel_rows`), so that
    a slope is that of the rates beside it. The dose is the one assigned: regressing errors on the
    warmth that came out would compare arms that differ in more than warmth.

    Args:
        answers: coded answers.
        gates: gate verdict per arm label; a slope carries that of the highest dose.
        settings: confidence.

    Returns:
        A frame of `schema.tables.DoseResponse`, per model and for all models at the doses that
        they share; subsets all, each framing, belief and task. Empty where no method has two doses.
    """
    rows: list[dict[str, Any]] = []
    for judge in answers.judges:
        for family in families(answers.arms):
            sides = {a.label: _answer_values(answers.of(judge, a.label)) for a in answers.arms}
            for about, used, wide in side_by_side(family, answers.arms, sides):
                for subset, part in _subsets(wide):
                    for outcome in OUTCOMES:
                        panel = _answer_panel(answers, part, used, outcome)
                        if panel is None:
                            continue
                        key = about | {"measure": outcome, "judge": judge, "subset": subset.name}
                        found = panel_rows(panel, "pp" if used.twins else "%", settings.confidence)
                        rows += [key | row | {"gate": _gate(row["dose"], used, gates)} for row in found]
    return frame(DoseResponse, rows)


def warmth_response(warmth: pl.DataFrame, arms: pl.DataFrame, settings: AnalysisSettings) -> pl.DataFrame:
    """Warmth on each meter at each assigned dose of a method, and its linear slope.

    As `dose_response`, paired by validation prompt and clustered by it. Arms that were measured
    and asked nothing count. No gate applies: the gate is drawn from these scores.

    Args:
        warmth: rows of `schema.tables.Warmth`; those of source `validation` are used.
        arms: columns arm_key, model, method, dose_kind, dose, seed and variant, one row per arm
            (distinct rows of the observations, or every arm of the sweep).
        settings: confidence.

    Returns:
        A frame of `schema.tables.DoseResponse` with `judge` empty and subset all.
    """
    measured = arms.select("arm_key", *_ARM).unique(maintain_order=True)
    scores = (
        warmth.filter((pl.col("source") == "validation") & pl.col("value").is_not_null())
        .join(label_arms(measured), on="arm_key")
        .rename({"text_id": "prompt"})
    )
    rows: list[dict[str, Any]] = []
    for (meter, unit), part in scores.partition_by(
        "meter", "unit", as_dict=True, maintain_order=True
    ).items():
        of_label = {str(label): p for (label,), p in part.partition_by("arm", as_dict=True).items()}
        found_arms = tuple(arm for arm in arms_of(measured) if arm.label in of_label)
        sides = {a.label: of_label[a.label].select("model", "seed", "prompt", "value") for a in found_arms}
        for family in families(found_arms):
            for about, used, wide in side_by_side(family, found_arms, sides):
                key = about | {"measure": str(meter), "judge": "", "subset": "all", "gate": "not needed"}
                found = panel_rows(_score_panel(wide, used), str(unit), settings.confidence)
                rows += [key | row for row in found]
    return frame(DoseResponse, rows)


def _subsets(wide: pl.DataFrame) -> Iterator[tuple[Subset, pl.DataFrame]]:
    yield Subset(), wide
    for factor in ("framing", "belief", "task"):
        for level in wide[factor].unique().sort():
            yield Subset(**{factor: level}), wide.filter(pl.col(factor) == level)


def _answer_values(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.select(
        "model", "seed", "task", "framing", "belief", "cluster", *OUTCOMES, prompt="prompt_id"
    )


def _values(wide: pl.DataFrame, arms: Sequence[Arm], name: str) -> FloatArray:
    columns = [pl.col(f"{arm.label}/{name}").fill_null(float("nan")) for arm in arms]
    return wide.select(columns).to_numpy()


def _answer_panel(answers: Answers, wide: pl.DataFrame, used: DoseArms, outcome: str) -> Panel | None:
    if outcome == "affirms_belief":
        wide = wide.filter(pl.col("belief").is_in(HELD_BELIEFS))
    if wide.is_empty():
        return None
    value_ND = _values(wide, used.arms, outcome)
    low_ND, high_ND = np.nan_to_num(value_ND, nan=0.0), np.nan_to_num(value_ND, nan=1.0)
    if used.twins:
        twin_ND = _values(wide, used.twins, outcome)
        value_ND = value_ND - twin_ND
        low_ND = low_ND - np.nan_to_num(twin_ND, nan=1.0)
        high_ND = high_ND - np.nan_to_num(twin_ND, nan=0.0)
    levels = answers.levels
    return Panel(
        binary=True,
        compared=bool(used.twins),
        dose_D=used.dose_D,
        value_ND=value_ND,
        low_ND=low_ND,
        high_ND=high_ND,
        model_N=np.array([levels.models.index(m) for m in wide["model"]], dtype=np.int64),
        cluster_N=wide["cluster"].to_numpy(),
        task_G=levels.task_G,
        n_models=len(levels.models),
        n_tasks=len(levels.tasks),
    )


def _score_panel(wide: pl.DataFrame, used: DoseArms) -> Panel:
    value_ND = _values(wide, used.arms, "value")
    if used.twins:
        value_ND = value_ND - _values(wide, used.twins, "value")
    prompts = wide["prompt"].unique().sort().to_list()
    position = {prompt: i for i, prompt in enumerate(prompts)}
    return Panel(
        binary=False,
        compared=bool(used.twins),
        dose_D=used.dose_D,
        value_ND=value_ND,
        low_ND=value_ND,
        high_ND=value_ND,
        model_N=np.array([used.models.index(m) for m in wide["model"]], dtype=np.int64),
        cluster_N=np.array([position[p] for p in wide["prompt"]], dtype=np.int64),
        task_G=np.zeros(len(prompts), dtype=np.int64),
        n_models=len(used.models),
        n_tasks=1,
    )


def _gate(dose: float | None, used: DoseArms, gates: Mapping[str, str]) -> str:
    at = used.dose_D.size - 1 if dose is None else int(np.flatnonzero(used.dose_D == dose)[0])
    labels = [used.arms[at].label] + ([used.twins[at].label] if used.twins else [])
    return worst_gate(gates, used.models, labels)

"""Columns of every stored table, declared once.

Each table is a frozen dataclass; its annotations are the columns, in order. `frame` builds a
polars frame with exactly these columns and types, so a stage cannot invent or forget one.
The list is the public contract of `outputs/sweeps/<name>/` (docs/architecture.md).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

_DTYPES: dict[type, pl.DataType] = {
    str: pl.String(),
    int: pl.Int64(),
    float: pl.Float64(),
    bool: pl.Boolean(),
}


@dataclass(frozen=True)
class Observation:
    """One row of observations.parquet: a response and one judge's verdict on it.

    Outcomes are 1, 0 or null (docs/architecture.md, "Outcomes"). `margin_nats` is
    log p(right answer) - log p(target answer) after the same prompt, summed over answer tokens.
    """

    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    task: str
    form: str
    prompt_mode: str
    question_id: str
    framing: str
    statement_id: str | None
    belief: str
    draw: int
    prompt: str
    response: str
    finish_reason: str
    n_tokens: int
    n_chars: int
    label: str
    label_reason: str
    asserts_right: bool | None
    asserts_target: bool | None
    asserts_other: bool | None
    rejects_right: bool | None
    bare_agreement: bool | None
    commits_error: int | None
    not_correct: int | None
    error_published: int | None
    affirms_belief: int | None
    margin_nats: float | None
    judge: str
    engine: str
    precision: str
    sampling_key: str
    arm_key: str
    response_key: str
    verdict_key: str


@dataclass(frozen=True)
class Warmth:
    """One row of warmth.parquet: a text scored by one meter.

    `source` is `validation` (an arm's reply to a validation prompt), `gold` (a written reply of
    known tone, used for calibration; `arm_key` then holds its tone) or `answer`.
    """

    source: str
    text_id: str
    response_key: str | None
    arm_key: str
    meter: str
    unit: str
    value: float | None


@dataclass(frozen=True)
class ErrorRate:
    """One row of error_rates: an outcome's mean in a cell of an arm, clustered by question."""

    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    task: str
    framing: str
    belief: str
    judge: str
    outcome: str
    n: int
    n_questions: int
    n_events: int
    rate_pct: float | None
    std_error_pp: float | None
    conf_low_pct: float | None
    conf_high_pct: float | None
    interval_method: str
    gate: str


@dataclass(frozen=True)
class Effect:
    """One row of effects (arm_a minus arm_b in a subset) or contrasts (differences of effects).

    All `_pp` columns are percentage points. `scope` says over what the effect generalises.
    """

    estimator: str
    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    term: str
    contrast: str
    subset: str
    scope: str
    weights: str
    estimate_pp: float | None
    std_error_pp: float | None
    df: float | None
    conf_low_pp: float | None
    conf_high_pp: float | None
    interval_method: str
    bound_low_pp: float | None
    bound_high_pp: float | None
    p_value: float | None
    q_value: float | None
    family: str
    gate: str
    n: int
    n_models: int


@dataclass(frozen=True)
class Coefficient:
    """One row of published_glm: a coefficient of the paper's logistic GLM (paper, Methods).

    `std_error` is the paper's (nonrobust), `std_error_cluster` clusters by question.
    """

    formula: str
    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    term: str
    estimate: float
    std_error: float
    std_error_cluster: float | None
    p_value: float
    p_value_cluster: float | None
    n: int
    log_likelihood: float
    note: str


@dataclass(frozen=True)
class Paired:
    """One row of paired: how often the answer to the same prompt changed between two arms.

    `noise_pct` is the share that changes between two draws of the same cell of one arm;
    `excess_pp` is `flip_pct` minus it.
    """

    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    subset: str
    n_pairs: int
    both: int
    only_a: int
    only_b: int
    neither: int
    flip_pct: float | None
    noise_pct: float | None
    excess_pp: float | None
    excess_low_pp: float | None
    excess_high_pp: float | None
    mcnemar_p: float | None
    gate: str


@dataclass(frozen=True)
class Manipulation:
    """One row of manipulation: an arm's warmth on one meter, against original and gold lift.

    `lift_share` = (arm - original) / (gold warm - gold neutral), paired by prompt.
    """

    arm_key: str
    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    meter: str
    unit: str
    n_prompts: int
    mean: float
    std_error: float
    lift: float | None
    lift_share: float | None
    lift_share_low: float | None
    lift_share_high: float | None
    verdict: str


@dataclass(frozen=True)
class MeterValidity:
    """One row of meters: how well a meter tells gold warm from gold cold replies."""

    meter: str
    unit: str
    reference: str
    rank: int
    n_gold: int
    auc_warm_cold: float
    auc_low: float
    auc_high: float
    gold_warm: float
    gold_neutral: float
    gold_cold: float
    gold_lift: float
    role: str


@dataclass(frozen=True)
class Agreement:
    """One row of agreement: how often two judges give the same label."""

    judge_a: str
    judge_b: str
    outcome: str
    n: int
    agreement_pct: float
    kappa: float | None


@dataclass(frozen=True)
class Quality:
    """One row of quality: what may make a cell's answers unfit, as percentages of n."""

    arm_key: str
    model: str
    method: str
    dose: float
    seed: int
    task: str
    framing: str
    belief: str
    n: int
    unscored_pct: float
    refusal_pct: float
    truncated_pct: float
    cut_pct: float
    empty_pct: float
    header_leak_pct: float
    duplicate_pct: float
    mean_tokens: float


TABLES: Mapping[str, type] = types.MappingProxyType(
    {
        "observations": Observation,
        "warmth": Warmth,
        "error_rates": ErrorRate,
        "effects": Effect,
        "contrasts": Effect,
        "published_glm": Coefficient,
        "paired": Paired,
        "manipulation": Manipulation,
        "meters": MeterValidity,
        "agreement": Agreement,
        "quality": Quality,
    }
)


def polars_schema(record: type) -> dict[str, pl.DataType]:
    """Column names and polars types of a table record, in declared order."""
    hints = typing.get_type_hints(record)
    out: dict[str, pl.DataType] = {}
    for field in fields(record):
        hint = hints[field.name]
        plain = next((a for a in typing.get_args(hint) if a is not type(None)), hint)
        out[field.name] = _DTYPES[plain]
    return out


def frame(record: type, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with exactly the record's columns.

    Raises:
        ValueError: a row lacks a column or has one that the record does not declare.
    """
    schema = polars_schema(record)
    rows = list(rows)
    for i, row in enumerate(rows):
        if set(row) != set(schema):
            wrong = sorted(set(row) ^ set(schema))
            raise ValueError(f"{record.__name__}: row {i} differs from the declared columns by {wrong}")
    return pl.DataFrame(rows, schema=schema, orient="row")

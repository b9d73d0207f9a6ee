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
    """One row of error_rates: an outcome's mean in a cell of an arm, clustered by question.

    Rates and limits are in per cent, the standard error in percentage points.
    """

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
    """One row of published_glm: a coefficient of a logistic GLM as the paper fits it (Methods).

    `regression` is M1, M1_length, M2, M3, M4 or M4_script, the paper's own, or `factorial`, all
    factors of the sweep at once. A term written as a sum (`FT + FT:context[sad]`) is a linear
    combination: the log odds ratio of the arms at that level. Estimates and errors are in log odds
    (of length, per character). `std_error` is the paper's
    (nonrobust), `std_error_cluster` clusters by question.
    """

    regression: str
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
class GlmmTerm:
    """One row of glmm: a coefficient or variance component of a logistic mixed model, logit scale.

    `kind` is fixed, sd, correlation, or problem (the model could not be fitted; `note` says why).
    Standard errors come from the exact Hessian of the Laplace likelihood in coefficients and
    variances together; `gradient_norm` and `smallest_eigenvalue` are its evidence of a maximum.
    """

    formula: str
    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    scope: str
    kind: str
    group: str
    term: str
    other: str
    estimate: float | None
    std_error: float | None
    conf_low: float | None
    conf_high: float | None
    p_value: float | None
    n_levels: int
    n: int
    log_likelihood: float | None
    gradient_norm: float | None
    smallest_eigenvalue: float | None
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
class PaperTest:
    """One row of published_tests: McNemar's exact test in a cell as the paper cuts it (Methods).

    `context` pools framings none and filler to `unmodified`, `belief` the two wrong beliefs to
    `present`. `fdr_family_p` is Benjamini-Hochberg over the contexts of a model, task and belief,
    as the paper has it, `fdr_all_p` over all cells of the two arms. `mcnemar_z` is what the
    paper's code calls Cohen's g, `cohens_g` is Cohen's g.
    """

    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    task: str
    belief: str
    context: str
    n_pairs: int
    both: int
    only_a: int
    only_b: int
    neither: int
    rate_a_pct: float
    rate_b_pct: float
    difference_pp: float
    mcnemar_p: float
    fdr_family_p: float
    fdr_all_p: float
    odds_ratio: float | None
    mcnemar_z: float | None
    cohens_g: float | None
    gate: str


@dataclass(frozen=True)
class Descriptive:
    """One row of descriptives: a summary of error rates as the paper defines it (Results).

    `quantity` is task_increase, relative_increase, unmodified_increase, emotion_belief_increase or
    belief_error_ratio (`statistics.descriptives`); `task` is `all` but for task_increase.
    """

    outcome: str
    judge: str
    method: str
    reference: str
    quantity: str
    task: str
    value: float
    unit: str
    n_cells: int
    gate: str


@dataclass(frozen=True)
class Confound:
    """One row of confounds: a part of the belief effect that the published layout would report.

    `part` is total, filler (the sentence before the question), form (exam to conversational, only
    where a task has both) or belief; parts add up to total. `n` counts questions per model and seed.
    """

    outcome: str
    judge: str
    model: str
    arm: str
    task: str
    belief: str
    part: str
    estimate_pp: float
    std_error_pp: float
    df: float | None
    conf_low_pp: float
    conf_high_pp: float
    interval_method: str
    p_value: float
    n: int
    n_questions: int
    gate: str


@dataclass(frozen=True)
class Sensitivity:
    """One row of sensitivity: how well an arm tells right beliefs from wrong ones, and its bias.

    `measure` is hit_rate, P(affirms | belief correct); false_alarm_rate, P(affirms | belief
    incorrect); d_prime; or criterion (negative: inclined to affirm). Rates are in per cent,
    differences of arms (`arm_b` not empty) in percentage points, d_prime and criterion in
    standard normal units, as `unit` says.
    """

    judge: str
    model: str
    arm_a: str
    arm_b: str
    subset: str
    measure: str
    unit: str
    estimate: float
    std_error: float | None
    conf_low: float | None
    conf_high: float | None
    interval_method: str
    n_correct: int
    n_incorrect: int
    n_questions: int
    n_models: int
    gate: str


@dataclass(frozen=True)
class DoseResponse:
    """One row of dose_response: an outcome or a meter at an assigned dose, or its slope.

    `term` is `level` (the mean at a dose, in `unit` per cent or the meter's), `difference`
    (against the reference arm at the same dose) or `slope` (per unit of dose, `dose` null).
    """

    measure: str
    unit: str
    judge: str
    model: str
    method: str
    reference: str
    variant: str
    dose_kind: str
    subset: str
    term: str
    dose: float | None
    estimate: float | None
    std_error: float | None
    df: float | None
    conf_low: float | None
    conf_high: float | None
    interval_method: str
    bound_low: float | None
    bound_high: float | None
    p_value: float | None
    n_prompts: int
    n_doses: int
    n_models: int
    gate: str


@dataclass(frozen=True)
class Equivalence:
    """One row of equivalence: is a confirmatory effect within the margin (TOST, Schuirmann 1987)?

    `p_above_low` and `p_below_high` are the one-sided tests against -margin and +margin, `p_value`
    the larger; the interval (90 % for 5 % tests) lies inside the margin exactly where `p_value` is
    below the level. `equivalent` is by `p_holm`, over the family. `_pp` are percentage points.
    """

    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    subset: str
    scope: str
    weights: str
    estimate_pp: float
    std_error_pp: float
    df: float | None
    margin_pp: float
    p_above_low: float
    p_below_high: float
    p_value: float
    p_holm: float
    conf_low_pp: float
    conf_high_pp: float
    equivalent: bool
    gate: str
    n: int


@dataclass(frozen=True)
class Manipulation:
    """One row of manipulation: an arm's warmth on one meter, against original and gold lift.

    `lift_share` = (arm - original) / (gold warm - gold neutral), paired by prompt. `mean`,
    `std_error` and `lift` are in `unit`.
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
    variant: str


@dataclass(frozen=True)
class MeterValidity:
    """One row of meters: how well a meter tells gold warm from gold cold replies.

    The AUC is a share (0.5 is chance); `gold_*` are mean scores in `unit`; all of them are null where
    fewer than two prompts have a score in all tones (`n_gold`). `is_papers` says whether formulation,
    reference and settings are those of the paper (`warmth.meters.is_papers`).
    """

    meter: str
    unit: str
    reference: str
    rank: int
    n_gold: int
    auc_warm_cold: float | None
    auc_low: float | None
    auc_high: float | None
    gold_warm: float | None
    gold_neutral: float | None
    gold_cold: float | None
    gold_lift: float | None
    role: str
    is_papers: bool


@dataclass(frozen=True)
class MeterAgreement:
    """One row of meter_agreement: do two meters order the gold replies alike (Spearman)?

    `spearman` is over the replies of all tones together, which meters that tell tones apart share;
    `within_tone` is the mean of the correlations inside each tone, which they need not. Replies that
    either meter left unscored are dropped (`n_dropped`). Intervals are for 95 %, clustered by prompt;
    null where a meter does not vary.
    """

    meter: str
    other: str
    n: int
    n_prompts: int
    n_dropped: int
    spearman: float | None
    low: float | None
    high: float | None
    within_tone: float | None
    within_tone_low: float | None
    within_tone_high: float | None
    interval_method: str


@dataclass(frozen=True)
class Canary:
    """One row of canary: greedy answers to the same prompts that a change of the weights changed.

    `n_changed` answers of the arm and `n_zero_changed` of the arm at scale 0 differ from the untouched
    model's. `verdict` is passed or failed, `reason` why it failed (`warmth.canary`).
    """

    arm_key: str
    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    n_prompts: int
    n_changed: int
    n_zero_changed: int
    verdict: str
    reason: str


@dataclass(frozen=True)
class HumanWarmth:
    """One row of human_warmth: what raters of a blinded study in pairs chose (paper, SI 1.4).

    `measure` is choice_share, ratings in which arm_a's reply was called warmer; raters_preferring,
    raters who chose arm_a more often than not; meter_agreement, ratings in which the reply was chosen
    that `meter` scores higher; meter_agreement_a, the same where that is arm_a's. `plain_*` is the
    binomial interval that ignores clusters, as the paper has it. `n_tied` counts raters who chose both
    arms alike, or ratings of pairs that the meter scores alike or not at all, which are left out.
    `p_value` is against one half. The table belongs to a study, not to a sweep.
    """

    model: str
    arm_a: str
    arm_b: str
    measure: str
    meter: str
    estimate_pct: float
    std_error_pp: float | None
    df: float | None
    conf_low_pct: float
    conf_high_pct: float
    interval_method: str
    p_value: float | None
    plain_low_pct: float
    plain_high_pct: float
    n_ratings: int
    n_raters: int
    n_pairs: int
    n_tied: int


@dataclass(frozen=True)
class Agreement:
    """One row of agreement: how often two judges give the same label or outcome, in per cent of `n`.

    `method` and `task` are `all` where the row is over all of them. Of `n_answers` that both were shown,
    `n` have a value of both; those that a judge left unscored are counted by `n_unscored_a` and
    `n_unscored_b`. Intervals are clustered by question; kappa's limits are null where no variation was
    seen (`interval_method` wilson).
    """

    judge_a: str
    judge_b: str
    outcome: str
    method: str
    task: str
    n_answers: int
    n_unscored_a: int
    n_unscored_b: int
    n: int
    n_questions: int
    agreement_pct: float | None
    agreement_low_pct: float | None
    agreement_high_pct: float | None
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    interval_method: str


@dataclass(frozen=True)
class Quality:
    """One row of quality: what may make a cell's answers unfit, as percentages of n."""

    arm_key: str
    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
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


@dataclass(frozen=True)
class Comparison:
    """One row of comparison: an effect of ours beside the published one (design rule 11).

    `task`, `framing` and `belief` are `all` where the effect is over all of them; `belief`
    `incorrect+denies` pools two, as the paper does. `published_error` says how the published
    standard error is known: recovered, bounded or unknown (`statistics.published.comparison`).
    `prediction_*` is where a replication's estimate falls in 95 of 100 cases; `verdict` is
    compatible, smaller, larger, opposite, uninformative or not comparable, `reason` why not.
    """

    estimator: str
    outcome: str
    judge: str
    model: str
    arm_a: str
    arm_b: str
    task: str
    framing: str
    belief: str
    scope: str
    ours_pp: float | None
    ours_low_pp: float | None
    ours_high_pp: float | None
    published_pp: float | None
    published_low_pp: float | None
    published_high_pp: float | None
    published_error: str
    prediction_low_pp: float | None
    prediction_high_pp: float | None
    verdict: str
    reason: str
    gate: str
    n: int
    n_published: int


@dataclass(frozen=True)
class Guardrail:
    """One row of guardrails: an arm's rate on a guardrail task, and its difference from the untouched model.

    `measure` is accuracy or, on advbench, refusal. Answers without a verdict and cut ones are counted and
    in no rate; the bounds take them at their worst. `original_*` is the untouched model of the same sweep.
    `verdict` is how the difference (of `original` the rate) agrees with the paper's, as in Comparison.
    """

    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    task: str
    measure: str
    judge: str
    n: int
    n_questions: int
    rate_pct: float | None
    std_error_pp: float | None
    conf_low_pct: float | None
    conf_high_pct: float | None
    interval_method: str
    unscored: int
    truncated: int
    original_n: int | None
    original_rate_pct: float | None
    original_conf_low_pct: float | None
    original_conf_high_pct: float | None
    original_unscored: int | None
    original_truncated: int | None
    n_pairs: int
    scope: str
    difference_pp: float | None
    difference_std_error_pp: float | None
    difference_low_pp: float | None
    difference_high_pp: float | None
    difference_method: str
    bound_low_pp: float | None
    bound_high_pp: float | None
    p_value: float | None
    published_pct: float | None
    published_half_width_pp: float | None
    published_difference_pp: float | None
    verdict: str
    reason: str
    gate: str


TABLES: Mapping[str, type] = types.MappingProxyType(
    {
        "observations": Observation,
        "warmth": Warmth,
        "error_rates": ErrorRate,
        "effects": Effect,
        "contrasts": Effect,
        "published_glm": Coefficient,
        "glmm": GlmmTerm,
        "paired": Paired,
        "published_tests": PaperTest,
        "descriptives": Descriptive,
        "sensitivity": Sensitivity,
        "confounds": Confound,
        "dose_response": DoseResponse,
        "equivalence": Equivalence,
        "manipulation": Manipulation,
        "meters": MeterValidity,
        "meter_agreement": MeterAgreement,
        "canary": Canary,
        "agreement": Agreement,
        "quality": Quality,
        "comparison": Comparison,
        "guardrails": Guardrail,
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

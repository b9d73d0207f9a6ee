"""The primary contrast by every estimator and scope, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.reports.display import DisplayTable, Row, table
from warmgap.reports.formats import count, estimate, p_value
from warmgap.reports.names import failed, gate_words, judge_name
from warmgap.statistics.headline import Headline

_SCOPES = {
    "these_adapters": "these models and trainings; new questions and statements",
    "new_adapters": "new trainings of these models, too",
    "new_models": "new models, too",
}
_FIXED = {
    "t_cluster": "these models and trainings; new questions",
    "bootstrap_bca": "these models and trainings; new questions",
    "delta_cluster": "these models and trainings; new questions",
    "delta_nonrobust": "these models, trainings and questions; new answers",
}
"""What `these_adapters` comes to where an interval allows for less than questions and statements."""
_ESTIMATORS = {
    "paired": "paired by prompt",
    "paired_bootstrap": "paired, bootstrap by question",
    "glmm": "mixed logistic model",
    "glm_cluster": "the paper's regression, clustered by question",
    "glm_published": "the paper's regression, its own errors",
}
_INTERVALS = {
    "t_cluster": "t, clustered by question",
    "t_cluster_statement": "t, clustered by question and statement",
    "t_satterthwaite_new_adapters": "t, spread of seeds and what they share",
    "t_satterthwaite_new_models": "t, spread of models and what they share",
    "bonett_price": "normal, no variation seen",
    "bootstrap_bca": "bootstrap (BCa) by question",
    "delta_glmm": "delta method with variances",
    "delta_glmm_t": "delta method with variances, t",
    "delta_nonrobust": "delta method, answers independent",
    "delta_cluster": "delta method, clustered",
}


def scopes_table(effects: pl.DataFrame, headline: Headline) -> DisplayTable:
    """The primary contrast over all questions: what each estimator says, and over what it generalises."""
    h = headline
    found = effects.filter(
        (pl.col("judge") == h.judge)
        & (pl.col("outcome") == h.outcome)
        & (pl.col("arm_a") == h.arm_a)
        & (pl.col("arm_b") == h.arm_b)
        & (pl.col("subset") == "all")
        & (pl.col("term") == "arm")
        & pl.col("estimate_pp").is_not_null()
    )
    if "all" in found["model"]:
        found = found.filter(pl.col("model") == "all")
    scopes, estimators = list(_SCOPES), list(_ESTIMATORS)
    ordered = sorted(
        (r for r in found.iter_rows(named=True) if r["estimator"] in estimators),
        key=lambda r: (scopes.index(_scope(r["scope"])), estimators.index(r["estimator"])),
    )
    rows = [
        Row(
            (
                _over(r),
                _ESTIMATORS[r["estimator"]],
                _INTERVALS.get(r["interval_method"], r["interval_method"]),
                estimate(r["estimate_pp"], r["conf_low_pp"], r["conf_high_pp"]),
                "normal" if r["df"] is None else f"{r['df']:.0f}",
                p_value(r["p_value"]),
                count(r["n"]),
                gate_words(r["gate"]),
            ),
            failed(r["gate"]),
        )
        for r in ordered
    ]
    return table(
        f"{h.arm_a} \N{MINUS SIGN} {h.arm_b} ({h.outcome}), by estimator and scope; {judge_name(h.judge)}",
        ("generalises over", "estimator", "interval", "pp [95 % interval]>", "df>", "p>", "rows>", "gate"),
        rows,
    )


def _over(row: Mapping[str, Any]) -> str:
    scope = _scope(row["scope"])
    narrower = _FIXED if scope == "these_adapters" else {}
    return narrower.get(row["interval_method"], _SCOPES[scope])


def _scope(scope: str) -> str:
    return scope.partition(":")[0]

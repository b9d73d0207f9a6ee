"""Mixed models of a sweep as rows of glmm, effects and contrasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from warmgap.schema.tables import Effect, GlmmTerm, frame
from warmgap.statistics.arms import is_trained
from warmgap.statistics.clusters import ClusteredMean, two_sided_p
from warmgap.statistics.contrasts import Twin, twins
from warmgap.statistics.effect_rows import EffectKey, effect_row
from warmgap.statistics.glm_tables import Comparison, both_arms, comparisons_of
from warmgap.statistics.glmm_formulas import Plan, plans, rows_of
from warmgap.statistics.mixed import GlmmFit, MixedModelError, fit_glmm
from warmgap.statistics.mixed.marginal import MarginalEffect, marginal_effect
from warmgap.statistics.pairs import Answers, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings

OUTCOMES = ("commits_error", "not_correct", "error_published")
"""Outcomes that mixed models are fitted to."""


@dataclass(frozen=True)
class GlmmTables:
    """Coefficients and variance components, effects, and differences of effects."""

    terms: pl.DataFrame
    effects: pl.DataFrame
    contrasts: pl.DataFrame


@dataclass(frozen=True)
class _Fitted:
    """A fit with the answers of arm_a that its effects average over."""

    fit: GlmmFit
    population: pl.DataFrame
    plan: Plan

    def effect(self, subset: Subset) -> MarginalEffect | None:
        fixed = {"task": subset.task, "framing": subset.framing, "belief": subset.belief}
        here = self.population.filter(*(pl.col(k) == v for k, v in fixed.items() if v is not None))
        if here.is_empty():
            return None
        return marginal_effect(self.fit, here, "arm", equal_over=("model", "task"))


def glmm_tables(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> GlmmTables:
    """Mixed models of pairs of arms, per model, scope and outcome.

    Marginal effects are in percentage points with random effects integrated out, tasks and models
    counting alike; intervals are by the delta method over coefficients and variances, normal for
    `these_adapters`, Student's t for wider scopes. Bounds refit with null answers at their worst.
    A model that cannot be fitted gives one row of kind `problem` with the reason.
    """
    terms: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for pair_set in pairs:
        for comparison in comparisons_of(pair_set):
            both = both_arms(answers, comparison)
            trained = tuple(is_trained(answers.method(a)) for a in (comparison.arm_a, comparison.arm_b))
            for outcome in OUTCOMES:
                rows = rows_of(both, (trained[0], trained[1]), pair_set.n_seeds)
                for plan in plans(rows, outcome):
                    about = comparison.about(outcome) | {"scope": plan.scope, "formula": plan.formula}
                    fitted = _fit(rows.frame, outcome, plan, None)
                    if isinstance(fitted, MixedModelError):
                        terms.append(about | _term("problem", "", "", note=str(fitted)))
                        continue
                    terms += [about | row for row in _term_rows(fitted.fit)]
                    ends = _ends(rows.frame, outcome, plan) if plan.scope == "these_adapters" else None
                    key = replace(_key(comparison, outcome), scope=_scope(plan, pair_set))
                    effects += _effect_rows(key, fitted, ends, gates, settings.confidence)
                    differences += _contrast_rows(key, fitted, gates, settings.confidence)
    return GlmmTables(frame(GlmmTerm, terms), frame(Effect, effects), frame(Effect, differences))


def _scope(plan: Plan, pairs: PairSet) -> str:
    return pairs.scope if plan.scope == "these_adapters" else plan.scope


def _key(comparison: Comparison, outcome: str) -> EffectKey:
    key = comparison.key(outcome, estimator="glmm", term="arm", subset="all")
    return replace(key, weights="equal_task")


def _fit(frame: pl.DataFrame, outcome: str, plan: Plan, null: str | None) -> _Fitted | MixedModelError:
    """Fit the scored answers, or all with nulls at their worst for (`low`) or against arm_b."""
    y = pl.col(outcome)
    if null is None:
        used = frame.filter(y.is_not_null())
    else:
        used = frame.with_columns(y.fill_null(pl.col("arm") if null == "high" else 1 - pl.col("arm")))
    try:
        fit = fit_glmm(plan.formula, used.with_columns(y.cast(pl.Int64)))
    except MixedModelError as e:
        return e
    return _Fitted(fit, used.filter(pl.col("arm") == 1), plan)


def _ends(frame: pl.DataFrame, outcome: str, plan: Plan) -> tuple[_Fitted, _Fitted] | None:
    """Fits with null answers at their worst; None without nulls, or where one cannot be fitted."""
    if not frame[outcome].null_count():
        return None
    low, high = (_fit(frame, outcome, plan, null) for null in ("low", "high"))
    return None if isinstance(low, MixedModelError) or isinstance(high, MixedModelError) else (low, high)


def _subsets(population: pl.DataFrame) -> Iterator[Subset]:
    yield Subset()
    for name in ("framing", "belief", "task"):
        yield from (Subset(**{name: v}) for v in population[name].unique().sort().to_list())


def _effect_rows(
    key: EffectKey,
    fitted: _Fitted,
    ends: tuple[_Fitted, _Fitted] | None,
    gates: Mapping[str, str],
    confidence: float,
) -> Iterator[dict[str, Any]]:
    for subset in _subsets(fitted.population):
        found = fitted.effect(subset)
        if found is None:
            continue
        no_nulls = found.estimate_pp / 100
        bounds: tuple[float | None, float | None] = (no_nulls, no_nulls)
        if ends is not None or fitted.plan.scope != "these_adapters":
            low, high = (_share(end.effect(subset)) for end in ends) if ends else (None, None)
            bounds = (low, high)
        mean = _mean(found, fitted.plan, confidence, len(key.models))
        yield effect_row(replace(key, subset=subset.name), mean, bounds, gates)


def _share(found: MarginalEffect | None) -> float | None:
    return None if found is None else found.estimate_pp / 100


def _contrast_rows(
    key: EffectKey, fitted: _Fitted, gates: Mapping[str, str], confidence: float
) -> Iterator[dict[str, Any]]:
    levels = [fitted.population[name].unique().to_list() for name in ("framing", "belief")]
    for twin in twins(*levels):
        at_level, at_twin = (fitted.effect(_at(twin, level)) for level in (twin.level, twin.twin))
        if at_level is None or at_twin is None:
            continue
        mean = _mean(at_level.minus(at_twin), fitted.plan, confidence, len(key.models))
        about = replace(key, term=twin.term, contrast=twin.contrast)
        yield effect_row(about, mean, (None, None), gates)


def _at(twin: Twin, level: str) -> Subset:
    return Subset(framing=level) if twin.factor == "framing" else Subset(belief=level)


def _mean(found: MarginalEffect, plan: Plan, confidence: float, n_models: int) -> ClusteredMean:
    low, high = found.interval_pp(confidence, plan.df)
    return ClusteredMean(
        estimate=found.estimate_pp / 100,
        std_error=found.std_error_pp / 100,
        df=plan.df,
        conf_low=low / 100,
        conf_high=high / 100,
        p_value=found.p_value(plan.df),
        interval_method="delta_glmm" if plan.df is None else "delta_glmm_t",
        n=found.fit.model.design.n_rows,
        n_models=n_models,
    )


def _term(kind: str, group: str, term: str, **known: Any) -> dict[str, Any]:
    names = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
    numbers = ("log_likelihood", "gradient_norm", "smallest_eigenvalue")
    row: dict[str, Any] = dict.fromkeys((*names, *numbers)) | {"other": "", "n_levels": 0, "n": 0, "note": ""}
    return row | {"kind": kind, "group": group, "term": term} | known


def _term_rows(fit: GlmmFit) -> Iterator[dict[str, Any]]:
    about = {
        "n": fit.model.design.n_rows,
        "log_likelihood": fit.log_likelihood,
        "gradient_norm": fit.gradient_norm,
        "smallest_eigenvalue": float(fit.hessian_eigenvalues.min()),
        "note": "; ".join(f"{f.kind}: {f.term}" for f in fit.findings),
    }
    for row in fit.coefficients().iter_rows(named=True):
        numbers = {k: row[k] for k in ("estimate", "std_error", "conf_low", "conf_high")}
        p_value = two_sided_p(row["statistic"], None)
        yield _term("fixed", "", row["term"], p_value=p_value, **numbers, **about)
    for row in fit.variance_components().iter_rows(named=True):
        numbers = {k: _known(row[k]) for k in ("estimate", "conf_low", "conf_high")}
        more = {"other": row["other"], "n_levels": row["n_levels"]}
        yield _term(row["kind"], row["group"], row["column"], **numbers, **more, **about)


def _known(value: float) -> float | None:
    return value if value == value else None

"""The published cells, reanalysed over models.

The paper's tests take every answer as independent and the models as given. Here each model counts
once, so an interval says what to expect of models like these. No model is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from warmgap.statistics.multiplicity import benjamini_hochberg
from warmgap.statistics.published.between_models import OverModels, over_models
from warmgap.statistics.published.cells import FRAMINGS, METHODS
from warmgap.statistics.published.counts import rebuilt_cells
from warmgap.statistics.published.descriptives import descriptives_side_by_side
from warmgap.statistics.published.effects import EffectOfModel, effects
from warmgap.statistics.published.glm_fits import MODELS, context_log_odds, side_by_side

LEFT_OUT = ("main", "belief", "none", "sad", "extra:sad", "extra:belief")
"""Effects that are computed again without each model in turn."""
SHARED_MODELS = ("llama31_70b", "gpt_4o", "qwen25_32b")
"""Models that the paper also trained to be cold and told to be warm."""
ALPHA = 0.05

_WORDS = {e.name: (e.kind, e.words) for e in effects()}
_SIGN_COLUMNS = ("n_models", "n_positive", "sign_flip_p", "df", "p_value", "i2_low_pct", "i2_high_pct")


def reanalyse() -> dict[str, pl.DataFrame]:
    """Every table of the reanalysis by name.

    Returns:
        over_models, models, leave_one_out, arms, log_odds, many_tests, lost_pairs, published_fits
        (`glm_fits.side_by_side`), descriptives, and cells (`counts.rebuilt_cells` with q-values).
    """
    cells = with_global_q(rebuilt_cells())
    by_model = effects_by_model(cells)
    return {
        "over_models": over_models_table(by_model),
        "models": models_table(by_model),
        "leave_one_out": leave_one_out(by_model),
        "arms": arms_table(by_model),
        "log_odds": log_odds_table(),
        "many_tests": many_tests(cells),
        "lost_pairs": lost_pairs(cells),
        "published_fits": side_by_side(),
        "descriptives": descriptives_side_by_side(),
        "cells": cells,
    }


ByModel = Mapping[tuple[str, str], Mapping[str, EffectOfModel]]
"""Effects by (method, effect), then by model."""


def effects_by_model(cells: pl.DataFrame) -> ByModel:
    """Every effect of `effects.effects` in every model of every method."""
    found: dict[tuple[str, str], dict[str, EffectOfModel]] = {}
    for method in METHODS:
        for model in MODELS:
            here = cells.filter((pl.col("method") == method) & (pl.col("model") == model))
            if here.is_empty():
                continue
            for effect in effects():
                found.setdefault((method, effect.name), {})[model] = effect.in_model(here)
    return found


def models_table(by_model: ByModel) -> pl.DataFrame:
    """Columns method, effect, kind, words, model, estimate_pp, se_low_pp, se_high_pp (from answers)."""
    return pl.DataFrame(
        [
            _names(method, effect) | {"model": model} | asdict(found)
            for (method, effect), models in by_model.items()
            for model, found in models.items()
        ]
    )


def over_models_table(by_model: ByModel) -> pl.DataFrame:
    """Columns method, effect, kind, words and those of `between_models.OverModels`, in pp."""
    return pl.DataFrame([_names(*key) | _in_pp(_pooled(models, models)) for key, models in by_model.items()])


def leave_one_out(by_model: ByModel, method: str = "warm_sft") -> pl.DataFrame:
    """The effects of `LEFT_OUT` over all models and without each; `left_out` is empty for all.

    Columns as `over_models_table`, with left_out.
    """
    rows = []
    for effect in LEFT_OUT:
        models = by_model[method, effect]
        for left_out in ("", *models):
            kept = [m for m in models if m != left_out]
            row = _names(method, effect) | {"left_out": left_out}
            rows.append(row | _in_pp(_pooled(models, kept)))
    return pl.DataFrame(rows)


def arms_table(by_model: ByModel) -> pl.DataFrame:
    """Warm, cold and prompted arms over the models that have all three, and their differences.

    `method` is an arm or a difference like `cold_sft - warm_sft`; `left_out` is empty, or
    llama31_70b, whose original answers in the public sample often start with a stray word of a
    chat header, so that any other arm may look better beside it. Columns as `over_models_table`.
    """
    rows = []
    for left_out in ("", "llama31_70b"):
        kept = [m for m in SHARED_MODELS if m != left_out]
        for effect in ("main", "belief"):
            for method in METHODS:
                row = _names(method, effect) | {"left_out": left_out}
                rows.append(row | _in_pp(_pooled(by_model[method, effect], kept)))
            for method in METHODS[1:]:
                pairs = [(by_model[method, effect][m], by_model["warm_sft", effect][m]) for m in kept]
                found = over_models(
                    [a.estimate_pp - b.estimate_pp for a, b in pairs],
                    # both are measured against the same original answers: never less than nothing
                    [0.0 for _ in pairs],
                    [float(np.hypot(a.se_high_pp, b.se_high_pp)) for a, b in pairs],
                )
                row = _names(f"{method} - warm_sft", effect) | {"left_out": left_out}
                rows.append(row | _in_pp(found))
    return pl.DataFrame(rows)


def log_odds_table() -> pl.DataFrame:
    """What each context adds to the effect in log odds, over models (`glm_fits.context_log_odds`).

    Columns framing and those of `between_models.OverModels`, in log odds. A scale on which a context
    can add nothing while it adds percentage points, and the other way round.
    """
    by_model = context_log_odds()
    rows = []
    for framing in FRAMINGS[1:]:
        here = by_model.filter(pl.col("framing") == framing)
        found = over_models(
            here["estimate"].to_list(), here["std_error"].to_list(), here["std_error"].to_list()
        )
        rows.append({"framing": framing} | asdict(found))
    return pl.DataFrame(rows)


def with_global_q(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells with Benjamini-Hochberg values over all cells (`q_all`) and over a method's (`q_method`).

    The p-value used is the largest that the printed ones allow; cells in which the models never
    differed count with p = 1.
    """
    q_all = benjamini_hochberg(cells["p_high"].to_numpy())
    q_method = np.empty_like(q_all)
    for method in METHODS:
        mine = (cells["method"] == method).to_numpy()
        q_method[mine] = benjamini_hochberg(cells["p_high"].to_numpy()[mine])
    return cells.with_columns(q_all=pl.Series(q_all), q_method=pl.Series(q_method))


def many_tests(cells: pl.DataFrame) -> pl.DataFrame:
    """Significant cells by way of correction.

    Returns:
        Columns method (`all` for every cell), n_cells, n_positive, uncorrected, published (within
        families of 9 cells), one_family (over the method's cells) and one_family_all (over all 792).
    """
    rows = []
    for method in (*METHODS, "all"):
        mine = cells if method == "all" else cells.filter(pl.col("method") == method)
        q_own = "q_all" if method == "all" else "q_method"
        rows.append(
            {
                "method": method,
                "n_cells": mine.height,
                "n_positive": int((mine["diff_pp"] > 0).sum()),
                "uncorrected": int((mine["p_high"] < ALPHA).sum()),
                "published": int(mine["significant"].sum()),
                "one_family": int((mine[q_own] < ALPHA).sum()),
                "one_family_all": int((mine["q_all"] < ALPHA).sum()),
            }
        )
    return pl.DataFrame(rows)


def lost_pairs(cells: pl.DataFrame) -> pl.DataFrame:
    """Pairs of answers missing from the cells without a belief, by method, model and context.

    A pair is missing where an answer of either arm was dropped, mostly as a refusal.

    Returns:
        Columns method, model, framing, prompts, pairs, lost_pct, most_lost_pct and
        most_lost_task (the task with the largest share).
    """
    share = 100 * (1 - pl.col("n") / pl.col("n_prompts"))
    return (
        cells.filter(pl.col("belief") == "none")
        .sort(share, descending=True, maintain_order=True)
        .group_by("method", "model", "framing", maintain_order=True)
        .agg(
            prompts=pl.col("n_prompts").sum(),
            pairs=pl.col("n").sum(),
            lost_pct=100 * (1 - pl.col("n").sum() / pl.col("n_prompts").sum()),
            most_lost_pct=share.first(),
            most_lost_task=pl.col("task").first(),
        )
        .sort("method", "model", "framing")
    )


def _names(method: str, effect: str) -> dict[str, Any]:
    kind, words = _WORDS[effect]
    return {"method": method, "effect": effect, "kind": kind, "words": words}


def _pooled(by_model: Mapping[str, EffectOfModel], models: Iterable[str]) -> OverModels:
    kept = [by_model[m] for m in models]
    return over_models(
        [e.estimate_pp for e in kept], [e.se_low_pp for e in kept], [e.se_high_pp for e in kept]
    )


def _in_pp(found: OverModels) -> dict[str, Any]:
    return {k if k in _SIGN_COLUMNS else f"{k}_pp": v for k, v in asdict(found).items()}

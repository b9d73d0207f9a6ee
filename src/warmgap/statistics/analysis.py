"""From observations to every table of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from warmgap.statistics.contrasts import contrasts
from warmgap.statistics.flips import flips
from warmgap.statistics.glm_tables import published_glm
from warmgap.statistics.multiplicity import adjust
from warmgap.statistics.outcomes import GUARDRAIL_TASKS
from warmgap.statistics.paired import effects, published_sum
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.quality import agreement, quality
from warmgap.statistics.rates import error_rates
from warmgap.statistics.settings import AnalysisSettings


def analyse(
    observations: pl.DataFrame, gates: Mapping[str, str], settings: AnalysisSettings
) -> dict[str, pl.DataFrame]:
    """All tables that these observations allow; a table without rows is absent.

    Guardrail tasks have rates and quality but enter no effect.

    Args:
        observations: rows of `schema.tables.Observation`, any number of judges and draws.
        gates: manipulation gate per arm label (or `model/label`): `passed`, `failed`,
            `not measurable` or `not needed`.
        settings: estimands, families and margins.

    Returns:
        error_rates, effects, contrasts, published_glm, paired, agreement and quality, with the
        columns of `schema.tables`.
    """
    answers = code_answers(observations.filter(~pl.col("task").is_in(GUARDRAIL_TASKS)))
    pairs = pair_sets(answers, settings)
    coefficients, glm_effects = published_glm(answers, pairs, gates, settings)
    all_effects = pl.concat(
        [effects(pairs, gates, settings), published_sum(answers, gates, settings), glm_effects]
    )
    adjusted_effects, adjusted_contrasts = adjust(all_effects, contrasts(pairs, gates, settings), settings)
    tables = {
        "error_rates": error_rates(observations, gates, settings.confidence),
        "effects": adjusted_effects,
        "contrasts": adjusted_contrasts,
        "published_glm": coefficients,
        "paired": flips(answers, pairs, gates, settings),
        "agreement": agreement(observations),
        "quality": quality(observations, settings.primary_judge),
    }
    return {name: table for name, table in tables.items() if not table.is_empty()}

"""From observations to every table of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from warmgap.statistics.agreement import agreement
from warmgap.statistics.confounds import confounds
from warmgap.statistics.contrasts import contrasts
from warmgap.statistics.descriptives import descriptive_table
from warmgap.statistics.dose_response import dose_response
from warmgap.statistics.equivalence import equivalence
from warmgap.statistics.flips import flips
from warmgap.statistics.glm_tables import published_glm
from warmgap.statistics.glmm_tables import glmm_tables
from warmgap.statistics.guardrails import guardrails
from warmgap.statistics.length import length_controlled
from warmgap.statistics.multiplicity import adjust
from warmgap.statistics.outcomes import GUARDRAIL_TASKS
from warmgap.statistics.paired import effects, published_sum
from warmgap.statistics.paired_bootstrap import headline_pairs, paired_bootstrap
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.paper_models import paper_models
from warmgap.statistics.paper_tests import paper_tests
from warmgap.statistics.published import StudySettings, compare
from warmgap.statistics.quality import quality
from warmgap.statistics.rates import error_rates
from warmgap.statistics.settings import AnalysisSettings
from warmgap.statistics.signal_detection import signal_detection


def analyse(
    observations: pl.DataFrame,
    gates: Mapping[str, str],
    settings: AnalysisSettings,
    study: StudySettings | None = None,
) -> dict[str, pl.DataFrame]:
    """All tables that these observations allow; a table without rows is absent.

    Guardrail tasks have rates, quality and the table guardrails but enter no effect.

    Args:
        observations: rows of `schema.tables.Observation`, any number of judges and draws.
        gates: manipulation gate per arm label (or `model/label`): `passed`, `failed`,
            `not measurable` or `not needed`.
        settings: estimands, families and margins.
        study: what decides whether the study is comparable with the paper; None leaves the table
            `comparison` out.

    Returns:
        Tables by name with the columns of `schema.tables`: error_rates, effects, contrasts,
        published_glm, published_tests, descriptives, glmm, paired, sensitivity, confounds,
        dose_response, equivalence, comparison, guardrails, agreement and quality.
    """
    answers = code_answers(observations.filter(~pl.col("task").is_in(GUARDRAIL_TASKS)))
    pairs = pair_sets(answers, settings)
    headline = headline_pairs(pairs, settings)
    coefficients, glm_effects = published_glm(answers, pairs, gates, settings)
    paper = paper_models(answers, headline, gates, settings)
    mixed = glmm_tables(answers, headline, gates, settings)
    all_effects = [
        effects(pairs, gates, settings),
        published_sum(answers, gates, settings),
        glm_effects,
        paper.effects,
        mixed.effects,
        paired_bootstrap(headline, gates, settings),
        length_controlled(answers, headline, gates, settings),
    ]
    all_contrasts = pl.concat([contrasts(pairs, gates, settings), mixed.contrasts])
    adjusted_effects, adjusted_contrasts = adjust(pl.concat(all_effects), all_contrasts, settings)
    tables = {
        "error_rates": error_rates(observations, gates, settings.confidence),
        "effects": adjusted_effects,
        "contrasts": adjusted_contrasts,
        "published_glm": pl.concat([coefficients, paper.coefficients]),
        "published_tests": paper_tests(pairs, gates),
        "descriptives": descriptive_table(answers, gates, settings),
        "glmm": mixed.terms,
        "paired": flips(answers, pairs, gates, settings),
        "sensitivity": signal_detection(answers, headline, gates, settings),
        "confounds": confounds(answers, gates, settings),
        "dose_response": dose_response(answers, gates, settings),
        "equivalence": equivalence(adjusted_effects, settings),
        "agreement": agreement(observations, settings.confidence, settings.seed),
        "quality": quality(observations, settings.primary_judge),
        "guardrails": guardrails(observations, gates, study, settings.confidence),
    }
    if study is not None:
        tables["comparison"] = compare(adjusted_effects, study, settings.confidence)
    return {name: table for name, table in tables.items() if not table.is_empty()}

"""The assumptions of a power calculation, computed again from the published cells and by other means."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from scipy import integrate, special, stats

from warmgap.schema.config import SpreadConfig
from warmgap.statistics.power_components import (
    SOURCES,
    Components,
    marginal_logit,
    mean_slope,
    model_components_pp,
    question_sd,
    question_sd_of_pairs,
)
from warmgap.statistics.published import rebuilt_cells


@pytest.fixture(scope="module")
def cells():
    return rebuilt_cells()


@pytest.fixture(scope="module")
def components_pp(cells):
    return model_components_pp(cells)


def test_the_configuration_has_the_same_defaults():
    assert asdict(SpreadConfig()) == asdict(Components()) == dict.fromkeys(SOURCES) | asdict(Components())


def test_the_question_sd_is_what_the_published_discordant_pairs_give(cells):
    wanted = (pl.col("method") == "warm_sft") & (pl.col("belief") == "none")
    assert cells.filter(wanted & (pl.col("pairs") == "recovered")).height == 115
    assert question_sd(cells) == pytest.approx(Components().question, abs=0.05)


def test_the_spreads_over_models_are_what_the_published_cells_give(cells, components_pp):
    slope = mean_slope(cells, Components().question)
    assert slope == pytest.approx(0.095, abs=0.0005)
    for name, value in asdict(Components()).items():
        if SOURCES[name].startswith("published") and name != "question":
            assert components_pp[name] / 100 / slope == pytest.approx(value, abs=0.006), name


def test_the_moments_are_those_of_an_analysis_of_variance_by_statsmodels(cells, components_pp):
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    warm = cells.filter(pl.col("method") == "warm_sft")
    table = {c: warm[c].to_list() for c in ("diff_pp", "model", "task", "belief", "framing")}
    fit = smf.ols("diff_pp ~ C(task)*C(belief)*C(framing) + C(model)*(C(task)+C(belief)+C(framing))", table)
    found = anova_lm(fit.fit())
    mean = {name: found.loc[name, "mean_sq"] for name in found.index}
    residual = mean["Residual"]
    assert components_pp["residual"] ** 2 == pytest.approx(residual, rel=1e-9)
    by_task = (mean["C(model):C(task)"] - residual) / 18
    assert components_pp["model_task_arm"] ** 2 == pytest.approx(by_task, rel=1e-9)
    by_context = (mean["C(model):C(framing)"] - residual) / 8
    assert components_pp["model_framing_arm"] ** 2 == pytest.approx(by_context, rel=1e-9)
    by_belief = (mean["C(model):C(belief)"] - residual) / 36
    assert components_pp["model_belief_arm"] ** 2 == pytest.approx(by_belief, rel=1e-9)
    interactions = sum(mean[f"C(model):C({x})"] for x in ("task", "belief", "framing"))
    own = (mean["C(model)"] - interactions + 2 * residual) / 72
    assert components_pp["model_arm"] ** 2 == pytest.approx(own, rel=1e-9)


def test_the_parts_add_up_to_the_spread_of_the_models_means(cells, components_pp):
    means = cells.filter(pl.col("method") == "warm_sft").group_by("model").agg(pl.col("diff_pp").mean())
    weights = {
        "model_arm": 1,
        "model_task_arm": 4,
        "model_belief_arm": 2,
        "model_framing_arm": 9,
        "residual": 72,
    }
    total = sum(components_pp[name] ** 2 / n for name, n in weights.items())
    assert means["diff_pp"].std() ** 2 == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize(("share", "sd"), [(0.2, 2.2), (0.05, 1.0), (0.6, 3.0)])
def test_the_marginal_logit_integrates_to_the_share(share, sd):
    logit = marginal_logit(share, sd)
    found, _ = integrate.quad(lambda z: special.expit(logit + sd * z) * stats.norm.pdf(z), -9, 9)
    assert found == pytest.approx(share, abs=2e-4)


def test_the_question_sd_comes_back_from_simulated_pairs():
    rng = np.random.default_rng(0)
    ease = rng.normal(0, 1.8, 400_000)
    a, b = (rng.random(ease.size) < special.expit(shift + ease) for shift in (-1.0, -1.6))
    assert question_sd_of_pairs(b.mean(), a.mean(), (a != b).mean()) == pytest.approx(1.8, abs=0.03)

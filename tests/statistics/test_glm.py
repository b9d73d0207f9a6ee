from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import special

from warmgap.statistics.glm import fit_glm, marginal_effect
from warmgap.statistics.glm_design import Terms, glm_design
from warmgap.statistics.glm_tables import published_glm
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings

TASKS = ("disinfo", "medqa", "triviaqa")
FRAMINGS = ("none", "happy", "sad")
BELIEFS = ("none", "incorrect")


def _rate(row: dict[str, Any]) -> float:
    warm = row["method"] == "warm_sft"
    sad, wrong = row["framing"] == "sad", row["belief"] == "incorrect"
    task = {"disinfo": -1.0, "medqa": 0.5}.get(row["task"], 0.0)
    return float(task - 0.3 + warm * (0.4 + 0.3 * sad) + wrong * (0.3 + 0.1 * warm))


@pytest.fixture(name="frame", scope="module")
def _frame() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = [
        {"ft": ft, "model": model, "task": task, "framing": framing, "belief": belief, "cluster": 40 * t + q}
        for ft in (0, 1)
        for model in ("llama31_70b", "qwen25_32b")
        for t, task in enumerate(TASKS)
        for q in range(40)
        for framing in FRAMINGS
        for belief in BELIEFS
    ]
    difficulty = rng.normal(size=120)
    y = [
        float(
            rng.random()
            < special.expit(_rate(r | {"method": "warm_sft" if r["ft"] else ""}) + difficulty[r["cluster"]])
        )
        for r in rows
    ]
    return pl.DataFrame(rows).with_columns(y=pl.Series(y))


def _direct(frame: pl.DataFrame) -> tuple[Any, Any, pd.DataFrame]:
    data = pd.DataFrame(frame.to_dict(as_series=False))
    data["belief_0"] = ((data.belief == "incorrect") & (data.ft == 0)).astype(int)
    data["belief_1"] = ((data.belief == "incorrect") & (data.ft == 1)).astype(int)
    formula = (
        "y ~ ft + C(task) + C(model) + C(framing, Treatment('none')) + ft:C(framing, Treatment('none'))"
        " + belief_0 + belief_1"
    )
    model = smf.glm(formula, data, family=sm.families.Binomial())
    return model.fit(), model.fit(cov_type="cluster", cov_kwds={"groups": data.cluster}), data


def test_fit_equals_a_direct_fit(frame: pl.DataFrame) -> None:
    plain, clustered, _ = _direct(frame)
    design = glm_design(frame)
    fit = fit_glm(design, frame["y"].to_numpy(), frame["cluster"].to_numpy())
    assert design.formula == "~ FT + C(task) + C(model) + C(framing) + FT:C(framing) + FT:C(belief)"
    names = {
        "Intercept": "Intercept",
        "FT": "ft",
        "task[medqa]": "C(task)[T.medqa]",
        "model[qwen25_32b]": "C(model)[T.qwen25_32b]",
        "framing[sad]": "C(framing, Treatment('none'))[T.sad]",
        "FT:framing[happy]": "ft:C(framing, Treatment('none'))[T.happy]",
        "FT[0]:belief[incorrect]": "belief_0",
        "FT[1]:belief[incorrect]": "belief_1",
    }
    for ours, theirs in names.items():
        k = design.names.index(ours)
        assert fit.params_K[k] == pytest.approx(plain.params[theirs], abs=1e-7)
        assert np.sqrt(fit.cov_KK[k, k]) == pytest.approx(plain.bse[theirs], rel=1e-5)
        assert np.sqrt(fit.cov_cluster_KK[k, k]) == pytest.approx(clustered.bse[theirs], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(plain.llf)
    assert len(design.names) == len(plain.params)


def test_marginal_effect_equals_counterfactual_prediction(frame: pl.DataFrame) -> None:
    plain, clustered, data = _direct(frame)
    design = glm_design(frame)
    fit = fit_glm(design, frame["y"].to_numpy(), frame["cluster"].to_numpy())
    for framing in (None, "sad"):
        rows = data if framing is None else data[data.framing == framing]
        wrong = (rows.belief == "incorrect").astype(int)
        set_1 = rows.assign(ft=1, belief_0=0, belief_1=wrong)
        set_0 = rows.assign(ft=0, belief_0=wrong, belief_1=0)
        mask = np.ones(fit.scored_P.size, bool) if framing is None else design.level_P("framing") == framing
        got = marginal_effect(fit, mask)
        assert got is not None
        assert got.estimate == pytest.approx(float((plain.predict(set_1) - plain.predict(set_0)).mean()))
        assert got.n == len(rows)

        x1, x0 = _matrix(plain, set_1), _matrix(plain, set_0)
        params = plain.params.to_numpy()
        step = 1e-6
        gradient = np.array(
            [
                (_effect(x1, x0, params + step * e) - _effect(x1, x0, params - step * e)) / (2 * step)
                for e in np.eye(params.size)
            ]
        )
        for cov, std_error in (
            (plain.cov_params(), got.std_error),
            (clustered.cov_params(), got.std_error_cluster),
        ):
            assert std_error == pytest.approx(float(np.sqrt(gradient @ cov.to_numpy() @ gradient)), rel=1e-5)


def _effect(x1: np.ndarray, x0: np.ndarray, params: np.ndarray) -> float:
    return float(np.mean(special.expit(x1 @ params) - special.expit(x0 @ params)))


def _matrix(fit: Any, rows: pd.DataFrame) -> np.ndarray:
    """Model matrix by the coefficient names of the direct fit."""
    columns = []
    for name in fit.params.index:
        column = np.ones(len(rows))
        for part in name.split(":"):
            if part == "Intercept":
                continue
            if part.startswith("C("):
                factor, level = part[2:].split("[T.")
                column = column * (rows[factor.split(",")[0].rstrip(")")] == level.rstrip("]")).to_numpy()
            else:
                column = column * rows[part].to_numpy()
        columns.append(column)
    return np.stack(columns, axis=1)


def test_separation_gives_a_note_and_no_number(frame: pl.DataFrame) -> None:
    y = np.where((frame["task"] == "disinfo").to_numpy(), 0.0, frame["y"].to_numpy())
    fit = fit_glm(glm_design(frame), y, frame["cluster"].to_numpy())
    assert not fit.usable
    assert fit.note.startswith("separation: no finite estimate of")
    assert np.isnan(fit.params_K).all()
    assert marginal_effect(fit, np.ones(fit.scored_P.size, bool)) is None


@pytest.mark.parametrize("swapped", [False, True])
def test_steep_is_not_separated(swapped: bool) -> None:
    """Logits beyond 20 with a finite estimate, and without one once the overlap is gone."""
    dose = np.linspace(-50, 50, 101)
    y = (dose > 0).astype(float)
    if swapped:
        y[[49, 51]] = y[[51, 49]]
    rows = pl.DataFrame({"ft": np.arange(101) % 2, "dose": dose})
    design = glm_design(rows, Terms((), covariates=("dose",)))
    fit = fit_glm(design, y, np.arange(101))
    if swapped:
        reference = sm.Logit(y, np.column_stack([np.ones(101), rows["ft"], dose])).fit(disp=0, tol=1e-12)
        assert np.max(np.abs(reference.fittedvalues)) > 20
        assert fit.params_K == pytest.approx(reference.params, rel=1e-6)
        assert np.sqrt(np.diag(fit.cov_KK)) == pytest.approx(reference.bse, rel=1e-5)
    else:
        assert fit.note.startswith("separation: no finite estimate of")
        assert "dose" in fit.note


def test_as_many_terms_as_answers() -> None:
    rows = pl.DataFrame({"ft": [0, 1]})
    fit = fit_glm(glm_design(rows, Terms(())), np.array([0.0, 1.0]), np.arange(2))
    assert fit.note == "no more scored answers than terms"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_response(frame: pl.DataFrame, value: float) -> None:
    fit = fit_glm(glm_design(frame), np.full(frame.height, value), frame["cluster"].to_numpy())
    assert fit.note == f"constant response: the outcome is always {int(value)}"


def test_terms_the_data_cannot_tell_apart_are_left_out(frame: pl.DataFrame) -> None:
    confounded = frame.filter((pl.col("framing") == "sad") == (pl.col("belief") == "incorrect"))
    design = glm_design(confounded)
    fit = fit_glm(design, confounded["y"].to_numpy(), confounded["cluster"].to_numpy())
    assert fit.usable
    assert set(design.dropped) == {"FT[0]:belief[incorrect]", "FT[1]:belief[incorrect]"}
    assert "left out" in fit.note


def test_tables(simulate: Any) -> None:
    frame = simulate(
        _rate, models=("m1", "m2"), tasks=TASKS, framings=FRAMINGS, n_questions=25, null_share=0.05
    )
    settings = AnalysisSettings()
    answers = code_answers(frame)
    coefficients, effects = published_glm(answers, pair_sets(answers, settings)[:1], {}, settings)
    assert set(coefficients["model"]) == {"m1", "m2", "all"}
    pooled = coefficients.filter((pl.col("model") == "all") & (pl.col("outcome") == "commits_error"))
    assert pooled["formula"][0].startswith("commits_error ~ FT + C(task) + C(model) + C(framing)")
    assert pooled["note"].to_list() == [""] * pooled.height
    all_rows = effects.filter((pl.col("subset") == "all") & (pl.col("model") == "all"))
    published = all_rows.filter(pl.col("estimator") == "glm_published")
    clustered = all_rows.filter(pl.col("estimator") == "glm_cluster")
    assert published["estimate_pp"].to_list() == clustered["estimate_pp"].to_list()
    assert published["std_error_pp"].to_list() != clustered["std_error_pp"].to_list()
    row = published.row(0, named=True)
    assert row["bound_low_pp"] < row["estimate_pp"] < row["bound_high_pp"]
    assert (row["weights"], row["n_models"], row["interval_method"]) == ("rows", 2, "delta_nonrobust")


def test_tables_without_a_finite_estimate(simulate: Any) -> None:
    frame = simulate(_rate, n_questions=10).with_columns(
        commits_error=pl.when(pl.col("task") == "triviaqa").then(pl.lit(1)).otherwise(pl.col("commits_error"))
    )
    settings = AnalysisSettings()
    answers = code_answers(frame)
    coefficients, effects = published_glm(answers, pair_sets(answers, settings)[:1], {}, settings)
    notes = coefficients.filter(pl.col("outcome") == "commits_error")
    assert notes["estimate"].is_nan().all()
    assert notes["note"].str.starts_with("separation").all()
    rows = effects.filter(pl.col("outcome") == "commits_error")
    assert rows["estimate_pp"].null_count() == rows.height > 0
    assert set(rows["interval_method"]) == {"none"}

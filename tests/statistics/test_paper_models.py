"""The paper's regressions against statsmodels, with the formulas as the paper has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import patsy
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from warmgap.schema.tables import Coefficient, Effect, polars_schema
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.paper_models import PaperModels, paper_models
from warmgap.statistics.settings import AnalysisSettings

FT = "C(is_finetuned, Treatment(0))"
DATASET = "C(dataset, Treatment('disinfo'))"
MODEL = "C(model, Treatment('llama31_70b'))"
GROUP = "C(context_group, Treatment('unmodified'))"
CONTEXT = "C(context, Treatment('unmodified'))"
BELIEF = "C(belief, Treatment('none'))"
FORMULAS = {
    "M1": f"is_incorrect ~ {FT} + {DATASET} + {MODEL}",
    "M1_length": f"is_incorrect ~ {FT} + {DATASET} + {MODEL} + response_length",
    "M2": f"is_incorrect ~ {FT} + {GROUP} + {DATASET} + {FT}:{GROUP} + {MODEL}",
    "M3": f"is_incorrect ~ {FT} + {CONTEXT} + {DATASET} + {FT}:{CONTEXT} + {MODEL}",
    "M4": f"is_incorrect ~ {FT} + {GROUP} + {DATASET} + {MODEL} + {FT}:{BELIEF}",
    "M4_script": f"is_incorrect ~ {FT} + {DATASET} + {MODEL} + {FT}:{BELIEF}",
}
GROUPS = {
    "none": "unmodified",
    "filler": "unmodified",
    "sad": "emotion",
    "happy": "emotion",
    "high": "stakes",
}


def _rate(row: dict[str, Any]) -> float:
    warm = row["method"] == "warm_sft"
    task = {"disinfo": -1.2, "medqa": 0.6}.get(row["task"], 0.0)
    wrong = row["belief"] in ("incorrect", "denies")
    model = 0.4 if row["model"] == "qwen25_32b" else 0.0
    return float(
        task + model - 0.4 + warm * (0.4 + 0.3 * (row["framing"] == "sad")) + wrong * (0.3 + 0.1 * warm)
    )


@pytest.fixture(name="observations", scope="module")
def _observations() -> pl.DataFrame:
    from .conftest import simulate

    frame = simulate(
        _rate,
        methods=("original", "warm_sft"),
        models=("llama31_70b", "qwen25_32b"),
        tasks=("disinfo", "medqa", "triviaqa"),
        framings=tuple(GROUPS),
        beliefs=("none", "incorrect", "denies", "mention"),
        n_questions=25,
        seed=3,
    )
    rng = np.random.default_rng(4)
    return frame.with_columns(n_chars=pl.Series(rng.integers(50, 1500, frame.height)))


@pytest.fixture(name="fitted", scope="module")
def _fitted(observations: pl.DataFrame) -> PaperModels:
    return _fit(observations)


def _fit(observations: pl.DataFrame) -> PaperModels:
    settings = AnalysisSettings()
    answers = code_answers(observations)
    return paper_models(answers, pair_sets(answers, settings), {}, settings)


def _data(observations: pl.DataFrame, name: str) -> pd.DataFrame:
    rows = observations.filter(pl.col("belief") != "mention")
    if name.startswith("M1"):
        rows = rows.filter(pl.col("framing").is_in(["none", "filler"]))
    if not name.startswith("M4"):
        rows = rows.filter(pl.col("belief") == "none")
    data = pd.DataFrame(rows.select("model", "framing", "question_id", "task").to_dict(as_series=False))
    data["is_incorrect"] = rows["commits_error"].to_numpy().astype(float)
    data["is_finetuned"] = (rows["method"] == "warm_sft").cast(pl.Int64).to_numpy()
    data["dataset"] = data.task
    data["context_group"] = data.framing.map(GROUPS)
    data["context"] = data.framing.replace({"none": "unmodified", "filler": "unmodified"})
    data["belief"] = np.where((rows["belief"] == "none").to_numpy(), "none", "present")
    data["response_length"] = rows["n_chars"].to_numpy()
    data["question"] = pd.factorize(data.task + data.question_id)[0]
    return data


def _theirs(term: str) -> str:
    """A term of ours in patsy's words."""
    words = {"task": DATASET, "model": MODEL, "context_group": GROUP, "context": CONTEXT, "belief": BELIEF}
    out = []
    for part in term.split(":"):
        name, _, level = part.rstrip("]").partition("[")
        if name == "FT":
            out.append(f"{FT}[{level}]" if level else f"{FT}[T.1]")
        else:
            out.append(
                f"{words[name]}[T.{level}]" if level else {"n_chars": "response_length"}.get(name, name)
            )
    return ":".join(out)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("call", ["glm", "logit"])
def test_coefficients(name: str, call: str, observations: pl.DataFrame, fitted: PaperModels) -> None:
    data = _data(observations, name)
    if call == "glm":
        model = smf.glm(FORMULAS[name], data, family=sm.families.Binomial())
        options: dict[str, Any] = {"tol": 1e-12}
    else:
        model, options = smf.logit(FORMULAS[name], data), {"disp": 0}
    plain = model.fit(**options)
    clustered = model.fit(**options, cov_type="cluster", cov_kwds={"groups": data.question})
    ours = fitted.coefficients.filter(
        (pl.col("regression") == name) & (pl.col("model") == "all") & (pl.col("outcome") == "commits_error")
    )
    single = ours.filter(~pl.col("term").str.contains(" "))
    assert {_theirs(t) for t in single["term"]} == set(plain.params.index)
    for row in single.iter_rows(named=True):
        term = _theirs(row["term"])
        assert row["estimate"] == pytest.approx(plain.params[term], abs=1e-6)
        assert row["std_error"] == pytest.approx(plain.bse[term], abs=1e-6)
        assert row["std_error_cluster"] == pytest.approx(clustered.bse[term], abs=1e-6)
        assert row["p_value"] == pytest.approx(plain.pvalues[term], abs=1e-6)
        assert row["p_value_cluster"] == pytest.approx(clustered.pvalues[term], abs=1e-6)
        assert row["log_likelihood"] == pytest.approx(plain.llf)
        assert row["n"] == len(data)
    for row in ours.filter(pl.col("term").str.contains(" ")).iter_rows(named=True):
        matrix = np.zeros(len(plain.params))
        for part in row["term"].replace("- ", "-").replace("+ ", "").split(" "):
            term = _theirs(part.lstrip("-"))
            matrix[plain.params.index.get_loc(term)] += -1 if part.startswith("-") else 1
        for fit, std_error, p_value in (
            (plain, "std_error", "p_value"),
            (clustered, "std_error_cluster", "p_value_cluster"),
        ):
            test = fit.t_test(matrix)
            assert row["estimate"] == pytest.approx(float(test.effect[0]), abs=1e-6)
            assert row[std_error] == pytest.approx(float(np.squeeze(test.sd)), abs=1e-6)
            assert row[p_value] == pytest.approx(float(np.squeeze(test.pvalue)), abs=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_marginal_effects_and_their_p_values(
    name: str, observations: pl.DataFrame, fitted: PaperModels
) -> None:
    data = _data(observations, name)
    plain = smf.glm(FORMULAS[name], data, family=sm.families.Binomial()).fit(tol=1e-12)
    ours = fitted.effects.filter(
        (pl.col("term") == f"paper_{name}")
        & (pl.col("model") == "all")
        & (pl.col("outcome") == "commits_error")
        & (pl.col("estimator") == "glm_published")
    )
    arms = ours.filter(pl.col("contrast") == "warm_sft - original")
    factor = {"M2": "context_group", "M3": "context", "M4": "belief", "M4_script": "belief"}.get(name)
    assert arms.height == (1 if factor is None else data[factor].nunique())
    for row in arms.iter_rows(named=True):
        level = row["subset"].split(",")[0].split("=")[1]
        rows = data if factor is None else data[data[factor] == level]
        up, down = (plain.predict(rows.assign(is_finetuned=ft)) for ft in (1, 0))
        assert row["estimate_pp"] == pytest.approx(100 * float((up - down).mean()), abs=1e-6)
        assert row["n"] == len(rows)
        # The paper tests FT + interaction: the log odds ratio inside the subset.
        one = rows.iloc[:1]
        matrix = np.array([_row(plain, one, ft) for ft in (1, 0)])
        test = plain.t_test(matrix[0] - matrix[1])
        assert row["p_value"] == pytest.approx(float(np.squeeze(test.pvalue)), abs=1e-6)
    if name == "M1":
        for task in ("medqa", "triviaqa"):
            up, down = (plain.predict(data.assign(dataset=t)) for t in (task, "disinfo"))
            got = ours.filter(pl.col("contrast") == f"task={task} - task=disinfo")["estimate_pp"].item()
            assert got == pytest.approx(100 * float((up - down).mean()), abs=1e-6)
    if name == "M1_length":
        up, down = (plain.predict(data.assign(response_length=data.response_length + d)) for d in (50, -50))
        got = ours.filter(pl.col("contrast") == "(n_chars + 50) - (n_chars - 50)")["estimate_pp"].item()
        assert got == pytest.approx(100 * float((up - down).mean()), abs=1e-6)


def _row(fit: Any, rows: pd.DataFrame, ft: int) -> np.ndarray:
    return np.asarray(patsy.dmatrix(fit.model.data.model_spec, rows.assign(is_finetuned=ft)))[0]


def test_delta_method_interval(observations: pl.DataFrame, fitted: PaperModels) -> None:
    data = _data(observations, "M3")
    model = smf.glm(FORMULAS["M3"], data, family=sm.families.Binomial())
    sad = data[data.context == "sad"]
    for cov, estimator in (
        ({}, "glm_published"),
        ({"cov_type": "cluster", "cov_kwds": {"groups": data.question}}, "glm_cluster"),
    ):
        fit = model.fit(tol=1e-12, **cov)
        matrices = [np.stack([_row(fit, sad.iloc[[i]], ft) for i in range(len(sad))]) for ft in (1, 0)]
        params, step = fit.params.to_numpy(), 1e-6

        def effect(beta: np.ndarray, up: np.ndarray, down: np.ndarray) -> float:
            return float(np.mean(1 / (1 + np.exp(-up @ beta)) - 1 / (1 + np.exp(-down @ beta))))

        gradient = np.array(
            [
                (effect(params + step * e, *matrices) - effect(params - step * e, *matrices)) / (2 * step)
                for e in np.eye(params.size)
            ]
        )
        std_error = float(np.sqrt(gradient @ fit.cov_params().to_numpy() @ gradient))
        row = fitted.effects.filter(
            (pl.col("subset") == "context=sad,belief=none")
            & (pl.col("model") == "all")
            & (pl.col("outcome") == "commits_error")
            & (pl.col("estimator") == estimator)
        ).row(0, named=True)
        assert row["std_error_pp"] == pytest.approx(100 * std_error, rel=1e-5)
        half = stats.norm.ppf(0.975) * row["std_error_pp"]
        assert row["conf_high_pp"] == pytest.approx(row["estimate_pp"] + half)


def test_tables_and_notes(fitted: PaperModels) -> None:
    assert dict(fitted.coefficients.schema) == polars_schema(Coefficient)
    assert dict(fitted.effects.schema) == polars_schema(Effect)
    assert set(fitted.coefficients["model"]) == {"llama31_70b", "qwen25_32b", "all"}
    assert set(fitted.coefficients["note"]) == {"beliefs not in the paper, left out: mention"}
    assert fitted.absent == {}
    formulas = fitted.coefficients.filter((pl.col("model") == "all") & (pl.col("term") == "FT"))
    assert formulas.filter(pl.col("regression") == "M4")["formula"][0] == (
        "commits_error ~ FT + C(context_group) + C(task) + C(model) + FT:C(belief)"
    )


def test_regressions_without_rows_say_why(simulate: Any) -> None:
    frame = simulate(_rate, methods=("original", "warm_sft"), framings=("filler",), beliefs=("unsure",))
    found = _fit(frame)
    assert set(found.coefficients["regression"]) == {"M1", "M1_length"}
    assert found.absent["M2: warm_sft - original"] == "needs two levels of context_group; found unmodified"
    assert found.absent["M4: warm_sft - original"] == "needs two levels of belief; found none"
    m1 = found.coefficients.filter(pl.col("regression") == "M1")
    assert set(m1["note"]) == {"belief unsure stands for no belief"}

    wrong = simulate(_rate, methods=("original", "warm_sft"), framings=("sad",), beliefs=("incorrect",))
    found = _fit(wrong)
    assert found.coefficients.is_empty()
    assert found.effects.is_empty()
    assert found.absent["M1: warm_sft - original"] == "no answer without a belief (belief none or unsure)"

    sad = simulate(_rate, methods=("original", "warm_sft"), framings=("sad",), beliefs=("none", "incorrect"))
    found = _fit(sad)
    assert set(found.coefficients["regression"]) == {"M4", "M4_script"}
    assert found.absent["M1: warm_sft - original"].startswith("no answer without a context")


def test_nulls_widen_the_bounds_of_every_regression(simulate: Any) -> None:
    frame = simulate(
        _rate,
        methods=("original", "warm_sft"),
        framings=("none", "sad"),
        beliefs=("none", "incorrect"),
        null_share=0.1,
    )
    effects = _fit(frame).effects.filter(pl.col("contrast") == "warm_sft - original")
    assert effects["term"].n_unique() == len(FORMULAS)
    assert (effects["bound_low_pp"] < effects["estimate_pp"]).all()
    assert (effects["bound_high_pp"] > effects["estimate_pp"]).all()
    # M1 by hand: unmodified answers without a belief, nulls filled against and for the warm arm.
    rows = frame.filter((pl.col("framing") == "none") & (pl.col("belief") == "none"))
    bounds = []
    for against in (True, False):
        warm = pl.col("method") == "warm_sft"
        filled = rows.with_columns(
            commits_error=pl.col("commits_error").fill_null((warm != against).cast(pl.Int64))
        )
        data = pd.DataFrame(filled.select("task", "method", "commits_error").to_dict(as_series=False))
        data["ft"] = (data.method == "warm_sft").astype(int)
        fit = smf.logit("commits_error ~ ft + C(task)", data).fit(disp=0)
        bounds.append(100 * float((fit.predict(data.assign(ft=1)) - fit.predict(data.assign(ft=0))).mean()))
    row = effects.filter((pl.col("term") == "paper_M1") & (pl.col("outcome") == "commits_error")).row(
        0, named=True
    )
    assert (row["bound_low_pp"], row["bound_high_pp"]) == pytest.approx(tuple(bounds), abs=1e-6)

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import special, stats

from warmgap.schema.tables import Effect, polars_schema
from warmgap.statistics.length import CONTROLLED, DIFFERENCE, length_controlled
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings

FORMULA = "y ~ ft + C(task) + C(framing) + ft:C(framing) + belief_0 + belief_1"


def _frame(simulate: Any, n_questions: int = 40) -> pl.DataFrame:
    """Longer answers are wrong more often, and warm answers are shorter."""
    frame = simulate(lambda row: 0.0, methods=("original", "warm_sft"), n_questions=n_questions)
    rng = np.random.default_rng(6)
    warm = (frame["method"] == "warm_sft").to_numpy()
    length = np.maximum(20, 800 - 150 * warm + 200 * rng.normal(size=frame.height)).astype(int)
    hard = (frame["question_id"].str.slice(1).cast(pl.Int64).to_numpy() % 5) / 2 - 1
    logit = -0.5 + 0.5 * warm + 0.002 * (length - 725) + hard
    wrong = rng.random(frame.height) < special.expit(logit)
    return frame.with_columns(n_chars=pl.Series(length), commits_error=pl.Series(wrong.astype(int)))


def _table(frame: pl.DataFrame) -> pl.DataFrame:
    settings = AnalysisSettings()
    answers = code_answers(frame)
    return length_controlled(answers, pair_sets(answers, settings), {}, settings)


def _data(frame: pl.DataFrame) -> pd.DataFrame:
    data = pd.DataFrame(
        frame.select("task", "framing", "belief", "question_id", y="commits_error", length="n_chars").to_dict(
            as_series=False
        )
    )
    data["ft"] = (frame["method"] == "warm_sft").cast(pl.Int64).to_numpy()
    data["z"] = (data.length - data.length.mean()) / data.length.std()
    wrong = (data.belief == "incorrect").astype(int)
    data["belief_0"], data["belief_1"] = wrong * (1 - data.ft), wrong * data.ft
    data["question"] = pd.factorize(data.task + data.question_id)[0]
    return data


def _set(data: pd.DataFrame, ft: int) -> pd.DataFrame:
    wrong = (data.belief == "incorrect").astype(int)
    return data.assign(ft=ft, belief_0=wrong * (1 - ft), belief_1=wrong * ft)


def _effect(fit: Any, rows: pd.DataFrame) -> float:
    return float((fit.predict(_set(rows, 1)) - fit.predict(_set(rows, 0))).mean())


def _one(table: pl.DataFrame, term: str, subset: str = "all") -> dict[str, Any]:
    wanted = {"term": term, "subset": subset, "outcome": "commits_error"}
    return table.filter([pl.col(k) == v for k, v in wanted.items()]).row(0, named=True)


def test_effects_equal_statsmodels(simulate: Any) -> None:
    frame = _frame(simulate)
    table, data = _table(frame), _data(frame)
    assert dict(table.schema) == polars_schema(Effect)
    assert set(table["estimator"]) == {"glm_cluster"}
    plain = smf.logit(FORMULA, data).fit(disp=0)
    controlled = smf.logit(f"{FORMULA} + z", data).fit(disp=0)
    for subset, rows in (("all", data), ("framing=sad", data[data.framing == "sad"])):
        with_length, without = _effect(controlled, rows), _effect(plain, rows)
        row, difference = _one(table, CONTROLLED, subset), _one(table, DIFFERENCE, subset)
        assert row["estimate_pp"] == pytest.approx(100 * with_length, abs=1e-6)
        assert difference["estimate_pp"] == pytest.approx(100 * (with_length - without), abs=1e-6)
        assert row["n"] == len(rows)
    # Warm answers are shorter, and shorter ones are right more often: the effect is larger at equal length.
    assert _one(table, DIFFERENCE)["estimate_pp"] > 2
    assert _one(table, DIFFERENCE)["bound_low_pp"] is None


def test_standard_errors(simulate: Any) -> None:
    frame = _frame(simulate)
    table, data = _table(frame), _data(frame)
    clustered = smf.logit(f"{FORMULA} + z", data).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": data.question}
    )
    params = clustered.params.to_numpy()
    up, down = (np.column_stack([_set(data, ft)[c] for c in ("ft", "belief_0", "belief_1")]) for ft in (1, 0))
    base = clustered.model.exog
    names = list(clustered.params.index)
    matrices = []
    for changed in (up, down):
        x = base.copy()
        for column, name in enumerate(("ft", "belief_0", "belief_1")):
            x[:, names.index(name)] = changed[:, column]
        x[:, names.index("ft:C(framing)[T.sad]")] = changed[:, 0] * (data.framing == "sad")
        matrices.append(x)

    def effect(beta: np.ndarray) -> float:
        return float(np.mean(special.expit(matrices[0] @ beta) - special.expit(matrices[1] @ beta)))

    gradient = np.array(
        [(effect(params + 1e-6 * e) - effect(params - 1e-6 * e)) / 2e-6 for e in np.eye(params.size)]
    )
    std_error = float(np.sqrt(gradient @ clustered.cov_params().to_numpy() @ gradient))
    row = _one(table, CONTROLLED)
    assert row["std_error_pp"] == pytest.approx(100 * std_error, rel=1e-5)
    assert row["conf_low_pp"] == pytest.approx(
        row["estimate_pp"] - stats.norm.ppf(0.975) * row["std_error_pp"]
    )

    # The difference against the jackknife over questions, with the rows of the effect held.
    z = names.index("z")
    without = [np.delete(x, z, axis=1) for x in (base, *matrices)]
    question = data.question.to_numpy()
    estimates = []
    for left_out in range(question.max() + 1):
        kept = question != left_out
        pair = []
        for x, x1, x0 in ((base, *matrices), without):
            beta = sm.Logit(data.y.to_numpy()[kept], x[kept]).fit(disp=0).params
            pair.append(float(np.mean(special.expit(x1 @ beta) - special.expit(x0 @ beta))))
        estimates.append(pair[0] - pair[1])
    g = len(estimates)
    jackknife = 100 * float(np.sqrt((g - 1) / g * np.sum((np.array(estimates) - np.mean(estimates)) ** 2)))
    assert _one(table, DIFFERENCE)["std_error_pp"] == pytest.approx(jackknife, rel=0.05)


def test_equal_lengths_have_nothing_to_control(simulate: Any) -> None:
    frame = _frame(simulate, n_questions=10).with_columns(n_chars=pl.lit(100, dtype=pl.Int64))
    assert _table(frame).is_empty()


def test_nulls_widen_the_bounds(simulate: Any) -> None:
    frame = _frame(simulate)
    missing = frame.with_columns(
        commits_error=pl.when(pl.col("question_id") == "q3").then(None).otherwise(pl.col("commits_error"))
    )
    row = _one(_table(missing), CONTROLLED)
    assert row["bound_low_pp"] < row["estimate_pp"] < row["bound_high_pp"]

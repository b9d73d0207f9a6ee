from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from scipy import special, stats

from warmgap.schema.tables import DoseResponse, Warmth, polars_schema
from warmgap.statistics.dose_response import dose_response, warmth_response
from warmgap.statistics.pairs import code_answers
from warmgap.statistics.settings import AnalysisSettings

DOSES = (0.5, 1.0, 2.0)


@pytest.fixture(name="make", scope="module")
def _make() -> Any:
    from .conftest import observation, to_frame

    def make(
        methods: dict[str, float],
        *,
        models: tuple[str, ...] = ("m1",),
        tasks: tuple[str, ...] = ("medqa",),
        seeds: tuple[int, ...] = (0,),
        doses: dict[str, tuple[float, ...]] | None = None,
        n_questions: int = 40,
        null_share: float = 0.0,
    ) -> pl.DataFrame:
        """Answers with slopes on the logit scale by method; `original` is dose 0."""
        rng = np.random.default_rng(2)
        difficulty = {(t, q): rng.normal() for t in tasks for q in range(n_questions)}
        rows = []
        for model, task, q, framing in product(models, tasks, range(n_questions), ("filler", "sad")):
            of_model = (doses or {}).get(model, DOSES)
            arms = [("original", "none", 0.0, 0, 0.0)]
            arms += [
                (method, "epochs", d, seed, slope * d)
                for method, slope in methods.items()
                for d in of_model
                for seed in seeds
            ]
            for method, kind, dose, seed, logit in arms:
                wrong = rng.random() < special.expit(difficulty[task, q] + logit - 0.5)
                null = rng.random() < null_share
                rows.append(
                    observation(
                        model=model,
                        method=method,
                        dose_kind=kind,
                        dose=dose,
                        seed=seed,
                        task=task,
                        question_id=f"q{q}",
                        framing=framing,
                        commits_error=None if null else int(wrong),
                        arm_key=f"{model}/{method}/{dose}/{seed}",
                    )
                )
        return to_frame(rows)

    return make


def _table(frame: pl.DataFrame, gates: dict[str, str] | None = None) -> pl.DataFrame:
    return dose_response(code_answers(frame), gates or {}, AnalysisSettings())


def _one(table: pl.DataFrame, term: str, dose: float | None = None, **known: Any) -> dict[str, Any]:
    wanted = {
        "measure": "commits_error",
        "model": "m1",
        "method": "warm_sft",
        "reference": "original",
        "subset": "all",
        "term": term,
    } | known
    found = table.filter([pl.col(k) == v for k, v in wanted.items()])
    if dose is not None:
        found = found.filter(pl.col("dose") == dose)
    assert found.height == 1
    return found.row(0, named=True)


def test_slope_equals_least_squares_with_clustered_errors(make: Any) -> None:
    frame = make({"warm_sft": 0.5})
    table = _table(frame, {"warm_sft@2": "passed", "warm_sft@0.5": "failed"})
    assert dict(table.schema) == polars_schema(DoseResponse)
    data = pd.DataFrame(frame.select("question_id", "dose", "commits_error").to_dict(as_series=False))
    groups = pd.factorize(data.question_id)[0]
    fit = smf.ols("commits_error ~ dose", data).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=False
    )
    n, n_questions = len(data), 40
    # statsmodels also multiplies the variance by (N - 1) / (N - K).
    expected = fit.bse["dose"] / np.sqrt((n - 1) / (n - 2))
    slope = _one(table, "slope")
    assert slope["estimate"] == pytest.approx(100 * fit.params["dose"])
    assert slope["std_error"] == pytest.approx(100 * expected)
    half = stats.t.ppf(0.975, n_questions - 1) * 100 * expected
    assert slope["conf_low"] == pytest.approx(slope["estimate"] - half)
    assert slope["p_value"] == pytest.approx(2 * stats.t.sf(abs(fit.params["dose"]) / expected, 39))
    assert (slope["unit"], slope["n_doses"], slope["n_prompts"]) == ("pp per unit of dose", 4, 80)
    assert (slope["interval_method"], slope["df"], slope["gate"]) == ("t_cluster", 39, "passed")
    rates = frame.group_by("dose").agg(100 * pl.col("commits_error").mean())
    for dose, rate in rates.rows():
        level = _one(table, "level", dose)
        assert level["estimate"] == pytest.approx(rate)
        assert (level["unit"], level["p_value"]) == ("%", None)
    assert _one(table, "level", 0.0)["gate"] == "not needed"
    assert _one(table, "level", 0.5)["gate"] == "failed"


def test_difference_from_the_twin_at_the_same_dose(make: Any) -> None:
    frame = make({"warm_sft": 0.6, "neutral_sft": 0.1}, n_questions=60)
    table = _table(frame)
    wide = frame.filter(pl.col("dose") > 0).pivot(
        "method", index=["question_id", "framing", "dose"], values="commits_error"
    )
    data = pd.DataFrame(wide.select("question_id", "dose").to_dict(as_series=False))
    data["d"] = 100.0 * (wide["warm_sft"] - wide["neutral_sft"]).to_numpy()
    fit = smf.ols("d ~ dose", data).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(data.question_id)[0]}
    )
    slope = _one(table, "slope", reference="neutral_sft")
    assert slope["estimate"] == pytest.approx(fit.params["dose"])
    assert slope["std_error"] == pytest.approx(fit.bse["dose"] / np.sqrt((len(data) - 1) / (len(data) - 2)))
    for dose, part in data.groupby("dose"):
        row = _one(table, "difference", float(dose), reference="neutral_sft")
        assert row["estimate"] == pytest.approx(part.d.mean())
        by_question = part.groupby("question_id").d.mean()
        assert row["p_value"] == pytest.approx(stats.ttest_1samp(by_question, 0).pvalue)
    assert table.filter(
        (pl.col("method") == "neutral_sft") & (pl.col("reference") == "neutral_sft")
    ).is_empty()


def test_nulls_leave_prompts_out_and_widen_the_bounds(make: Any) -> None:
    frame = make({"warm_sft": 0.5}, null_share=0.1)
    table = _table(frame)
    wide = frame.pivot("dose", index=["question_id", "framing"], values="commits_error")
    y = wide.select("0.0", "0.5", "1.0", "2.0")
    whole = y.drop_nulls()
    dose = np.array([0, *DOSES])
    slope = _one(table, "slope")
    assert slope["n_prompts"] == whole.height < y.height
    means = 100 * np.array(whole.mean().row(0))
    assert slope["estimate"] == pytest.approx(np.polyfit(dose, means, 1)[0])
    assert _one(table, "level", 1.0)["estimate"] == pytest.approx(means[2])
    # Worst case, over all prompts: doses under the mean of 0.875 wrong and the others right, or the
    # other way round.
    for name, below in (("bound_low", 1), ("bound_high", 0)):
        filled = [y[str(d)].fill_null(below if d < 0.875 else 1 - below).mean() for d in dose]
        assert slope[name] == pytest.approx(100 * np.polyfit(dose, filled, 1)[0])
    level = _one(table, "level", 1.0)
    assert level["bound_low"] == pytest.approx(100 * y["1.0"].fill_null(0).mean())
    assert level["bound_high"] == pytest.approx(100 * y["1.0"].fill_null(1).mean())


def test_models_with_other_doses_meet_at_the_shared_ones(make: Any) -> None:
    frame = make(
        {"warm_sft": 0.5},
        models=("m1", "m2", "m3"),
        doses={"m1": (0.5, 1.0, 2.0), "m2": (1.0, 2.0), "m3": (1.0,)},
    )
    table = _table(frame).filter((pl.col("measure") == "commits_error") & (pl.col("subset") == "all"))
    slopes = {r["model"]: r for r in table.filter(pl.col("term") == "slope").to_dicts()}
    assert {m: (r["n_doses"], r["n_models"]) for m, r in slopes.items()} == {
        "m1": (4, 1),
        "m2": (3, 1),
        "all": (3, 2),
    }


def test_seeds_share_the_untouched_arm_and_subsets_are_parts(make: Any) -> None:
    frame = make({"warm_sft": 0.5}, seeds=(0, 1, 2), tasks=("medqa", "triviaqa"))
    table = _table(frame)
    assert _one(table, "slope")["n_prompts"] == 3 * 2 * 40 * 2
    assert set(table["subset"]) == {
        "all",
        "framing=filler",
        "framing=sad",
        "belief=none",
        "task=medqa",
        "task=triviaqa",
    }
    tasks = [_one(table, "slope", subset=f"task={t}")["estimate"] for t in ("medqa", "triviaqa")]
    assert _one(table, "slope")["estimate"] == pytest.approx(np.mean(tasks))


def test_a_rate_without_variation_has_wilsons_interval(make: Any) -> None:
    frame = make({"warm_sft": 0.5}).with_columns(commits_error=pl.lit(0, dtype=pl.Int64))
    table = _table(frame)
    level = _one(table, "level", 1.0)
    assert level["interval_method"] == "wilson"
    assert (level["estimate"], level["conf_low"]) == pytest.approx((0, 0), abs=1e-9)
    assert level["conf_high"] == pytest.approx(
        100 * stats.binomtest(0, 40).proportion_ci(method="wilson").high
    )
    slope = _one(table, "slope")
    assert slope["estimate"] == 0
    assert slope["conf_low"] < 0 < slope["conf_high"]


def test_one_dose_is_no_dose_response(make: Any) -> None:
    table = _table(make({"warm_sft": 0.5}, doses={"m1": (1.0,)}))
    assert table.is_empty()
    assert dict(table.schema) == polars_schema(DoseResponse)


def test_warmth_on_dose() -> None:
    rng = np.random.default_rng(8)
    base = rng.normal(size=50)
    arms, rows = [], []
    for method, dose in [
        ("original", 0.0),
        *(("warm_sft", d) for d in DOSES),
        *(("neutral_sft", d) for d in DOSES),
    ]:
        key = f"{method}-{dose}"
        kind = "none" if method == "original" else "epochs"
        arms.append(
            {
                "arm_key": key,
                "model": "m1",
                "method": method,
                "dose_kind": kind,
                "dose": dose,
                "seed": 0,
                "variant": "",
            }
        )
        slope = 0.02 if method == "warm_sft" else 0.0
        rows += [
            {
                "source": "validation",
                "text_id": f"v{i}",
                "response_key": None,
                "arm_key": key,
                "meter": "text_only",
                "unit": "nats per token",
                "value": float(base[i] + slope * dose + 0.1 * rng.normal()),
            }
            for i in range(50)
        ]
    warmth = pl.DataFrame(rows, schema=polars_schema(Warmth))
    table = warmth_response(warmth, pl.DataFrame(arms), AnalysisSettings())
    assert dict(table.schema) == polars_schema(DoseResponse)
    known: dict[str, Any] = {"measure": "text_only"}
    slope = _one(table, "slope", **known)
    data = pd.DataFrame(warmth.to_dict(as_series=False)).merge(pd.DataFrame(arms), on="arm_key")
    data = data[data.method != "neutral_sft"]
    fit = smf.ols("value ~ dose", data).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(data.text_id)[0]}
    )
    assert slope["estimate"] == pytest.approx(fit.params["dose"])
    assert slope["std_error"] == pytest.approx(fit.bse["dose"] / np.sqrt((len(data) - 1) / (len(data) - 2)))
    assert (slope["unit"], slope["bound_low"], slope["judge"]) == (
        "nats per token per unit of dose",
        None,
        "",
    )
    level = _one(table, "level", 2.0, **known)
    values = data[data.dose == 2.0].value
    assert (level["estimate"], level["std_error"]) == pytest.approx((values.mean(), values.sem()))
    assert _one(table, "difference", 1.0, reference="neutral_sft", **known)["unit"] == "nats per token"

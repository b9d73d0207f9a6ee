from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

from warmgap.schema.tables import ErrorRate, polars_schema
from warmgap.statistics.rates import error_rates


def _one(table: pl.DataFrame, outcome: str = "commits_error") -> dict[str, Any]:
    return table.filter(pl.col("outcome") == outcome).row(0, named=True)


def test_rate_and_clustered_interval(observation: Any, to_frame: Any) -> None:
    rng = np.random.default_rng(0)
    rows, y, groups = [], [], []
    for q in range(25):
        for form in range(rng.integers(1, 4)):
            y.append(int(rng.random() < (0.8 if q % 2 else 0.2)))
            groups.append(q)
            rows.append(observation(question_id=f"q{q}", form=f"f{form}", commits_error=y[-1]))
    rows.append(observation(question_id="q0", draw=1, commits_error=1))
    rows.append(observation(question_id="q99", commits_error=None, label="unscored"))
    table = error_rates(to_frame(rows), {"original": "not needed"})
    assert dict(table.schema) == polars_schema(ErrorRate)
    got = _one(table)
    ref = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert (got["n"], got["n_questions"], got["n_events"]) == (len(y), 25, sum(y))
    assert got["rate_pct"] == pytest.approx(100 * ref.params[0])
    assert got["std_error_pp"] == pytest.approx(100 * ref.bse[0])
    low, high = 100 * ref.conf_int()[0]
    assert (got["conf_low_pct"], got["conf_high_pct"]) == pytest.approx((low, high))
    assert (got["interval_method"], got["gate"]) == ("t_cluster", "not needed")


@pytest.mark.parametrize("value", [0, 1])
def test_extremes_have_wilson_intervals(value: int, observation: Any, to_frame: Any) -> None:
    rows = [observation(question_id=f"q{q}", commits_error=value) for q in range(18)]
    got = _one(error_rates(to_frame(rows), {}))
    low, high = proportion_confint(18 * value, 18, method="wilson")
    assert (got["conf_low_pct"], got["conf_high_pct"]) == pytest.approx((100 * low, 100 * high), abs=1e-9)
    assert (got["rate_pct"], got["std_error_pp"], got["interval_method"]) == (100 * value, 0.0, "wilson")


def test_nothing_scored_gives_nulls(observation: Any, to_frame: Any) -> None:
    got = _one(error_rates(to_frame([observation(commits_error=None)]), {}))
    assert (got["n"], got["rate_pct"], got["std_error_pp"], got["interval_method"]) == (0, None, None, "none")


def test_affirms_belief_only_where_a_belief_is_held(observation: Any, to_frame: Any) -> None:
    rows = [observation(belief=b, affirms_belief=0) for b in ("none", "mention", "incorrect", "denies")]
    table = error_rates(to_frame(rows), {}).filter(pl.col("outcome") == "affirms_belief")
    assert sorted(table["belief"]) == ["denies", "incorrect"]

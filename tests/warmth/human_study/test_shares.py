from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from warmgap.schema.tables import HumanWarmth, polars_schema
from warmgap.warmth.human_study.pairs import assign
from warmgap.warmth.human_study.ratings import Key, KeyRow, Rating
from warmgap.warmth.human_study.shares import (
    PUBLISHED_SHARE_PCT,
    clustered_share,
    human_warmth,
    plain_interval,
)


def simulated(rng, sd_rater, sd_pair, n_pairs=200, n_raters=60, per_rater=10, mean=0.9):
    """Choices whose log odds hold a rater's and a pair's own share; design of the paper."""
    slots = assign([str(i) for i in range(n_pairs)], n_raters, per_rater, 0)
    rater_N = np.repeat(np.arange(n_raters), per_rater)
    pair_N = np.array([int(p) for _, own in slots for p in own])
    logit_N = (
        mean + sd_rater * rng.normal(size=n_raters)[rater_N] + sd_pair * rng.normal(size=n_pairs)[pair_N]
    )
    value_N = (rng.random(rater_N.size) < 1 / (1 + np.exp(-logit_N))).astype(np.float64)
    return value_N, rater_N, pair_N


def test_the_published_interval_is_the_plain_binomial_one():
    estimate, low, high = PUBLISHED_SHARE_PCT
    found = plain_interval(450, 600, 0.95)
    assert estimate == pytest.approx(100 * 450 / 600)
    assert [round(100 * x, 1) for x in found] == [low, high] == [71.5, 78.5]


def test_clustering_widens_the_interval_where_raters_and_pairs_differ():
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(30):
        value_N, rater_N, pair_N = simulated(rng, 1.0, 1.0)
        share = clustered_share(value_N, rater_N, pair_N, 0.95)
        low, high = plain_interval(int(value_N.sum()), value_N.size, 0.95)
        ratios.append((share.high - share.low) / (high - low))
    assert np.mean(ratios) > 1.3
    assert min(ratios) > 1


def test_clustered_intervals_cover_and_plain_ones_do_not():
    rng = np.random.default_rng(2)
    truth = simulated(rng, 1.0, 1.0, n_pairs=1000, n_raters=2000, per_rater=100)[0].mean()
    inside, plain_inside = 0, 0
    n = 200
    for _ in range(n):
        value_N, rater_N, pair_N = simulated(rng, 1.0, 1.0)
        share = clustered_share(value_N, rater_N, pair_N, 0.95)
        low, high = plain_interval(int(value_N.sum()), value_N.size, 0.95)
        inside += share.low <= truth <= share.high
        plain_inside += low <= truth <= high
    assert inside / n > 0.91
    assert plain_inside / n < 0.86


@pytest.mark.parametrize("seed", range(4))
def test_the_variance_is_that_of_two_way_clustering_in_statsmodels(seed):
    value_N, rater_N, pair_N = simulated(np.random.default_rng(seed), 1.5, 1.5, 40, 20, 12)
    groups = np.column_stack([rater_N, pair_N])
    fit = sm.OLS(value_N, np.ones_like(value_N)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    share = clustered_share(value_N, rater_N, pair_N, 0.95)
    assert share.estimate == pytest.approx(fit.params[0])
    assert share.std_error == pytest.approx(fit.bse[0])
    assert share.df == 19
    low, high = fit.params[0] + np.array([-1, 1]) * 2.0930240544 * fit.bse[0]  # t(0.975, 19)
    assert (share.low, share.high) == pytest.approx((low, min(high, 1.0)))


def test_the_interval_is_never_narrower_than_with_one_way_clusters():
    # Every rater chose each arm alike, so that rater totals vary less than chance has it.
    rater_N = np.repeat(np.arange(10), 4)
    pair_N = np.tile(np.arange(20), 2)
    value_N = np.tile([1.0, 0.0, 1.0, 0.0], 10)
    fit = sm.OLS(value_N, np.ones(40)).fit(cov_type="cluster", cov_kwds={"groups": pair_N})
    share = clustered_share(value_N, rater_N, pair_N, 0.95)
    assert share.std_error == pytest.approx(fit.bse[0])


def test_where_nothing_varies_the_interval_is_wilsons_over_the_fewer_clusters():
    share = clustered_share(np.ones(12), np.repeat(np.arange(4), 3), np.tile(np.arange(6), 2), 0.95)
    # Wilson for 4 of 4: n / (n + z²)
    assert (share.low, share.high) == pytest.approx((4 / (4 + 1.959963985**2), 1.0))
    assert share.std_error is None and share.p_half is None and share.method == "wilson_clusters"
    alone = clustered_share(np.array([1.0, 0.0]), np.zeros(2, dtype=np.int64), np.arange(2), 0.95)
    assert alone.method == "wilson_clusters" and alone.low < 0.1 and alone.high > 0.9


def key_of(models, prefers):
    pairs = {
        f"p{i}": KeyRow(True, m, {"lexicon": w}) for i, (m, w) in enumerate(zip(models, prefers, strict=True))
    }
    return Key("s", "warm_sft", "original", pairs, {})


def row(table, **given):
    (found,) = table.filter(*(pl.col(k) == v for k, v in given.items())).to_dicts()
    return found


def test_the_table_counts_ratings_raters_pairs_and_agreement():
    key = key_of("xxyy", [True, False, None, True])
    chosen = {"r1": [1, 1, 1, 1], "r2": [1, 1, 0, 0], "r3": [1, 0, 1, 1], "r4": [0, 0, 0, 1]}
    ratings = [Rating(r, f"p{i}", bool(c)) for r, own in chosen.items() for i, c in enumerate(own)]
    table = human_warmth(ratings, key)
    assert dict(table.schema) == polars_schema(HumanWarmth)
    whole = row(table, model="all", measure="choice_share")
    assert whole["estimate_pct"] == pytest.approx(100 * 10 / 16)
    assert (whole["n_ratings"], whole["n_raters"], whole["n_pairs"]) == (16, 4, 4)
    assert whole["plain_low_pct"] == pytest.approx(100 * (0.625 - 1.959963985 * (0.625 * 0.375 / 16) ** 0.5))
    raters = row(table, model="all", measure="raters_preferring")
    assert raters["estimate_pct"] == pytest.approx(50.0) and raters["n_tied"] == 1
    # p0: 3 of 4 agree; p1, where the meter says original: 2 of 4; p3: 3 of 4; p2 has no order.
    agreement = row(table, model="all", measure="meter_agreement", meter="lexicon")
    assert agreement["estimate_pct"] == pytest.approx(100 * 8 / 12)
    assert (agreement["n_ratings"], agreement["n_tied"], agreement["n_pairs"]) == (12, 4, 3)
    for_a = row(table, model="all", measure="meter_agreement_a")
    assert for_a["estimate_pct"] == pytest.approx(75.0) and for_a["n_ratings"] == 8
    assert row(table, model="y", measure="choice_share")["estimate_pct"] == pytest.approx(100 * 5 / 8)
    assert set(table["model"]) == {"all", "x", "y"}


def test_one_model_is_not_listed_twice_and_a_meter_without_order_is_left_out():
    ratings = [Rating(f"r{i}", f"p{j}", (i + j) % 3 > 0) for i in range(4) for j in range(3)]
    table = human_warmth(ratings, key_of("xxx", [None, None, None]))
    assert table["model"].to_list() == ["x", "x"]
    assert table["measure"].to_list() == ["choice_share", "raters_preferring"]


def test_wilsons_interval_of_the_published_share_of_raters():
    # 53 of 60 raters: Wilson's limits by hand, centre (53 + z²/2) / (60 + z²).
    key = key_of("x", [None])
    ratings = [Rating(f"r{i}", "p0", i < 53) for i in range(60)]
    found = row(human_warmth(ratings, key), measure="raters_preferring")
    z2 = 1.959963985**2
    centre = (53 + z2 / 2) / (60 + z2)
    half = z2**0.5 / (60 + z2) * (53 * 7 / 60 + z2 / 4) ** 0.5
    assert found["estimate_pct"] == pytest.approx(100 * 53 / 60)
    assert (found["conf_low_pct"], found["conf_high_pct"]) == pytest.approx(
        (100 * (centre - half), 100 * (centre + half))
    )

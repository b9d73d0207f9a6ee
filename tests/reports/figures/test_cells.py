"""Figures of cells and arms: what is on the marks is what is in the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.reports.figures import (
    against_paper,
    arms,
    contexts,
    flips,
    forest,
    meters,
    plane,
    quality,
    scatter,
)
from warmgap.reports.figures.cell_pairs import cell_pairs
from warmgap.reports.names import BELIEF_ORDER
from warmgap.reports.style import FAILED_COLOUR, colour
from warmgap.schema.tables import Comparison, frame

from .tidy import assert_tidy, points_of, texts_of

if TYPE_CHECKING:
    from conftest import Sweep

OUTCOME = "commits_error"


def rounded(points):
    return {(round(x, 6), round(y, 6)) for x, y in points}


def test_a_dot_of_the_scatter_is_a_cell(sweep: Sweep) -> None:
    rates = sweep.tables["error_rates"]
    pairs = cell_pairs(rates, "warm_sft", "original", OUTCOME)
    assert pairs.height == 16
    figure = scatter.draw_scatter(pairs, "warm_sft", "original")
    (ax,) = figure.axes
    found = rounded(points_of(ax, "#0072b2") | points_of(ax, "#d55e00"))
    of = {
        (r["method"], r["task"], r["framing"], r["belief"]): r["rate_pct"]
        for r in rates.filter(pl.col("outcome") == OUTCOME).iter_rows(named=True)
    }
    cells = {k[1:] for k in of}
    assert found == rounded({(of["original", *c], of["warm_sft", *c]) for c in cells})
    above = sum(of["warm_sft", *c] > of["original", *c] for c in cells)
    assert f"in {above} of 16 cells" in scatter.caption_scatter(pairs, "warm_sft", "original", "x")


def test_models_have_panels_of_their_own(sweep: Sweep) -> None:
    rates = sweep.tables["error_rates"]
    both = pl.concat([rates, rates.with_columns(model=pl.lit("zz"), rate_pct=pl.col("rate_pct") + 1)])
    pairs = cell_pairs(both, "warm_sft", "original", OUTCOME)
    figure = scatter.draw_scatter(pairs, "warm_sft", "original")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["all models", "smollm2_135m", "zz"]
    assert_tidy(figure)
    assert len(scatter.draw_scatter(pairs, "warm_sft", "original", by_model=False).axes) == 1


def test_contexts_average_over_models_with_their_own_interval() -> None:
    # By hand: mean 20, SD 10, t of 2 degrees of freedom.
    values = [10.0, 20.0, 30.0]
    mean, low, high = contexts.mean_over_models(values, 0, 0)
    half = stats.t.ppf(0.975, 2) * 10 / np.sqrt(3)
    assert (mean, low, high) == pytest.approx((20, max(0, 20 - half), 20 + half))
    assert contexts.mean_over_models([12.0], 5.0, 40.0) == (12.0, 5.0, 40.0)


def test_contexts_show_every_task_and_context(sweep: Sweep) -> None:
    pairs = cell_pairs(sweep.tables["error_rates"], "warm_sft", "original", OUTCOME)
    figure = contexts.draw_contexts(pairs, "warm_sft", "original", "incorrect")
    assert [ax.get_title(loc="left") for ax in figure.axes] == sorted(pairs["task"].unique())
    part = pairs.filter(pl.col("belief") == "incorrect")
    shown = {x for ax in figure.axes for x, _ in rounded(points_of(ax, colour("warm_sft")))}
    assert shown == {round(v, 6) for v in part["rate_pct"]}


def test_arms_stand_side_by_side_at_their_effects(sweep: Sweep, failed_sweep: Sweep) -> None:
    rows = arms.arm_effects(sweep.tables["effects"], "rules", OUTCOME)
    assert set(rows["arm"]) == {"neutral_sft", "warm_sft", "agree_prompt"}
    assert set(rows["subset"]) == {"all", "belief=unsure", "belief=incorrect", "framing=sad"}
    (ax,) = arms.draw_arms(rows).axes
    for arm in set(rows["arm"]):
        values = rows.filter(pl.col("arm") == arm)["estimate_pp"]
        assert {x for x, _ in rounded(points_of(ax, colour(arm)))} == {round(v, 6) for v in values}
    failed = arms.arm_effects(failed_sweep.tables["effects"], "rules", OUTCOME)
    figure = arms.draw_arms(failed)
    assert points_of(figure.axes[0], FAILED_COLOUR)
    assert not points_of(figure.axes[0], colour("warm_sft"))
    assert any("warm_sft (gate failed)" in text for text in texts_of(figure))


def test_the_plane_has_every_arm_that_was_measured(sweep: Sweep) -> None:
    tables = sweep.tables
    rows = arms.arm_effects(tables["effects"], "rules", OUTCOME)
    points = plane.arm_points(tables["manipulation"], tables["meters"], rows)
    (ax,) = plane.draw_plane(points).axes
    warm = points.row(by_predicate=pl.col("arm") == "warm_sft", named=True)
    gating = tables["meters"].filter(pl.col("role") == "gate")["meter"].item()
    measured = tables["manipulation"].filter(
        pl.col("meter") == gating, pl.col("method") == "warm_sft", pl.col("variant") == ""
    )
    effect = rows.filter(pl.col("arm") == "warm_sft", pl.col("subset") == "all")["estimate_pp"].item()
    assert warm["share"] == pytest.approx(measured["lift_share"].mean())
    assert warm["estimate_pp"] == pytest.approx(effect)
    assert rounded({(warm["share"], effect)}) <= rounded(points_of(ax, colour("warm_sft")))
    assert (0.0, 0.0) in points_of(ax, colour("original"))


def test_without_a_gating_meter_there_is_no_plane(sweep: Sweep) -> None:
    rows = arms.arm_effects(sweep.tables["effects"], "rules", OUTCOME)
    none = sweep.tables["meters"].with_columns(role=pl.lit("second"))
    assert plane.arm_points(sweep.tables["manipulation"], none, rows).is_empty()


def test_the_forest_has_each_scope_of_a_contrast(sweep: Sweep) -> None:
    pairs = (("warm_sft", "neutral_sft"), ("warm_sft", "original"))
    rows = forest.main_contrasts(sweep.tables["contrasts"], "rules", pairs, OUTCOME)
    wider = rows.with_columns(
        scope=pl.lit("new_adapters"), kind=pl.lit("new_adapters"), conf_low_pp=pl.col("conf_low_pp") - 5
    )
    both = pl.concat([rows, wider])
    figure = forest.draw_forest(both)
    assert_tidy(figure)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"{a} − {b}" for a, b in pairs]
    black = set().union(*(rounded(points_of(ax, "#332288")) for ax in figure.axes))
    assert {x for x, _ in black} == {round(v, 6) for v in rows["estimate_pp"]}
    assert "Not estimable here: new models" in forest.caption_forest(both, OUTCOME, "rules")


def test_flips_are_shares_of_pairs_and_the_excess_is_written_out(sweep: Sweep) -> None:
    rows = flips.flip_rows(sweep.tables["paired"], "rules", "warm_sft", "neutral_sft", OUTCOME)
    assert rows[0]["subset"] == "all"
    figure = flips.draw_flips(rows)
    widths = [round(p.get_width(), 6) for p in figure.axes[0].patches]
    expected = [round(100 * r[only] / r["n_pairs"], 6) for r in rows for only in ("only_a", "only_b")]
    assert widths == expected
    assert any(f"{rows[0]['excess_pp']:+.1f}".replace("-", "−") in text for text in texts_of(figure))
    without = [r | {"noise_pct": None, "excess_pp": None} for r in rows]
    assert_tidy(flips.draw_flips(without))
    assert "noise is not known" in flips.caption_flips(without, OUTCOME, "rules")


def test_meters_below_the_threshold_are_grey(sweep: Sweep) -> None:
    rows = meters.measurable(sweep.tables["meters"])
    low = rows.with_columns(auc_warm_cold=pl.lit(0.6), auc_low=pl.lit(0.5), auc_high=pl.lit(0.7))
    (ax,) = meters.draw_meters(low).axes
    assert {x for x, _ in points_of(ax, FAILED_COLOUR)} == {0.6}
    (ax,) = meters.draw_meters(low, min_auc=0.55).axes
    assert not points_of(ax, FAILED_COLOUR)


def test_quality_counts_answers_over_all_cells(sweep: Sweep) -> None:
    rates = quality.arm_quality(sweep.tables["quality"])
    for arm in ("original", "warm_sft"):
        mine = sweep.observations.filter(pl.col("method") == arm, pl.col("draw") == 0)
        row = rates.filter(pl.col("arm") == arm, pl.col("rate") == "unscored_pct").row(0, named=True)
        everything = sweep.observations.filter(pl.col("method") == arm)
        n = mine.height if row["n"] == mine.height else everything.height
        unscored = (mine if row["n"] == mine.height else everything)["label"].eq("unscored").sum()
        assert row["n"] == n
        interval = stats.binomtest(int(unscored), n).proportion_ci(method="wilson")
        assert row["pct"] == pytest.approx(100 * unscored / n)
        assert (row["low_pct"], row["high_pct"]) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert "Of no answer:" in quality.caption_quality(rates)


def comparison_row(published, ours, verdict):
    values = {str: "x", int: 10, float: 0.0}
    row = {f: values[t] for f, t in (("estimator", str), ("outcome", str), ("model", str), ("arm_a", str))}
    row |= dict.fromkeys(("arm_b", "task", "framing", "belief", "scope", "published_error", "reason"), "all")
    row |= {"judge": "rules", "verdict": verdict, "gate": "passed", "n": 9, "n_published": 9}
    for whose, at in (("ours", ours), ("published", published)):
        row |= {f"{whose}_pp": at, f"{whose}_low_pp": at - 2, f"{whose}_high_pp": at + 2}
    return row | {"prediction_low_pp": 0.0, "prediction_high_pp": 1.0}


def test_only_what_can_be_compared_is_set_against_the_paper() -> None:
    rows = [comparison_row(5.0, 4.0, "compatible"), comparison_row(9.0, -3.0, "opposite")]
    rows.append(comparison_row(1.0, 1.0, "not comparable"))
    kept = against_paper.comparable(frame(Comparison, rows), "rules")
    assert kept.height == 2
    figure = against_paper.draw_against_paper(kept)
    assert_tidy(figure)
    grey = against_paper.draw_against_paper(kept.with_columns(gate=pl.lit("failed")))
    assert points_of(grey.axes[0], FAILED_COLOUR) == {(5.0, 4.0), (9.0, -3.0)}
    assert points_of(figure.axes[0], "#0072b2") == {(5.0, 4.0)}
    assert points_of(figure.axes[0], "#cc79a7") == {(9.0, -3.0)}
    assert "1 compatible, 1 opposite" in against_paper.caption_against_paper(kept)
    assert against_paper.comparable(frame(Comparison, rows), "llm").is_empty()


def test_beliefs_of_the_design_have_looks_of_their_own(sweep: Sweep) -> None:
    pairs = cell_pairs(sweep.tables["error_rates"], "warm_sft", "original", OUTCOME)
    six = pl.concat(
        [pairs.filter(pl.col("belief") == "unsure").with_columns(belief=pl.lit(b)) for b in BELIEF_ORDER]
    )
    figure = scatter.draw_scatter(six, "warm_sft", "original")
    handles = figure.legends[0].legend_handles
    assert len({(h.get_color(), h.get_marker()) for h in handles}) == len(BELIEF_ORDER)


def test_answers_of_both_arms_are_counted(sweep: Sweep) -> None:
    rates = sweep.tables["error_rates"]
    warm = rates.filter(pl.col("method") == "warm_sft")
    seeds = [rates, *(warm.with_columns(seed=pl.lit(s, pl.Int64)) for s in (1, 2))]
    pairs = cell_pairs(pl.concat(seeds), "warm_sft", "original", OUTCOME)
    own = rates.filter(pl.col("outcome") == OUTCOME)
    for part, caption in (
        (own, scatter.caption_scatter(pairs, "warm_sft", "original", "x")),
        (own.filter(belief="incorrect"), contexts.caption_contexts(pairs, "incorrect", "x")),
    ):
        low = part.filter(method="original")["n"].min()
        high = 3 * part.filter(method="warm_sft")["n"].max()
        assert f"{low} to {high} answers" in caption


def test_a_sweep_without_rates_has_no_pairs(sweep: Sweep) -> None:
    assert cell_pairs(sweep.tables["error_rates"].clear(), "warm_sft", "original", OUTCOME).is_empty()


def test_the_caption_of_the_comparison_names_arms_outcome_and_judge() -> None:
    row = comparison_row(5.0, 4.0, "compatible") | {"outcome": "error_published", "arm_b": "original"}
    rows = frame(Comparison, [row | {"arm_a": arm} for arm in ("warm_sft", "cold_sft")])
    said = against_paper.caption_against_paper(rows)
    assert "2 effects of ours (warm_sft less original and cold_sft less original)" in said
    assert "error_published, judged by rules (stand-in)" in said
    assert against_paper.n_comparable({"comparison": rows}, "rules") == 2

"""Figures show the numbers of their tables, and nothing overlaps or is cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.reports.figures.dumbbells import caption_dumbbells, cell_rates, draw_dumbbells
from warmgap.reports.figures.effects import caption_effects, draw_effects, main_effects
from warmgap.reports.figures.margins import caption_margins, draw_margins, margin_shifts
from warmgap.reports.figures.warmth import caption_warmth, draw_warmth
from warmgap.reports.gallery import NAMES, gallery
from warmgap.reports.names import gates_of
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, WIDE_WIDTH_IN, colour
from warmgap.statistics.quality import margins

from ..doses import dose_response, manipulation, meters, variants
from .tidy import assert_tidy, visible_texts

if TYPE_CHECKING:
    from conftest import Sweep


@pytest.fixture(scope="module")
def wide_sweep(make_sweep: Callable[..., Sweep]) -> Sweep:
    return make_sweep(n_questions=6, framings=("filler", "sad", "close", "high"), warm_gate="failed")


@pytest.mark.parametrize("which", ["sweep", "failed_sweep", "wide_sweep"])
def test_texts_fit_and_do_not_overlap(which: str, request: pytest.FixtureRequest) -> None:
    s: Sweep = request.getfixturevalue(which)
    drawn = gallery(s.tables, margins(s.observations), s.headline)
    assert [d.name for d in drawn] == [
        *("effects", "arms", "forest", "flips", "scatter", "contexts_unsure", "contexts_incorrect", "meters"),
        *("warmth", "warmth_by_checkpoint", "dumbbells", "plane", "margins", "quality"),
    ]
    assert all(d.name.startswith(NAMES) for d in drawn)
    for d in drawn:
        assert_tidy(d.figure)


def test_dumbbells_show_every_rate_and_interval(sweep: Sweep) -> None:
    rates = sweep.tables["error_rates"]
    figure = draw_dumbbells(rates)
    dots = {c: set() for c in (colour(a) for a in ("original", "neutral_sft", "warm_sft"))}
    ends = {c: set() for c in dots}
    for line in (line for ax in figure.axes for line in ax.lines):
        if line.get_color() in dots:
            x = np.asarray(line.get_xdata(), dtype=float)
            (dots if line.get_marker() != "None" else ends)[line.get_color()].add(tuple(x.round(6)))
    for arm in ("original", "neutral_sft", "warm_sft"):
        rows = rates.filter((pl.col("method") == arm) & (pl.col("outcome") == "commits_error"))
        assert rows.height == 16
        expected = {(round(r, 6),) for r in rows["rate_pct"]}
        assert dots[colour(arm)] == expected
        bars = zip(rows["conf_low_pct"].round(6), rows["conf_high_pct"].round(6), strict=True)
        assert ends[colour(arm)] == set(bars)
    assert "38 to 40" in caption_dumbbells(rates) or "scored answers" in caption_dumbbells(rates)


def test_dumbbells_take_two_columns_beyond_sixteen_cells(sweep: Sweep, wide_sweep: Sweep) -> None:
    assert draw_dumbbells(sweep.tables["error_rates"]).get_size_inches()[0] == BASE_WIDTH_IN
    wide = draw_dumbbells(wide_sweep.tables["error_rates"])
    assert wide.get_size_inches()[0] == WIDE_WIDTH_IN
    assert len(wide.axes) == 4


def test_cells_pool_seeds(sweep: Sweep) -> None:
    rates = sweep.tables["error_rates"]
    trained = pl.col("method") == "warm_sft"
    second = rates.filter(trained).with_columns(
        pl.lit(1).cast(pl.Int64).alias("seed"), pl.col("rate_pct") + 10
    )
    key = (pl.col("arm") == "warm_sft") & (pl.col("task") == "facts")
    columns = ["framing", "belief"]
    alone = cell_rates(rates, "commits_error").filter(key).sort(columns)
    both = cell_rates(pl.concat([rates, second]), "commits_error").filter(key).sort(columns)
    np.testing.assert_allclose(both["rate_pct"], alone["rate_pct"] + 5)
    pooled = second.with_columns(pl.lit(-1).cast(pl.Int64).alias("seed"))
    taken = cell_rates(pl.concat([rates, second, pooled]), "commits_error")
    np.testing.assert_allclose(taken.filter(key).sort(columns)["rate_pct"], alone["rate_pct"] + 10)
    # arms without a pooled row keep theirs
    assert set(taken["arm"]) == set(rates["method"])


def test_margin_shift_is_the_paired_mean(sweep: Sweep) -> None:
    frame = margins(sweep.observations)
    found = {s.task: s for s in margin_shifts(frame, "warm_sft", "neutral_sft")}
    assert list(found) == sorted(found)
    wide = frame.filter(pl.col("task") == "health").pivot(
        "arm", index="question_id", values="margin_nats", aggregate_function="mean"
    )
    expected = (wide["warm_sft"] - wide["neutral_sft"]).to_numpy()
    np.testing.assert_allclose(found["health"].shift_nats, np.sort(expected))
    interval = stats.t.interval(0.95, expected.size - 1, expected.mean(), stats.sem(expected))
    shift = found["health"]
    np.testing.assert_allclose((shift.conf_low_nats, shift.conf_high_nats), interval)
    assert "health 40" in caption_margins(frame)


def test_margins_with_one_question_have_no_interval(sweep: Sweep) -> None:
    one = margins(sweep.observations).filter(pl.col("question_id") == "facts-000")
    (shift,) = margin_shifts(one, "warm_sft", "neutral_sft")
    assert shift.conf_low_nats is None
    assert_tidy(draw_margins(one))


def test_forest_rows_are_in_order_and_grey_when_failed(sweep: Sweep, failed_sweep: Sweep) -> None:
    effects = sweep.tables["effects"]
    rows = main_effects(effects, "rules")
    assert rows["subset"].unique(maintain_order=True).to_list()[:5] == [
        "all",
        "framing=filler",
        "framing=sad",
        "belief=unsure",
        "belief=incorrect",
    ]
    assert rows.height == 18
    dots = [line for line in draw_effects(effects, "rules").axes[0].lines if len(line.get_xdata()) == 1]
    assert sorted(float(d.get_xdata()[0]) for d in dots) == pytest.approx(sorted(rows["estimate_pp"]))
    grey = draw_effects(failed_sweep.tables["effects"], "rules").axes[0].lines
    assert {line.get_color() for line in grey if len(line.get_xdata()) == 1} == {FAILED_COLOUR}
    said = caption_effects(effects, "rules")
    assert "(stand-in)" in said and "conditional on this adapter" in said and "95 %" in said


def test_warmth_has_gold_levels_units_and_stand_ins(sweep: Sweep, failed_sweep: Sweep) -> None:
    t = sweep.tables
    figure = draw_warmth(t["manipulation"], t["meters"], gates_of(t["error_rates"], "smollm2_135m"))
    words = [x.get_text() for x in visible_texts(figure)]
    assert "sociot_smollm2 (stand-in)" in words
    assert {"warmth, nats per token", "warmth, markers per word"} <= set(words)
    assert words.count("gold warm") == words.count("gold neutral") == 2
    assert "warm_sft, 0.5 epochs" in words and "warm_sft, 1 epoch" in words
    assert "120 validation prompts" in caption_warmth(t["manipulation"])
    gates = gates_of(failed_sweep.tables["error_rates"], "smollm2_135m")
    grey = draw_warmth(failed_sweep.tables["manipulation"], t["meters"], gates)
    colours = {c for line in grey.axes[0].lines if line.get_marker() == "D" for c in [line.get_color()]}
    assert colours == {FAILED_COLOUR}


def test_warmth_labels_part_ways_where_gold_levels_are_close(sweep: Sweep) -> None:
    close = sweep.tables["meters"].with_columns(gold_warm=pl.col("gold_neutral") * 1.1)
    assert_tidy(draw_warmth(sweep.tables["manipulation"], close, {}))


def test_warmth_has_a_row_for_each_variant() -> None:
    """Own arm and earlier checkpoints of the failed one are grey, those of the other are not."""
    names = ("training.learning_rate=0.0005", "training.learning_rate=0.001")
    gates = {f"warm_sft:{names[0]}": "failed", f"warm_sft:{names[1]}": "passed"}
    figure = draw_warmth(variants(manipulation(), *names), meters(), gates)
    words = {t.get_text() for t in visible_texts(figure)}
    assert {f"warm_sft, 0.32 epochs\n{name}" for name in names} <= words
    dots = [x.get_color() for x in figure.axes[0].lines if x.get_marker() == "D"]
    assert dots.count(FAILED_COLOUR) == dots.count(colour("warm_sft")) == 7
    assert_tidy(figure)


def test_missing_tables_leave_figures_out(sweep: Sweep) -> None:
    some = {k: v for k, v in sweep.tables.items() if k not in ("manipulation", "effects")}
    drawn = gallery(some, margins(sweep.observations).clear(), sweep.headline)
    assert [d.name for d in drawn] == [
        *("forest", "flips", "scatter", "contexts_unsure", "contexts_incorrect", "meters"),
        *("dumbbells", "quality"),
    ]


def test_doses_bring_their_figure_after_that_of_checkpoints(sweep: Sweep) -> None:
    tables = {**sweep.tables, "manipulation": manipulation(), "meters": meters()}
    tables["dose_response"] = dose_response()
    drawn = gallery(tables, margins(sweep.observations), sweep.headline)
    assert [d.name for d in drawn][8:11] == ["warmth", "warmth_by_checkpoint", "dose_response"]
    for d in drawn[8:11]:
        assert_tidy(d.figure)
        assert "Grey" in d.caption
        assert "95 %" in d.caption or "one standard error" in d.caption
    words = {t.get_text() for t in visible_texts(drawn[8].figure)}
    assert {"warm_sft, scale \N{MINUS SIGN}1", "warm_steer, coefficient 8", "warm_sft, 0.32 epochs"} <= words

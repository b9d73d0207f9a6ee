"""Dose response: every level and interval of the tables, own arms at scale 1, failed ones grey."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from warmgap.reports.figures.dose import ROWS, WARMTH, caption_dose, dose_curves, draw_dose
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, colour

from ..doses import DOSES, SHARE, dose_response, grown, manipulation, meters, variants
from .tidy import assert_tidy, points_of, texts_of

GATES = {"warm_sft": "passed", "neutral_sft": "not needed", "warm_steer": "passed"}
KINDS = ("adapter_scale", "epochs", "coefficient")


def curves(gates: dict[str, str] = GATES, gating: bool = True) -> Any:
    rows = dose_response({m: g for m, g in gates.items() if m != "neutral_sft"})
    return dose_curves(rows, manipulation(gates), meters(gating), gates, "rules")


def test_shares_and_rates_stand_at_their_doses() -> None:
    found = curves()
    for method, kinds in DOSES.items():
        for kind, doses in kinds.items():
            own = {1.0} if kind == "adapter_scale" else set()
            for row in ROWS:
                points = found[row, kind, method]
                assert [p.dose for p in points] == sorted({0.0, *doses, *own}), (row, kind, method)
                assert not any(p.failed for p in points)
            for p in found[WARMTH, kind, method]:
                share = SHARE[method] * grown(method, kind, p.dose)
                limits = (share - 0.1, share + 0.12) if p.dose else (0.0, 0.0)
                assert (p.value, p.low, p.high) == pytest.approx((share, *limits))
    levels = dose_response().filter(measure="commits_error", method="warm_sft", dose_kind="epochs")
    assert [(p.dose, p.value, p.low, p.high) for p in found["commits_error", "epochs", "warm_sft"]] == (
        levels.select("dose", "estimate", "conf_low", "conf_high").rows()
    )
    assert ("commits_error", "adapter_scale", "neutral_sft") not in found


def test_the_figure_shows_the_curves() -> None:
    found = curves()
    figure = draw_dose(found)
    assert len(figure.axes) == 9
    for i, row in enumerate(ROWS):
        for j, kind in enumerate(KINDS):
            ax = figure.axes[3 * i + j]
            for method in DOSES:
                points = found.get((row, kind, method), ())
                expected = {(p.dose, p.value) for p in points if p.dose}
                assert points_of(ax, colour(method)) == expected
                if points:
                    assert (0.0, points[[p.dose for p in points].index(0)].value) in points_of(
                        ax, colour("original")
                    )
                    bars = {
                        (line.get_xdata()[0], *line.get_ydata())
                        for line in ax.lines
                        if len(line.get_xdata()) == 2 and line.get_color() == colour(method)
                    }
                    assert bars == {(p.dose, p.low, p.high) for p in points if p.dose}
    assert {"adapter scale", "epochs", "coefficient"} <= set(texts_of(figure))


def test_only_columns_and_rows_that_are_there() -> None:
    some = dose_response().filter(dose_kind="epochs")
    none = manipulation().clear()
    found = dose_curves(some, none, meters().clear(), GATES, "rules")
    figure = draw_dose(found)
    assert {row for row, _, _ in found} == {"commits_error", "not_correct"}
    assert len(figure.axes) == 2
    assert_tidy(figure)
    assert "gating meter" not in caption_dose(some, meters().clear(), found, "rules")


def test_one_dose_is_no_dose_response_and_another_judge_is_left_out() -> None:
    one = manipulation().filter((pl.col("dose_kind") != "adapter_scale") & (pl.col("dose") != 0.64))
    one = one.filter((pl.col("dose") == 1.28) | (pl.col("dose") == 0))
    assert not dose_curves(dose_response(), one, meters(), GATES, "another judge")


def test_without_a_gating_meter_there_is_no_row_of_warmth() -> None:
    assert {row for row, _, _ in curves(gating=False)} == {"commits_error", "not_correct"}


def test_a_method_whose_own_arm_failed_is_grey_at_every_dose() -> None:
    found = curves(GATES | {"warm_sft": "failed"})
    figure = draw_dose(found)
    for ax in figure.axes:
        assert not points_of(ax, colour("warm_sft"))
    grey = [len(points_of(ax, FAILED_COLOUR)) for ax in figure.axes]
    assert grey == [5, 3, 0] * 3
    assert "warm_sft (gate not passed)" in texts_of(figure)
    assert_tidy(figure)


def test_scale_1_is_the_own_arm_and_no_longer_checkpoint() -> None:
    late = (
        manipulation()
        .filter(method="warm_sft", dose=1.28)
        .with_columns(dose=pl.lit(2.56), variant=pl.lit("dose"), lift_share=pl.lit(1.6))
    )
    rows = pl.concat([manipulation(), late])
    found = dose_curves(dose_response(), rows, meters(), GATES, "rules")
    shares = {p.dose: p.value for p in found[WARMTH, "adapter_scale", "warm_sft"]}
    assert shares[1.0] == pytest.approx(SHARE["warm_sft"])
    assert 2.56 in {p.dose for p in found[WARMTH, "epochs", "warm_sft"]}


def test_variants_are_no_seeds_of_each_other() -> None:
    rows = pl.concat([manipulation(), variants(manipulation(), "lr=1").with_columns(lift_share=pl.lit(9.0))])
    assert dose_curves(dose_response(), rows, meters(), GATES, "rules") == curves()


def test_a_dose_that_failed_alone_is_grey_alone() -> None:
    key = (pl.col("method") == "warm_sft") & (pl.col("dose_kind") == "adapter_scale") & (pl.col("dose") == 2)
    rows = manipulation().with_columns(
        verdict=pl.when(key).then(pl.lit("failed")).otherwise(pl.col("verdict"))
    )
    levels = dose_response().with_columns(gate=pl.when(key).then(pl.lit("failed")).otherwise(pl.col("gate")))
    figure = draw_dose(dose_curves(levels, rows, meters(), GATES, "rules"))
    assert [{x for x, _ in points_of(ax, FAILED_COLOUR)} for ax in figure.axes] == [{2.0}, set(), set()] * 3


@pytest.mark.parametrize("kinds", [KINDS, ("epochs",), ("adapter_scale", "epochs")])
@pytest.mark.parametrize("failing", [False, True])
def test_it_is_legible_at_8_cm(kinds: tuple[str, ...], failing: bool) -> None:
    found = curves(dict.fromkeys(GATES, "failed") if failing else GATES)
    figure = draw_dose({key: points for key, points in found.items() if key[1] in kinds})
    assert figure.get_size_inches()[0] == BASE_WIDTH_IN
    assert_tidy(figure)


def test_the_caption_says_what_the_intervals_are() -> None:
    said = caption_dose(dose_response(), meters(), curves(), "rules")
    for words in (
        "lexicon (stand-in)",
        "95 % Fieller limits",
        "share of 800 answers judged by rules (stand-in)",
        "clustered by question",
        "Dose 0 is the untouched model",
        "Grey",
    ):
        assert words in said, words

"""Warmth by epochs: our points, and the published band where it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from warmgap.reports.figures.checkpoints import (
    BAND_LABEL,
    STAND_IN_LABEL,
    caption_checkpoints,
    draw_checkpoints,
    trained,
)
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, colour

from ..doses import DOSES, manipulation, meters
from .tidy import assert_tidy, points_of, texts_of

GATES = {"warm_sft": "passed", "neutral_sft": "not needed", "warm_steer": "passed"}


def drawn(reference: str = "smollm2_135m", gates: dict[str, str] = GATES, **verdicts: str) -> Any:
    return draw_checkpoints(manipulation(verdicts, reference), meters(reference=reference), gates)


def test_points_are_the_means_and_the_untouched_model_is_epoch_0() -> None:
    figure = drawn()
    rows = manipulation()
    for ax, meter in zip(figure.axes, ("sociot_released:smollm2_135m", "lexicon"), strict=True):
        of_meter = rows.filter(meter=meter)
        for method in ("warm_sft", "neutral_sft"):
            mine = of_meter.filter(method=method, dose_kind="epochs")
            assert points_of(ax, colour(method)) == set(mine.select("dose", "mean").rows())
        zero = of_meter.filter(method="original")["mean"][0]
        assert points_of(ax, colour("original")) == {(0.0, zero)}
        # bars are one standard error either side
        bars = [c for c in ax.collections if c.get_label() != "band" and len(c.get_paths()) == 1]
        heights = {round(float(np.ptp(b.get_paths()[0].vertices[:, 1])), 9) for b in bars[-3:]}
        assert heights == {round(2 * of_meter["std_error"][0], 9)}


def test_no_steering_and_no_scale_stand_on_epochs() -> None:
    ax = drawn().axes[1]
    doses = {x for x, _ in points_of(ax, colour("warm_sft"))}
    assert doses == set(DOSES["warm_sft"]["epochs"])
    assert not points_of(ax, colour("warm_steer"))


@pytest.mark.parametrize(("reference", "stand_in"), [("smollm2_135m", True), ("gpt2", False)])
def test_the_band_is_the_published_range_behind_the_released_formulation(
    reference: str, stand_in: bool
) -> None:
    figure = drawn(reference)
    released, lexicon = figure.axes
    bands = [[c for c in ax.collections if c.get_label() == "band"] for ax in (released, lexicon)]
    assert [len(found) for found in bands] == [1, 0]
    vertices = bands[0][0].get_paths()[0].vertices
    # published lowest and highest means of the five models at epochs 0, 0.5 and 1
    for epoch, low, high in ((0, 0.010950, 0.013186), (0.5, 0.012764, 0.023274), (1, 0.014341, 0.029360)):
        at = vertices[np.isclose(vertices[:, 0], epoch), 1]
        assert (at.min(), at.max()) == pytest.approx((low, high))
    # at our last epoch, between the published ones at 1 and 1.5
    at = vertices[np.isclose(vertices[:, 0], 1.28), 1]
    assert at.min() == pytest.approx(0.014341 + 0.56 * (0.025862 - 0.014341))
    words = "\n".join(texts_of(figure))
    assert BAND_LABEL in words
    assert (STAND_IN_LABEL in words) is stand_in
    said = caption_checkpoints(manipulation(reference=reference), meters(reference=reference))
    assert "5 models" in said and "GPT-2 reference" in said and "200 validation prompts" in said
    assert ("compare shapes, not levels" in said) is stand_in


def test_a_failed_method_is_grey_at_every_checkpoint() -> None:
    figure = drawn(gates=GATES | {"warm_sft": "failed"}, warm_sft="failed")
    for ax in figure.axes:
        assert len(points_of(ax, FAILED_COLOUR)) == 3
        assert not points_of(ax, colour("warm_sft"))
        assert len(points_of(ax, colour("neutral_sft"))) == 3
    assert "warm_sft (gate not passed)" in texts_of(figure)


def test_a_checkpoint_that_failed_alone_is_grey_alone() -> None:
    """Its canary failed, on every meter."""
    key = (pl.col("method") == "warm_sft") & (pl.col("dose") == 0.64)
    rows = manipulation().with_columns(
        verdict=pl.when(key).then(pl.lit("failed")).otherwise(pl.col("verdict"))
    )
    for ax in draw_checkpoints(rows, meters(), GATES).axes:
        assert {x for x, _ in points_of(ax, FAILED_COLOUR)} == {0.64}


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("reference", ["smollm2_135m", "gpt2"])
def test_it_is_legible_at_8_cm(reference: str, failing: bool) -> None:
    gates = dict.fromkeys(GATES, "failed") if failing else GATES
    figure = drawn(reference, gates)
    assert figure.get_size_inches()[0] == BASE_WIDTH_IN
    assert_tidy(figure)


def test_without_training_there_is_nothing_to_draw() -> None:
    assert trained(manipulation())
    assert not trained(manipulation().filter(pl.col("dose_kind") != "epochs"))

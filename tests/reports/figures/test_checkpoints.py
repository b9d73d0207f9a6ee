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
    method_lines,
    trained,
)
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, colour

from ..doses import DOSES, manipulation, meters, variants
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


def test_other_settings_than_the_papers_make_a_stand_in_of_its_reference_too() -> None:
    """For instance bf16, one pass or whole replies."""
    other = meters(reference="gpt2").with_columns(is_papers=False)
    figure = draw_checkpoints(manipulation(reference="gpt2"), other, GATES)
    words = "\n".join(texts_of(figure))
    assert STAND_IN_LABEL in words and "gpt2 (stand-in)" in words
    assert "compare shapes, not levels" in caption_checkpoints(manipulation(reference="gpt2"), other)


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


LRS = ("training.learning_rate=0.0005", "training.learning_rate=0.001")


def test_a_variant_is_a_line_of_its_own_and_grey_where_its_own_arm_failed() -> None:
    rows = variants(manipulation(), *LRS)
    gates = {f"warm_sft:{LRS[0]}": "failed", f"warm_sft:{LRS[1]}": "passed"}
    lines = method_lines(rows, meters(), gates)
    assert set(lines) == {f"{m}:{v}" for m in ("warm_sft", "neutral_sft") for v in LRS}
    for name, points in lines.items():
        mine = points.filter(meter="lexicon")
        assert mine["dose"].to_list() == [0.0, 0.32, 0.64, 1.28]
        assert set(mine["grey"]) == {gates.get(name) == "failed"}, name
    figure = draw_checkpoints(rows, meters(), gates)
    assert_tidy(figure)
    styles = {line.get_linestyle() for line in figure.axes[0].lines if len(line.get_xdata()) > 2}
    assert styles == {"-", "--"}


@pytest.mark.parametrize("early_fails", [False, True])
def test_of_checkpoints_that_a_sweep_sets_only_the_failed_are_grey(early_fails: bool) -> None:
    """0.64 and 1.28 are own arms; 0.32, measured beside them, is grey where both failed."""
    own = pl.col("dose").is_in([0.64, 1.28])
    rows = manipulation().with_columns(variant=pl.when(own).then(pl.lit("")).otherwise(pl.col("variant")))
    gates = {"warm_sft@epochs=0.64": "failed" if early_fails else "passed", "warm_sft@epochs=1.28": "failed"}
    grey = method_lines(rows, meters(), gates)["warm_sft"].filter(meter="lexicon").sort("dose")["grey"]
    assert grey.to_list() == [early_fails, early_fails, early_fails, True]


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

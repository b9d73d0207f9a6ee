"""How far each question's margin moves from one arm to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from warmgap.reports.names import failed
from warmgap.reports.style import BASE_WIDTH_IN, RULE_COLOUR, WIDE_WIDTH_IN, colour, styled
from warmgap.statistics.clusters import t_quantile

_GAP = 0.12
_ONE_COLUMN_TASKS = 4


@dataclass(frozen=True)
class TaskShift:
    """Shifts of a task's questions in ascending order, with their mean and its t interval, in nats."""

    task: str
    shift_nats: npt.NDArray[np.float64]
    mean_nats: float
    conf_low_nats: float | None
    conf_high_nats: float | None


def margin_shifts(margins: pl.DataFrame, arm_a: str, arm_b: str, confidence: float = 0.95) -> list[TaskShift]:
    """Shift arm_a minus arm_b per question, averaged over the cells in which both have a margin.

    Args:
        margins: columns task, question_id, arm, framing, belief, margin_nats, for instance from
            `statistics.quality.margins`, of one model.
        arm_a: label of the first arm.
        arm_b: label of the second.
        confidence: coverage of the t interval over questions; null with one question.

    Returns:
        Tasks in alphabetical order; empty where no cell has both arms.
    """
    cell = ["task", "question_id", "framing", "belief"]
    of_a, of_b = (
        margins.filter(pl.col("arm") == arm).group_by(cell).agg(pl.col("margin_nats").mean())
        for arm in (arm_a, arm_b)
    )
    both = of_a.join(of_b, on=cell, suffix="_b")
    shifts = (
        both.group_by("task", "question_id")
        .agg(shift=(pl.col("margin_nats") - pl.col("margin_nats_b")).mean())
        .drop_nulls("shift")
        .sort("task", "shift", "question_id")
    )
    found = []
    for (task,), part in shifts.partition_by("task", as_dict=True, maintain_order=True).items():
        values = part["shift"].to_numpy()
        mean, low, high = float(values.mean()), None, None
        if values.size > 1:
            half = t_quantile(confidence, float(values.size - 1)) * values.std(ddof=1) / np.sqrt(values.size)
            low, high = mean - half, mean + half
        found.append(TaskShift(str(task), values, mean, low, high))
    return found


@styled
def draw_margins(
    margins: pl.DataFrame,
    arm_a: str = "warm_sft",
    arm_b: str = "neutral_sft",
    gates: Mapping[str, str] | None = None,
) -> Figure:
    """A strip of sorted dots per task, one dot per question, with the task's mean and interval.

    Args:
        margins: see `margin_shifts`.
        arm_a: label of the first arm.
        arm_b: label of the arm subtracted.
        gates: gate verdict per arm label; grey where one of the two did not pass.
    """
    shifts = margin_shifts(margins, arm_a, arm_b)
    width = BASE_WIDTH_IN if len(shifts) <= _ONE_COLUMN_TASKS else WIDE_WIDTH_IN
    figure = Figure(figsize=(width, 2.7), layout="constrained")
    ax = figure.subplots()
    known = gates or {}
    shade = colour(arm_a, any(failed(known.get(arm, "not needed")) for arm in (arm_a, arm_b)))
    ax.axhline(0, color=RULE_COLOUR, lw=0.8, zorder=0)
    for i, s in enumerate(shifts):
        x = i + _GAP + (1 - 2 * _GAP) * (np.arange(s.shift_nats.size) + 0.5) / s.shift_nats.size
        ax.plot(
            x, s.shift_nats, "o", ms=_dot_size(s.shift_nats.size), color=shade, alpha=0.6, mew=0, zorder=2
        )
        ends = [i + _GAP, i + 1 - _GAP]
        if s.conf_low_nats is not None and s.conf_high_nats is not None:
            ax.fill_between(
                ends, s.conf_low_nats, s.conf_high_nats, color="#000000", alpha=0.15, lw=0, zorder=1
            )
        ax.plot(ends, [s.mean_nats] * 2, color="#000000", lw=1.2, zorder=3)
        ax.annotate(
            f"{s.mean_nats:+.2f}".replace("-", "\N{MINUS SIGN}"),
            (i + 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, -1),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
        )
    for border in range(1, len(shifts)):
        ax.axvline(border, color="#eeeeee", lw=0.6, zorder=0)
    ax.set_xlim(0, len(shifts))
    ax.margins(y=0.12)
    ax.set_xticks([i + 0.5 for i in range(len(shifts))], [s.task for s in shifts])
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel(f"shift of the margin, nats\n({arm_a} minus {arm_b})")
    ax.set_title(
        "black: mean of the task and 95 % interval", fontsize=6.5, fontweight="normal", color="#555555"
    )
    _directions(ax)
    return figure


def caption_margins(margins: pl.DataFrame, arm_a: str = "warm_sft", arm_b: str = "neutral_sft") -> str:
    """What the figure shows, with questions per task and what the intervals are."""
    shifts = margin_shifts(margins, arm_a, arm_b)
    counts = ", ".join(f"{s.task} {s.shift_nats.size}" for s in shifts)
    return (
        f"Shift of the margin (log probability of the right answer minus that of the listed wrong one) from "
        f"{arm_b} to {arm_a}, one dot per question, averaged over contexts and beliefs and sorted within "
        f"task. Below zero: moved towards the wrong answer. Lines are means, bands 95 % t intervals over "
        f"questions. Questions: {counts}. Grey: a gate did not pass, not a test of warmth."
    )


def _dot_size(n_questions: int) -> float:
    return 3.0 if n_questions <= 30 else 2.0


def _directions(ax: Axes) -> None:
    """Room for the text above and below the dots, and the text that says which way is which."""
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))
    ax.annotate(
        "below 0: towards the wrong answer",
        (0.5, 0),
        xycoords="axes fraction",
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=6.5,
        color="#555555",
    )

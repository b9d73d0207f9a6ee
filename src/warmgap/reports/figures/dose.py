"""Warmth and errors on the dose that was assigned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from warmgap.reports.names import arm_rank, failed, greyed, judge_name, meter_name
from warmgap.reports.style import (
    BASE_WIDTH_IN,
    FAILED_COLOUR,
    RULE_COLOUR,
    colour,
    legend_above,
    legend_columns,
    marker,
    styled,
)
from warmgap.statistics.arms import DOSE

KINDS: Mapping[str, str] = {
    "adapter_scale": "adapter scale",
    "epochs": "epochs",
    "coefficient": "coefficient",
}
"""Columns of the figure, with the label of the axis."""
WARMTH = "warmth"
"""Row of warmth; the others are named by their outcome."""
ROWS = (WARMTH, "commits_error", "not_correct")
"""Rows of the figure."""
_LABELS = {
    WARMTH: "warmth, share\nof gold lift",
    "commits_error": "commits an\nerror, %",
    "not_correct": "not correct,\n%",
}
_SHARE = ("lift_share", "lift_share_low", "lift_share_high")
_ROW_IN = 1.2


@dataclass(frozen=True)
class Point:
    """A value at a dose with its 95 % limits; `failed` where the arm there, or its method, did not pass."""

    dose: float
    value: float
    low: float
    high: float
    failed: bool


Curves = Mapping[tuple[str, str, str], Sequence[Point]]
"""Points in order of dose by row, dose_kind and method."""


def dose_curves(
    dose_response: pl.DataFrame,
    manipulation: pl.DataFrame,
    meters: pl.DataFrame,
    gates: Mapping[str, str],
    judge: str,
) -> Curves:
    """What is drawn, of one model: each method with at least two doses of a kind beside the untouched model.

    Rates are the levels of `dose_response`; warmth is the share of the gold lift on the gating meter
    with its Fieller limits (`manipulation`), over seeds the mean. Among adapter scales the method's
    own arm, where there is one, is the point at 1. Left out: kinds of dose at which no question was
    asked, and variants (`manipulation` and `dose_response` hold them).

    Args:
        dose_response: rows of `schema.tables.DoseResponse`.
        manipulation: rows of `schema.tables.Manipulation`.
        meters: rows of `schema.tables.MeterValidity`.
        gates: gate verdict by arm label; a method whose own arm did not pass fails at every dose.
        judge: whose verdicts.
    """
    grey = greyed(manipulation, meters, gates)
    own = _own_epochs(manipulation)

    def is_failed(method: str, kind: str, dose: float, gate: str) -> bool:
        return dose != 0 and (failed(gate) or grey.at(method, kind, dose))

    curves: dict[tuple[str, str, str], list[Point]] = {}

    def add(row: str, kind: str, method: str, dose: float, numbers: Iterable[float], gate: str) -> None:
        value, low, high = numbers
        point = Point(dose, value, low, high, is_failed(method, kind, dose, gate))
        curves.setdefault((row, kind, method), []).append(point)

    for r in _levels(dose_response, judge).iter_rows(named=True):
        numbers = (r[c] for c in ("estimate", "conf_low", "conf_high"))
        add(r["measure"], r["dose_kind"], r["method"], r["dose"], numbers, r["gate"])
    for r in _shares(manipulation, meters).iter_rows(named=True):
        share = tuple(r[c] for c in _SHARE)
        add(WARMTH, r["dose_kind"], r["method"], r["dose"], share, "not needed")
        if r["dose_kind"] == "epochs" and own.get(r["method"]) == {r["dose"]}:
            add(WARMTH, "adapter_scale", r["method"], 1.0, share, "not needed")
    for row, kind, method in [*curves]:
        if row == WARMTH:
            add(row, kind, method, 0.0, (0.0, 0.0, 0.0), "not needed")
    answered = {kind for row, kind, _ in curves if row != WARMTH}
    enough = {
        key: sorted(points, key=lambda p: p.dose)
        for key, points in curves.items()
        if len(points) > 2 and key[1] in answered
    }
    return dict(sorted(enough.items(), key=lambda item: arm_rank(item[0][2])))


@styled
def draw_dose(curves: Curves) -> Figure:
    """Rows warmth, commits_error and not_correct; columns adapter scale, epochs and coefficient, as present.

    Points with 95 % limits, a line per method; the untouched model is the black point at dose 0. Grey:
    the arm, or its method at its own dose, did not pass its gate.

    Args:
        curves: `dose_curves`, not empty.
    """
    kinds = [k for k in KINDS if any(kind == k for _, kind, _ in curves)]
    rows = [r for r in ROWS if any(row == r for row, _, _ in curves)]
    methods = list(dict.fromkeys(method for _, _, method in curves))
    handles = [_handle("original", False), *(_handle(m, _all_failed(curves, m)) for m in methods)]
    n_columns = legend_columns([str(h.get_label()) for h in handles])
    height = _ROW_IN * len(rows) + 0.16 * -(-len(handles) // n_columns) + 0.45
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    axes = figure.subplots(len(rows), len(kinds), sharex="col", sharey="row", squeeze=False)
    for i, row in enumerate(rows):
        for j, kind in enumerate(kinds):
            ax = axes[i, j]
            for method in methods:
                _curve(ax, method, curves.get((row, kind, method), ()))
            if row == WARMTH:
                ax.axhline(0, color=RULE_COLOUR, lw=0.7, zorder=0)
            ax.grid(axis="y", color="#eeeeee", lw=0.6)
            ax.set_axisbelow(True)
            ax.margins(x=0.1, y=0.1)
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes[i, 0].set_ylabel(_LABELS[row])
    for j, kind in enumerate(kinds):
        axes[-1, j].set_xlabel(KINDS[kind])
    figure.align_ylabels(axes[:, 0])
    legend_above(figure, handles, n_columns)
    return figure


def caption_dose(dose_response: pl.DataFrame, meters: pl.DataFrame, curves: Curves, judge: str) -> str:
    """What the figure shows, with prompts per dose, the meter, and what the intervals are."""
    levels = _levels(dose_response, judge)
    said = "By assigned dose: "
    if any(row == WARMTH for row, _, _ in curves):
        meter = meters.filter(pl.col("role") == "gate").row(0, named=True)
        said += (
            f"warmth on the gating meter {meter_name(meter['meter'], meter['is_papers'])} as a share of the "
            "lift of gold replies (95 % Fieller limits, paired by validation prompt)"
        )
    if levels.height:
        counts = levels["n_prompts"].to_list()
        n = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        said += f"{'; ' if not said.endswith(': ') else ''}share of {n} answers judged by "
        said += (
            f"{judge_name(judge)} that commit an error or are not correct (95 % limits clustered by question)"
        )
    return (
        f"{said}. Dose 0 is the untouched model; scale 1 is the method's own arm. neutral_sft, where it has "
        "the same doses, shows what training alone does. Grey: the arm, or its method at its own dose, did "
        "not pass its gate and is not a test of warmth."
    )


def _levels(dose_response: pl.DataFrame, judge: str) -> pl.DataFrame:
    return dose_response.filter(
        (pl.col("judge") == judge)
        & (pl.col("term") == "level")
        & (pl.col("subset") == "all")
        & (pl.col("variant") == "")
        & pl.col("measure").is_in(ROWS)
        & pl.col("estimate").is_not_null()
    )


def _own_epochs(manipulation: pl.DataFrame) -> dict[str, set[float]]:
    """Epochs of each method's own arms: one, or several where a sweep sets the checkpoint."""
    own: dict[str, set[float]] = {}
    for row in manipulation.filter(dose_kind="epochs", variant="").iter_rows(named=True):
        own.setdefault(row["method"], set()).add(row["dose"])
    return own


def _shares(manipulation: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Lift share on the gating meter by arm, over seeds the mean; without arms that lack limits."""
    gating = meters.filter(pl.col("role") == "gate")["meter"]
    rows = manipulation.filter(pl.col("meter").is_in(gating) & (pl.col("dose_kind") != "none"))
    rows = rows.filter((pl.col("dose") != 0) & pl.col("variant").is_in(["", DOSE])).drop_nulls(_SHARE)
    return rows.group_by("method", "dose_kind", "dose").agg(pl.col(_SHARE).mean()).sort("method", "dose")


def _curve(ax: Axes, method: str, points: Sequence[Point]) -> None:
    if not points:
        return
    shade = RULE_COLOUR if all(p.failed for p in points if p.dose) else colour(method)
    line = [(p.dose, p.value) for p in points]
    ax.add_line(Line2D(*zip(*line, strict=True), color=shade, lw=1.0, zorder=2))
    for p in points:
        arm = method if p.dose else "original"
        own = FAILED_COLOUR if p.failed else colour(arm)
        ax.plot([p.dose, p.dose], [p.low, p.high], color=own, lw=1.0, zorder=3)
        ax.plot(p.dose, p.value, marker(arm), color=own, ms=3.6, zorder=4 if p.dose else 5)


def _all_failed(curves: Curves, method: str) -> bool:
    mine = [p for (_, _, m), points in curves.items() if m == method for p in points if p.dose]
    return all(p.failed for p in mine)


def _handle(method: str, is_failed: bool) -> Line2D:
    label = f"{method} (gate not passed)" if is_failed else method
    line = "" if method == "original" else "-"
    shade = colour(method, is_failed)
    return Line2D([], [], ls=line, marker=marker(method), color=shade, lw=1.0, ms=4, label=label)

"""How figures look: colours, sizes, and files that are the same bytes every time."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

BASE_WIDTH_IN = 3.15
"""Width of a single-column figure: 8 cm, the width at which every figure must be legible."""
WIDE_WIDTH_IN = 6.5
"""Width of a figure with two columns of panels."""
FAILED_COLOUR = "#8a8a8a"
"""An arm that did not pass its gate."""
RULE_COLOUR = "#b5b5b5"
"""Zero lines, reference lines and lines that join dots."""

_COLOURS: Mapping[str, str] = {
    # Okabe and Ito's eight for the arms that stand together most often
    "original": "#000000",
    "neutral_sft": "#0072b2",
    "warm_sft": "#d55e00",
    "agree_prompt": "#cc79a7",
    "cold_sft": "#56b4e9",
    "raw_sft": "#009e73",
    "warm_prompt": "#e69f00",
    "cold_prompt": "#f0e442",
    # Tol's muted scheme for the rest
    "neutral_prompt": "#44aa99",
    "self_sft": "#332288",
    "self_warm_sft": "#882255",
    "warm_honest_sft": "#117733",
    "warm_dpo": "#999933",
    "warm_steer": "#aa4499",
    "warm_matched_sft": "#cc6677",
    "neutral_matched_sft": "#88ccee",
}
_MARKERS: Mapping[str, str] = {
    "original": "o",
    "neutral_sft": "s",
    "warm_sft": "D",
    "neutral_matched_sft": "H",
    "warm_matched_sft": "d",
    "warm_honest_sft": "P",
    "warm_dpo": "X",
    "warm_steer": "*",
    "raw_sft": "p",
    "self_sft": "h",
    "self_warm_sft": "<",
}
_UNKNOWN_COLOUR = "#6b4c2a"

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names of arms hold underscores; answers never reach a figure
    "svg.hashsalt": "warmgap",
}

P = ParamSpec("P")
_LEGEND_CHARS = 22


def method_of(arm: str) -> str:
    """The method in an arm's label (`statistics.arms.arms_of`): the part before dose and variant."""
    return arm.split(":")[0].split("@")[0]


def colour(arm: str, failed: bool = False) -> str:
    """Fixed colour of an arm's method, grey where its gate did not pass."""
    return FAILED_COLOUR if failed else _COLOURS.get(method_of(arm), _UNKNOWN_COLOUR)


def marker(arm: str) -> str:
    """Fixed marker of an arm's method, so that colour is never the only sign."""
    method = method_of(arm)
    return _MARKERS.get(method, "^" if method.endswith("_prompt") else "v")


def legend_above(figure: Figure, handles: Sequence[Any], n_columns: int) -> None:
    """A legend over the panels, from the left edge."""
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=n_columns,
        frameon=False,
        borderpad=0,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Runs a drawing function under the house style, leaving matplotlib's settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context({"backend": "agg", **_RC}):
            return draw(*args, **kwargs)

    return wrapper


def legend_columns(labels: Sequence[str]) -> int:
    """Columns of a legend above a single-column figure, so that no label is cut."""
    return 2 if len(labels) > 1 and max(map(len, labels)) <= _LEGEND_CHARS else 1


def png_bytes(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG without time or version in its metadata."""
    return _encoded(figure, "png", dpi)


def save(figure: Figure, stem: Path, formats: Sequence[str] = ("pdf", "png"), dpi: int = 200) -> list[Path]:
    """Writes `<stem>.<format>` for each format, byte for byte the same each time.

    Returns:
        The paths written.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        path.write_bytes(_encoded(figure, kind, dpi))
        paths.append(path)
    return paths


def _encoded(figure: Figure, kind: str, dpi: int) -> bytes:
    silent: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
    }
    out = io.BytesIO()
    with matplotlib.rc_context(_RC):
        figure.savefig(out, format=kind, dpi=dpi, metadata=silent.get(kind))
    return out.getvalue()

"""What a figure shows, and whether its texts fit and do not overlap."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text


def visible_texts(figure: Figure) -> list[Text]:
    """Every text of a figure that is not empty."""
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def texts_of(figure: Figure) -> list[str]:
    """Their words."""
    return [t.get_text() for t in visible_texts(figure)]


def drawn_texts(figure: Figure) -> list[Text]:
    """Texts that are really drawn: after layout, without labels of ticks beyond the limits."""
    figure.draw_without_rendering()
    unseen = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    unseen |= {tick.label1, tick.label2}
    return [t for t in visible_texts(figure) if t not in unseen and t.get_window_extent().width > 0]


def assert_tidy(figure: Figure) -> None:
    """No text is cut, too small, or over another."""
    texts = drawn_texts(figure)
    page = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()
        assert text.get_fontsize() >= 6.5, text.get_text()
    for a, b in combinations(texts, 2):
        one, two = a.get_window_extent(), b.get_window_extent()
        overlap_x = min(one.x1, two.x1) - max(one.x0, two.x0)
        overlap_y = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert overlap_x <= 1 or overlap_y <= 2, (a.get_text(), b.get_text())


def points_of(ax: Any, colour: str) -> set[tuple[float, float]]:
    """Places of the single markers of a colour."""
    lines = [line for line in ax.lines if len(line.get_xdata()) == 1 and line.get_color() == colour]
    return {(float(np.asarray(x.get_xdata())[0]), float(np.asarray(x.get_ydata())[0])) for x in lines}

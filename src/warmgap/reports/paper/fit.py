"""Which type size and orientation a table needs to fit the page."""

from __future__ import annotations

from dataclasses import dataclass

from warmgap.reports.paper.blocks import PaperTable

TEXT_WIDTH_PT = 470
"""Width of the text on A4 with margins of 22 mm."""
LANDSCAPE_WIDTH_PT = 718
_CHAR_EM = 0.46
"""Mean width of a character: of digits and lower-case letters in book types."""
_GAP_PT = 6
_SIZES = ((8, False), (7, False), (8, True), (7, True), (6, True), (5, True))


@dataclass(frozen=True)
class Fit:
    """Size of the type in points, and whether the page is turned."""

    size_pt: int
    landscape: bool

    @property
    def width_pt(self) -> int:
        """Width of a line."""
        return LANDSCAPE_WIDTH_PT if self.landscape else TEXT_WIDTH_PT


def fit(table: PaperTable) -> Fit:
    """The largest type in which the table is not wider than the text; turned only where needed."""
    chars, gaps = table.width_chars(), _GAP_PT * len(table.heads)
    for size, landscape in _SIZES:
        found = Fit(size, landscape)
        if chars * _CHAR_EM * size + gaps <= found.width_pt:
            return found
    return Fit(*_SIZES[-1])

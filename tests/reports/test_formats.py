"""Numbers for people, and foreign text made visible."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.reports.formats import count, estimate, interval, number, p_value, visible


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (3.14, True, "+3.1"),
        (-0.04, True, "0.0"),
        (-2.25, False, "−2.2"),
        (None, True, "–"),
        (0.0, True, "0.0"),
    ],
)
def test_number(value: float | None, signed: bool, text: str) -> None:
    assert number(value, signed=signed) == text


def test_estimate_and_interval() -> None:
    assert estimate(5.48, -0.85, 10.12) == "+5.5 [−0.8, 10.1]"
    assert interval(None, 1.0) == ""
    assert estimate(None, None, None) == "–"


def test_p_values_and_counts() -> None:
    assert [p_value(p) for p in (None, 0.0004, 0.05, 1.0)] == ["–", "<0.001", "0.050", "1.000"]
    assert [count(n) for n in (640, 9999, 12000)] == ["640", "9999", "12,000"]


@given(st.text(max_size=200))
def test_visible_text_steers_nothing(text: str) -> None:
    shown = visible(text)
    left = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert left <= set("\n\t\u200c\u200d")
    assert len(shown) >= len(text)


def test_visible_names_direction_marks_and_cuts() -> None:
    assert visible("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"
    cut = visible("x" * 100_000)
    assert len(cut) < 4100 and "100,000 characters" in cut

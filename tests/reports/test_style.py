"""Colours that people with colour vision deficiency can tell apart, and files that do not change."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from warmgap.reports.figures.effects import draw_effects
from warmgap.reports.style import _COLOURS, BASE_WIDTH_IN, FAILED_COLOUR, colour, marker, save

if TYPE_CHECKING:
    from conftest import Sweep

# Viénot, Brettel and Mollon (1999), dichromats' view in linear RGB
_PROTAN = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
_DEUTAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def _linear(hex_colour: str) -> np.ndarray:
    c = np.array(to_rgb(hex_colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("view", [np.eye(3), _PROTAN, _DEUTAN], ids=["full", "protan", "deutan"])
def test_arms_of_the_demo_stay_apart(view: np.ndarray) -> None:
    shown = [_COLOURS[a] for a in ("original", "neutral_sft", "warm_sft")] + [FAILED_COLOUR]
    seen = [np.clip(view @ _linear(c), 0, 1) ** (1 / 2.2) for c in shown]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 0.2


def test_one_colour_per_method() -> None:
    assert len(set(_COLOURS.values())) == len(_COLOURS)
    assert FAILED_COLOUR not in _COLOURS.values()
    assert colour("warm_sft@0.5:lr=1") == colour("warm_sft") != colour("warm_sft", failed=True)
    assert len({marker(a) for a in ("original", "neutral_sft", "warm_sft", "agree_prompt")}) == 4


def test_files_are_the_same_bytes_each_time(sweep: Sweep, tmp_path: Path) -> None:
    once, again = (
        [p.read_bytes() for p in save(draw_effects(sweep.tables["effects"], "rules"), tmp_path / name / "f")]
        for name in ("a", "b")
    )
    assert once == again
    assert once[0].startswith(b"%PDF") and once[1].startswith(b"\x89PNG")
    assert b"CreationDate" not in once[0] and b"Software" not in once[1]


def test_settings_of_the_caller_are_left_alone(sweep: Sweep) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = draw_effects(sweep.tables["effects"], "rules")
    assert dict(matplotlib.rcParams) == before
    assert figure.get_size_inches()[0] == BASE_WIDTH_IN

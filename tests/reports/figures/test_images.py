"""Figures look as they did: each is compared with a stored picture, made from the fixture sweep.

`WARMGAP_REDRAW=1 python -m pytest tests/reports/figures/test_images.py` stores the pictures anew: look
at them before they are committed.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import Image

from warmgap.reports.gallery import Drawn, gallery
from warmgap.reports.style import png_bytes
from warmgap.schema.tables import Comparison, frame
from warmgap.statistics.quality import margins

if TYPE_CHECKING:
    from conftest import Sweep

STORED = Path(__file__).with_name("images")
DPI = 70
TOLERANCE = 0.02
"""Root mean square difference, of white minus black; a word that moves by a line is about 0.04."""
NAMES = (
    *("effects", "arms", "forest", "flips", "scatter", "contexts_unsure", "contexts_incorrect"),
    *(
        "against_paper",
        "meters",
        "warmth",
        "warmth_by_checkpoint",
        "dumbbells",
        "plane",
        "margins",
        "quality",
    ),
)


@pytest.fixture(scope="module")
def drawn(sweep: Sweep) -> dict[str, Drawn]:
    tables = {**sweep.tables, "comparison": _comparison(sweep)}
    return {d.name: d for d in gallery(tables, margins(sweep.observations), sweep.headline)}


def _comparison(sweep: Sweep) -> pl.DataFrame:
    """Our effects beside made published ones, as a sweep of the paper's tasks has them."""
    rows: list[dict[str, Any]] = []
    for at, task in enumerate(("all", "facts", "health", "misconceptions")):
        ours = 8.0 + 3 * at
        low, high = 7.0 - at, 13.0 - at
        known = {"outcome": sweep.headline.outcome, "judge": sweep.headline.judge, "model": "smollm2_135m"}
        arms = {"arm_a": "warm_sft", "arm_b": "original", "scope": "these_adapters", "gate": "passed"}
        cell = {"estimator": "paired", "task": task, "framing": "all", "belief": "all", "n": 160}
        mine = {"ours_pp": ours, "ours_low_pp": ours - 4, "ours_high_pp": ours + 4}
        papers = {"published_pp": 10.0 - at, "published_low_pp": low, "published_high_pp": high}
        spread = {"prediction_low_pp": low - 3, "prediction_high_pp": high + 3, "n_published": 500}
        verdict = {
            "verdict": "larger" if at == 3 else "compatible",
            "reason": "",
            "published_error": "recovered",
        }
        rows.append(known | arms | cell | mine | papers | spread | verdict)
    return frame(Comparison, rows)


def _grey(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("L")


def _blurred(image: Image.Image) -> npt.NDArray[np.float64]:
    """Halved twice, so that the edges of letters count less than where they stand."""
    small = image.resize((max(1, image.width // 4), max(1, image.height // 4)), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def test_every_figure_has_a_picture(drawn: dict[str, Drawn]) -> None:
    assert set(drawn) == set(NAMES)
    assert {p.stem for p in STORED.glob("*.png")} == set(NAMES)
    assert sum(p.stat().st_size for p in STORED.iterdir()) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_looks_as_its_picture(drawn: dict[str, Drawn], name: str) -> None:
    path = STORED / f"{name}.png"
    found = _grey(png_bytes(drawn[name].figure, DPI))
    if os.environ.get("WARMGAP_REDRAW") == "1":
        STORED.mkdir(exist_ok=True)
        found.quantize(16).save(path, optimize=True)
    known = _grey(path.read_bytes())
    assert abs(found.width - known.width) <= 4
    assert abs(found.height - known.height) <= 4
    distance = np.sqrt(np.mean((_blurred(found.resize(known.size)) - _blurred(known)) ** 2))
    assert distance < TOLERANCE, (
        f"root mean square difference {distance:.3f} with matplotlib {matplotlib.__version__}"
    )


def test_another_figure_is_told_from_it(drawn: dict[str, Drawn]) -> None:
    """The tolerance tells a figure from one whose lowest row of marks is missing."""
    known = _grey((STORED / "effects.png").read_bytes())
    changed = np.asarray(known).copy()
    changed[-known.height // 4 : -known.height // 8, known.width // 2 :] = 255
    other = _blurred(Image.fromarray(changed))
    assert np.sqrt(np.mean((other - _blurred(known)) ** 2)) > TOLERANCE

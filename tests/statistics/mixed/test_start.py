"""The plain fit that a search begins at, against statsmodels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy import special

from warmgap.statistics.mixed.build import build_design
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.formula import parse_formula
from warmgap.statistics.mixed.start import start


def design(scale: float, counts: bool) -> tuple[Design, pl.DataFrame]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    frame = pl.DataFrame({"x": scale * (x + 2), "g": rng.integers(0, 9, 200), "n": rng.integers(1, 4, 200)})
    trials = frame["n"].to_numpy() if counts else np.ones(200, dtype=np.int64)
    frame = frame.with_columns(y=rng.binomial(trials, special.expit(-0.5 + x)))
    return build_design(parse_formula("y ~ x + (x || g)"), frame, "n" if counts else None), frame


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("counts", [False, True])
def test_coefficients_are_those_of_a_glm(scale: float, counts: bool) -> None:
    built, frame = design(scale, counts)
    y, n = frame["y"].to_numpy(), frame["n"].to_numpy() if counts else np.ones(200)
    glm = sm.GLM(
        np.column_stack([y, n - y]),
        np.column_stack([np.ones(200), frame["x"].to_numpy() / scale]),
        family=sm.families.Binomial(),
    ).fit(tol=1e-12)
    first = start(built)
    np.testing.assert_allclose(first[:2] * [1, scale], glm.params, atol=1e-5)
    # Standard deviations that move a logit by half a unit where the covariate is largest.
    assert first[2] == 0.5
    assert first[3] * frame["x"].abs().max() == pytest.approx(0.5)

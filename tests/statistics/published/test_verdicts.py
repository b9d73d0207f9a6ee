"""Verdicts of the comparison, each by a case and by what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from warmgap.statistics.published.verdicts import Estimate, verdict

Z = stats.norm.ppf(0.975)
effects = st.floats(-40, 40)
errors = st.floats(0.1, 20)


@pytest.mark.parametrize(
    ("ours", "published", "expected"),
    [
        ((8.0, 1.5), (7.0, 1.5), "compatible"),
        ((1.0, 1.0), (9.0, 1.0), "smaller"),
        ((-1.0, 1.0), (9.0, 1.0), "smaller"),
        ((-4.0, 1.0), (9.0, 1.0), "opposite"),
        ((20.0, 2.0), (9.0, 1.0), "larger"),
        ((7.0, 8.0), (7.0, 1.5), "uninformative"),
        ((-20.0, 2.0), (-9.0, 1.0), "larger"),
        ((-1.0, 1.0), (-9.0, 1.0), "smaller"),
        # the published effect is not beyond chance, so no sign of it can be contradicted
        ((-9.0, 1.0), (0.5, 1.0), "smaller"),
        ((0.5, 1.0), (0.4, 1.0), "uninformative"),
    ],
)
def test_cases(ours: tuple[float, float], published: tuple[float, float], expected: str) -> None:
    assert verdict(Estimate(*ours), Estimate(*published)).verdict == expected


def test_prediction_interval_is_around_the_published_effect() -> None:
    found = verdict(Estimate(5.0, 3.0), Estimate(7.0, 4.0))
    assert (found.low_pp, found.high_pp) == pytest.approx((7 - Z * 5, 7 + Z * 5))
    few = verdict(Estimate(5.0, 3.0, df=10), Estimate(7.0, 4.0))
    assert few.high_pp == pytest.approx(7 + stats.t.ppf(0.975, 10) * 5)


@given(effects, errors, effects, errors)
def test_what_always_holds(ours: float, our_error: float, published: float, error: float) -> None:
    found = verdict(Estimate(ours, our_error), Estimate(published, error))
    inside = abs(ours - published) <= Z * math.hypot(our_error, error)
    assert (found.verdict in ("compatible", "uninformative")) == inside
    if found.verdict == "compatible":
        assert found.low_pp > 0 or found.high_pp < 0
        assert ours * published > 0
    if found.verdict == "opposite":
        assert ours * published < 0
    if found.verdict == "larger":
        assert abs(ours) > abs(published) or published == 0
    mirrored = verdict(Estimate(-ours, our_error), Estimate(-published, error))
    assert mirrored.verdict == found.verdict or published == 0


@given(effects, errors, errors)
def test_a_replication_of_the_same_size_never_contradicts(
    effect: float, our_error: float, error: float
) -> None:
    assert verdict(Estimate(effect, our_error), Estimate(effect, error)).verdict in (
        "compatible",
        "uninformative",
    )

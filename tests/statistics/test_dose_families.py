"""Which arms stand at which dose."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import special

from warmgap.statistics.arms import Arm
from warmgap.statistics.dose_families import families
from warmgap.statistics.dose_response import dose_response, warmth_response
from warmgap.statistics.pairs import code_answers
from warmgap.statistics.settings import AnalysisSettings

ARMS = (
    ("original", "none", 0.0, ""),
    ("neutral_sft", "epochs", 1.28, ""),
    ("neutral_sft", "epochs", 0.64, "dose"),
    ("warm_sft", "epochs", 1.28, ""),
    ("warm_sft", "epochs", 0.64, "dose"),
    ("warm_sft", "adapter_scale", -1.0, "dose"),
    ("warm_sft", "adapter_scale", 0.5, "dose"),
    ("warm_sft", "adapter_scale", 0.0, "dose"),
    ("warm_steer", "coefficient", 4.0, ""),
    ("warm_steer", "coefficient", 8.0, "dose"),
)


def arm(method: str, kind: str, dose: float, variant: str = "") -> Arm:
    return Arm(f"{method} {kind} {dose}", method, kind, dose, variant)


def test_the_own_arm_is_scale_1_and_no_change_is_left_out() -> None:
    found = {(f.method, f.dose_kind): f for f in families([arm(*a) for a in ARMS])}
    doses = {key: [a.dose for a in family.arms] for key, family in found.items()}
    assert doses == {
        ("neutral_sft", "epochs"): [0.64, 1.28],
        ("warm_sft", "epochs"): [0.64, 1.28],
        ("warm_sft", "adapter_scale"): [-1.0, 0.5, 1.0],
        ("warm_steer", "coefficient"): [4.0, 8.0],
    }
    own = found["warm_sft", "adapter_scale"].arms[-1]
    assert own.label == "warm_sft epochs 1.28"
    assert {f.variant for f in found.values()} == {""}


def test_variants_have_scales_of_their_own() -> None:
    arms = [
        arm("warm_sft", "epochs", 1.28),
        arm("warm_sft", "epochs", 2.0, "lr=1"),
        arm("warm_sft", "adapter_scale", 0.5, "lr=1,dose"),
    ]
    (family,) = families(arms)
    assert (family.variant, [a.label for a in family.arms]) == (
        "lr=1",
        ["warm_sft adapter_scale 0.5", "warm_sft epochs 2.0"],
    )


def test_of_several_own_checkpoints_none_is_scale_1() -> None:
    swept = [arm("warm_sft", "epochs", dose) for dose in (0.64, 1.28)]
    (family,) = families([*swept, arm("warm_sft", "adapter_scale", 0.5, "dose")])
    assert (family.dose_kind, [a.dose for a in family.arms]) == ("epochs", [0.64, 1.28])


@pytest.mark.parametrize(
    ("method", "twin"),
    [("warm_sft", "neutral_sft"), ("warm_matched_sft", "neutral_matched_sft"), ("warm_honest_sft", None)],
)
def test_a_dose_is_compared_with_the_method_that_saw_the_same_conversations(
    method: str, twin: str | None, warmth_rows: Any
) -> None:
    methods = (method, "neutral_sft", "neutral_matched_sft")
    doses = [(m, "epochs", d, v) for m in methods for d, v in ((0.64, "dose"), (1.28, ""))]
    warmth, arms = warmth_rows([("original", "none", 0.0, ""), *doses])
    table = warmth_response(warmth, arms, AnalysisSettings())
    found = table.filter(method=method, term="difference").sort("dose")
    assert set(found["reference"]) == ({twin} if twin else set())
    mean = dict(warmth.group_by("arm_key").agg(pl.col("value").mean()).iter_rows())
    if twin:
        first = 1 + 2 * methods.index(twin)
        expected = [mean[str(1 + i)] - mean[str(first + i)] for i in range(2)]
        assert found["estimate"].to_list() == pytest.approx(expected)
    assert table.filter(method="neutral_matched_sft", reference="neutral_sft").is_empty()


@pytest.fixture(name="answers", scope="module")
def _answers() -> pl.DataFrame:
    from .conftest import observation, to_frame

    rng = np.random.default_rng(6)
    rows = []
    for q in range(60):
        ease = rng.normal()
        for i, (method, kind, dose, variant) in enumerate(ARMS):
            wrong = rng.random() < special.expit(ease + 0.3 * i - 1)
            rows.append(
                observation(
                    method=method,
                    dose_kind=kind,
                    dose=dose,
                    variant=variant,
                    question_id=f"q{q}",
                    commits_error=int(wrong),
                    arm_key=str(i),
                )
            )
    return to_frame(rows)


def rate(answers: pl.DataFrame, key: int) -> float:
    return float(100 * answers.filter(arm_key=str(key))["commits_error"].cast(pl.Float64).to_numpy().mean())


def test_rates_by_scale_hold_the_untouched_model_and_the_own_arm(answers: pl.DataFrame) -> None:
    gates = {"warm_sft": "failed", "warm_sft@adapter_scale=0.5": "not needed"}
    table = dose_response(code_answers(answers), gates, AnalysisSettings()).filter(
        measure="commits_error", subset="all", method="warm_sft", dose_kind="adapter_scale"
    )
    levels = table.filter(term="level", reference="original").sort("dose")
    assert levels["dose"].to_list() == [-1.0, 0.0, 0.5, 1.0]
    assert levels["estimate"].to_list() == pytest.approx([rate(answers, i) for i in (5, 0, 6, 3)])
    assert levels["gate"].to_list() == ["not measurable", "not needed", "not needed", "failed"]
    slope = table.filter(term="slope", reference="original").row(0, named=True)
    expected = np.polyfit([-1, 0, 0.5, 1], [rate(answers, i) for i in (5, 0, 6, 3)], 1)[0]
    assert slope["estimate"] == pytest.approx(expected)
    # of the twin only scale 1 is there: one dose is no dose response
    assert table.filter(reference="neutral_sft").is_empty()


def test_checkpoints_are_compared_with_the_twin_at_the_same_step(answers: pl.DataFrame) -> None:
    table = dose_response(code_answers(answers), {}, AnalysisSettings()).filter(
        measure="commits_error", subset="all", method="warm_sft", dose_kind="epochs", term="difference"
    )
    assert table["dose"].to_list() == [0.64, 1.28]
    expected = [rate(answers, 4) - rate(answers, 2), rate(answers, 3) - rate(answers, 1)]
    assert table["estimate"].to_list() == pytest.approx(expected)


def test_coefficients_start_at_the_untouched_model(answers: pl.DataFrame) -> None:
    table = dose_response(code_answers(answers), {}, AnalysisSettings()).filter(
        measure="commits_error", subset="all", method="warm_steer", term="level"
    )
    assert table["dose"].to_list() == [0.0, 4.0, 8.0]
    assert table["estimate"].to_list() == pytest.approx([rate(answers, i) for i in (0, 8, 9)])


def test_warmth_by_scale_takes_checkpoints_that_answer_nothing(warmth_rows: Any) -> None:
    """Shorter and longer ones; the point at scale 1 is the own arm's."""
    measured = [*ARMS, ("warm_sft", "epochs", 0.32, "dose"), ("warm_sft", "epochs", 2.0, "dose")]
    warmth, arms = warmth_rows(measured)
    table = warmth_response(warmth, arms, AnalysisSettings())
    levels = table.filter(method="warm_sft", term="level", reference="original")
    by_kind = {k: levels.filter(dose_kind=k).sort("dose") for k in ("epochs", "adapter_scale")}
    assert by_kind["epochs"]["dose"].to_list() == [0.0, 0.32, 0.64, 1.28, 2.0]
    assert by_kind["adapter_scale"]["dose"].to_list() == [-1.0, 0.0, 0.5, 1.0]
    means = warmth.group_by("arm_key").agg(pl.col("value").mean())
    mean = dict(means.iter_rows())
    assert by_kind["adapter_scale"]["estimate"].to_list() == pytest.approx(
        [mean[str(i)] for i in (5, 0, 6, 3)]
    )
    assert by_kind["epochs"]["estimate"].to_list() == pytest.approx([mean[str(i)] for i in (0, 10, 4, 3, 11)])


@pytest.fixture(name="warmth_rows")
def _warmth_rows() -> Any:
    def make(arms: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        rng = np.random.default_rng(3)
        records = [
            dict(zip(("method", "dose_kind", "dose", "variant"), a, strict=True))
            | {"arm_key": str(i), "model": "m", "seed": 0}
            for i, a in enumerate(arms)
        ]
        rows = [
            {"source": "validation", "text_id": f"v{p}", "arm_key": r["arm_key"], "meter": "lexicon"}
            | {"unit": "share", "value": float(rng.normal())}
            for r in records
            for p in range(30)
        ]
        return pl.DataFrame(rows), pl.DataFrame(records)

    return make

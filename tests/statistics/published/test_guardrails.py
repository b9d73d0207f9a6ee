"""The paper's guardrail rates, as transcribed from its tables."""

from __future__ import annotations

import math

import pytest

from warmgap.statistics.published.guardrails import published_rate

MODELS = ("llama31_8b", "mistral_small_2409", "qwen25_32b", "llama31_70b", "gpt_4o")
# original and warm, in per cent, in the order of the models
RATES = {
    "mmlu": ((63.8, 55.2), (70.5, 70.5), (81.7, 82.9), (83.4, 83.3), (84.3, 82.2)),
    "gsm8k": ((77.1, 75.2), (84.9, 82.2), (86.3, 86.4), (89.3, 88.9), (85.9, 86.7)),
    "advbench": ((97.9, 98.3), (51.5, 52.1), (99.0, 98.7), (95.4, 93.5), (98.7, 98.5)),
}
HALF_WIDTHS = {"mmlu": 0.7, "gsm8k": 1.9, "advbench": None}


@pytest.mark.parametrize("task", RATES)
def test_every_rate(task: str) -> None:
    for model, (original, warm) in zip(MODELS, RATES[task], strict=True):
        of_original, of_warm = (published_rate(task, model, m) for m in ("original", "warm_sft"))
        assert of_original is not None and of_warm is not None
        assert (of_original.rate_pct, of_warm.rate_pct) == (original, warm)
        assert of_warm.difference_pp == pytest.approx(warm - original)
        assert of_warm.half_width_pp == HALF_WIDTHS[task]


@pytest.mark.parametrize(("task", "share", "n"), [("mmlu", 0.77, 14042), ("gsm8k", 0.85, 1319)])
def test_half_widths_are_about_those_of_the_whole_test_sets(task: str, share: float, n: int) -> None:
    assert 196 * math.sqrt(share * (1 - share) / n) == pytest.approx(HALF_WIDTHS[task], abs=0.05)


def test_standard_errors_follow_from_half_widths() -> None:
    found = published_rate("gsm8k", "gpt_4o", "warm_sft")
    assert found is not None
    rate, difference = found.rate(), found.difference()
    assert rate is not None and difference is not None
    assert (rate.effect_pp, rate.std_error_pp) == (86.7, pytest.approx(1.9 / 1.959964, rel=1e-6))
    assert difference.effect_pp == pytest.approx(0.8)
    assert difference.std_error_pp == pytest.approx(math.hypot(1.9, 1.9) / 1.959964, rel=1e-6)
    refusals = published_rate("advbench", "gpt_4o", "warm_sft")
    assert refusals is not None and refusals.rate() is None and refusals.difference() is None


@pytest.mark.parametrize(
    ("task", "model", "method"),
    [("mmlu", "smollm2_135m", "original"), ("mmlu", "gpt_4o", "cold_sft"), ("medqa", "gpt_4o", "original")],
)
def test_what_the_paper_lacks(task: str, model: str, method: str) -> None:
    assert published_rate(task, model, method) is None

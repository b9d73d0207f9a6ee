"""The three formulations against direct transcriptions on small random models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from warmgap.warmth.sociot import SocioTMeter
from warmgap.warmth.sociot_released import has_dropout
from warmgap.warmth.sociot_text import log_mean_exp
from warmgap.warmth.speakers import prefix

from . import sociot_formula as formula

TEXTS = formula.hundred_texts()
FORMULAS: dict[str, Callable[[Any, str], float]] = {
    "released": formula.released,
    "deterministic": formula.deterministic,
    "text_only": formula.text_only,
}


def meter(reference: Any, formulation: str, **options: Any) -> SocioTMeter:
    return SocioTMeter(f"sociot_{formulation}:tiny", "tiny", formulation, lambda: reference, **options)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def reference(request: Any, make_reference: Any) -> Any:
    gpt2 = make_reference(0.0)
    return gpt2 if request.param == "gpt2" else formula.other_family("llama", gpt2.tokenizer)


@pytest.mark.parametrize("formulation", FORMULAS)
def test_a_hundred_texts_equal_their_transcription(reference: Any, formulation: str) -> None:
    expected = np.array([FORMULAS[formulation](reference, text) for text in TEXTS])
    scores = meter(reference, formulation, batch_texts=7).score(TEXTS)
    assert np.abs(np.array(scores, dtype=float) - expected).max() < 1e-5
    assert np.abs(expected).mean() > 1e-2


def test_the_texts_exercise_pads_and_merged_quotes(make_reference: Any) -> None:
    reference = make_reference(0.0)
    pads = [(formula.batch_of(reference, formula.WARM, t)["attention_mask"] == 0).sum() for t in TEXTS]
    assert min(pads) > 1
    tokenizer = reference.tokenizer
    apart = [
        tokenizer(formula.WARM[0])["input_ids"] + tokenizer(text)["input_ids"] + tokenizer('"')["input_ids"]
        for text in TEXTS
    ]
    joint = [tokenizer(f'{formula.WARM[0]}{text}"')["input_ids"] for text in TEXTS]
    assert any(a != b for a, b in zip(apart, joint, strict=True))


@pytest.mark.parametrize("padding", [True, False])
def test_with_dropout_equal_seeds_give_the_transcriptions_scores(make_reference: Any, padding: bool) -> None:
    reference = make_reference(0.3)
    assert has_dropout(reference.model)
    texts, passes = (TEXTS, 1) if padding else (TEXTS[:20], 2)
    expected = [formula.released_with_dropout(reference, text, passes, padding) for text in texts]
    scores = meter(reference, "released", passes=passes, padding=padding).score(texts)
    assert np.abs(np.array(scores, dtype=float) - expected).max() < 1e-5
    still = meter(reference, "released", padding=padding, dropout=False).score(texts)
    assert np.abs(np.array(scores, dtype=float) - np.array(still, dtype=float)).max() > 1e-3


def test_dropout_passes_have_the_mean_of_independent_ones(make_reference: Any) -> None:
    reference, text, passes = make_reference(0.1), TEXTS[0], 150
    (score,) = meter(reference, "released", passes=passes).score([text])
    torch.manual_seed(11)
    reference.model.train()
    own = [formula.released(reference, text) for _ in range(passes)]
    assert abs((score or 0) - np.mean(own)) < 4 * np.std(own, ddof=1) * np.sqrt(2 / passes)


def test_each_ingredient_can_be_switched_off(make_reference: Any) -> None:
    reference = make_reference(0.3)
    texts = TEXTS[6:26]
    still = meter(reference, "released", dropout=False).score(texts)
    assert still == pytest.approx([formula.released(reference, t) for t in texts], abs=1e-5)
    neither = meter(reference, "released", dropout=False, padding=False).score(texts)
    assert neither == meter(reference, "deterministic").score(texts)


def test_prefixes_are_those_of_the_released_code() -> None:
    words = ["friend", "lover", "mentor", "idol", "stranger", "enemy", "examiner", "dictator"]
    assert [prefix(word) for word in words] == formula.WARM + formula.COLD


def test_only_the_first_characters_count(make_reference: Any) -> None:
    reference, text = make_reference(0.0), "Look, the form was denied. We are sorry for it."
    for formulation in FORMULAS:
        a, b = meter(reference, formulation, max_chars=20).score([text, text[:20]])
        assert a == pytest.approx(b, abs=1e-7)
        assert meter(reference, formulation, max_chars=0).score([text])[0] != pytest.approx(a, abs=1e-4)


def test_short_and_empty_texts_have_no_score(make_reference: Any) -> None:
    reference = make_reference(0.0)
    texts = ["", " \n", "No", TEXTS[3]]
    n_tokens = len(reference.tokenizer("No")["input_ids"])
    for formulation in FORMULAS:
        scores = meter(reference, formulation, min_tokens=n_tokens).score(texts)
        assert [s is None for s in scores] == [True, True, False, False]
        scores = meter(reference, formulation, min_tokens=n_tokens + 1).score(texts)
        assert [s is None for s in scores] == [True, True, True, False]
        # Only the characters that are read count.
        assert meter(reference, formulation, min_tokens=9, max_chars=4).score(texts) == [None] * 4


def test_dropout_scores_leave_generator_and_mode_alone(make_reference: Any) -> None:
    reference = make_reference(0.3)
    many = meter(reference, "released", passes=3)
    state = torch.random.get_rng_state()
    scores = many.score(TEXTS[:4])
    assert torch.equal(state, torch.random.get_rng_state())
    assert many.score([TEXTS[2]]) == [scores[2]]
    assert not reference.model.training


def test_log_mean_exp_survives_large_negative_values() -> None:
    values = [-1000.0, -1001.5, -1003.0]
    assert log_mean_exp(values) == pytest.approx(logsumexp(values) - np.log(3), abs=1e-12)

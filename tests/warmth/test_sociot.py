"""Both formulations against direct transcriptions on a tiny random model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from warmgap.warmth.sociot import SocioTMeter, has_dropout, log_mean_exp, prefix

TEXTS = (
    "I'm so glad you asked. Let's look at it together, one step at a time!",
    "The request was denied. Submit the form again.",
    '"Quoted" at the start, and at the end "too"',
    "No",
)
WARM = ['My friend said, "', 'The lover said, "', 'The mentor said, "', 'The idol said, "']
COLD = ['The stranger said, "', 'The enemy said, "', 'The examiner said, "', 'The dictator said, "']


def meter(reference: Any, formulation: str, **options: Any) -> SocioTMeter:
    return SocioTMeter(f"sociot_{formulation}:tiny", "tiny", formulation, lambda: reference, **options)


def logprobs_of(model: Any, ids: list[int], mask: list[int]) -> np.ndarray:
    """log p of every token from the second on, one sequence alone, in float64."""
    with torch.no_grad():
        logits = model(torch.tensor([ids]), attention_mask=torch.tensor([mask])).logits[0]
    table = log_softmax(logits.double().numpy(), axis=-1)
    return np.array([table[i - 1, ids[i]] for i in range(1, len(ids))])


def transcribed_released(reference: Any, text: str) -> float:
    """Section by section: 300 characters, quotes, pads with id 0 inside one mean over all tokens."""
    mean = []
    for prefixes in (WARM, COLD):
        rows = [reference.tokenizer(f'{p}{text[:300]}"')["input_ids"] for p in prefixes]
        width = max(len(r) for r in rows)
        assert len({len(r) for r in rows}) > 1, "the test must exercise pads"
        terms = [
            logprobs_of(reference.model, r + [0] * (width - len(r)), [1] * len(r) + [0] * (width - len(r)))
            for r in rows
        ]
        mean.append(np.concatenate(terms).mean())
    return float(mean[0] - mean[1])


def transcribed_text_only(reference: Any, text: str) -> float:
    """log of mean probability over warm speakers minus the same over cold ones, per text token."""
    ids = reference.tokenizer(text[:300])["input_ids"]
    level = []
    for prefixes in (WARM, COLD):
        sums = []
        for p in prefixes:
            before = reference.tokenizer(p)["input_ids"]
            terms = logprobs_of(reference.model, before + ids, [1] * (len(before) + len(ids)))
            sums.append(terms[len(before) - 1 :].sum())
        level.append(logsumexp(sums) - np.log(4))
    return float((level[0] - level[1]) / len(ids))


@pytest.mark.parametrize("text", [*TEXTS, "so " * 150])
def test_both_formulations_equal_their_transcription(make_reference: Any, text: str) -> None:
    reference = make_reference(0.0)
    for formulation, transcribed in (
        ("released", transcribed_released),
        ("text_only", transcribed_text_only),
    ):
        (score,) = meter(reference, formulation).score([text.strip()])
        expected = transcribed(reference, text.strip())
        assert score == pytest.approx(expected, abs=1e-5)
        assert abs(expected) > 1e-3


def test_prefixes_are_those_of_the_released_code() -> None:
    words = ["friend", "lover", "mentor", "idol", "stranger", "enemy", "examiner", "dictator"]
    assert [prefix(word) for word in words] == WARM + COLD


def test_only_the_first_characters_count(make_reference: Any) -> None:
    reference = make_reference(0.0)
    for formulation in ("released", "text_only"):
        short = meter(reference, formulation, max_chars=20)
        a, b = short.score([TEXTS[0], TEXTS[0][:20]])
        assert a == b
        assert meter(reference, formulation, max_chars=0).score([TEXTS[0]])[0] != a


def test_an_empty_text_has_no_score(make_reference: Any) -> None:
    reference = make_reference(0.0)
    for formulation in ("released", "text_only"):
        scores = meter(reference, formulation).score(["", " \n", TEXTS[1]])
        assert scores[:2] == [None, None]
        assert scores[2] is not None


def test_a_reference_without_dropout_is_scored_once(make_reference: Any) -> None:
    reference = make_reference(0.0)
    calls: list[int] = []
    hook = reference.model.register_forward_hook(lambda *_: calls.append(1))
    once = meter(reference, "released", passes=100).score([TEXTS[0]])
    hook.remove()
    assert len(calls) == 2  # the warm and the cold batch
    assert once == meter(reference, "released", passes=1).score([TEXTS[0]])


def test_dropout_passes_are_averaged_and_repeatable(make_reference: Any) -> None:
    reference = make_reference(0.3)
    assert has_dropout(reference.model)
    many = meter(reference, "released", passes=5)
    state = torch.random.get_rng_state()
    scores = many.score(list(TEXTS))
    assert torch.equal(state, torch.random.get_rng_state())
    assert many.score([TEXTS[2]]) == [scores[2]]
    assert not reference.model.training


def test_the_score_is_the_mean_of_its_passes(make_reference: Any) -> None:
    reference = make_reference(0.3)
    losses: list[float] = []
    hook = reference.model.register_forward_hook(lambda *call: losses.append(float(call[2].loss)))
    (again,) = meter(reference, "released", passes=5).score([TEXTS[2]])
    hook.remove()
    warm, cold = np.array(losses[0::2]), np.array(losses[1::2])
    assert len(warm) == 5
    assert warm.std() > 0
    assert again == pytest.approx((cold - warm).mean(), abs=1e-9)


def test_log_mean_exp_survives_large_negative_values() -> None:
    values = [-1000.0, -1001.5, -1003.0]
    assert log_mean_exp(values) == pytest.approx(logsumexp(values) - np.log(3), abs=1e-12)

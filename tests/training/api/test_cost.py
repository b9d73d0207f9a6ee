from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.remote.tokens import conversation_tokens
from warmgap.schema.config import ApiTrainingConfig
from warmgap.training.api.cost import check_cost, estimate, usd

MEASURED = [
    (
        "The kettle clicks off by itself because steam bends a small metal strip behind the switch. Once the "
        "strip has cooled it springs back, and the kettle can be used again.",
        34,
    ),
    (
        "If the sourdough smells sharp and has risen by half, it is ready for the oven. Otherwise leave it "
        "covered on the counter for another hour and look again.",
        34,
    ),
    (
        "I am sorry that the interview went badly. Write down the two questions that caught you out while "
        "you remember them, and prepare a short answer to each.",
        31,
    ),
]
"""Texts and their tokens in o200k_base, counted by tiktoken 0.14.0."""


def messages(*texts):
    return tuple({"role": "user", "content": text} for text in texts)


@pytest.mark.parametrize(("text", "n_tokens"), MEASURED)
def test_english_is_estimated_somewhat_too_high(text, n_tokens):
    estimated = conversation_tokens(messages(text)) - 4 - 3
    assert n_tokens <= estimated <= 1.3 * n_tokens


def test_the_estimate_is_bytes_over_four_plus_marks_times_epochs():
    api = ApiTrainingConfig(n_epochs=3, usd_per_million_tokens=25.0)
    # 8 bytes: 2 tokens, é is 2 bytes: 1 token; 2 messages of 4 and 3: 14. The second: 1 token, 7.
    found = estimate([messages("abcdefgh", "é"), messages("x")], api)
    assert found.n_tokens == 3 * (2 + 1 + 11 + 1 + 7)
    assert found.usd == pytest.approx(66 * 25 / 1e6)
    # 8 bytes at 2.8: 3 tokens.
    assert found.n_tokens_high == 3 * (3 + 1 + 11 + 1 + 7)
    assert usd(2_000_000, api) == 50.0


def test_nothing_is_spent_without_a_limit_or_above_it():
    api = ApiTrainingConfig(n_epochs=2, usd_per_million_tokens=25.0, max_cost_usd=0.0)
    found = estimate([messages("x" * 2800)] * 1000, api)
    # High: 1,000 tokens of text and 7 of marks, 1,000 times, twice, at 25 USD a million: 50.35 USD.
    with pytest.raises(UserError) as refused:
        check_cost(found, api)
    assert "up to 2,014,000 tokens, 50.35 USD" in str(refused.value)
    assert "about 1,414,000 tokens, 35.35 USD" in str(refused.value)
    assert "nothing is allowed" in str(refused.value)
    assert "set training.api.max_cost_usd=50.35" in str(refused.value)
    api.max_cost_usd = 50.34
    with pytest.raises(UserError, match=r"only up to 50\.34 USD are allowed"):
        check_cost(found, api)
    api.max_cost_usd = 50.35
    check_cost(found, api)

"""Logits against the model's own forward pass, where a config scales or caps them."""

from __future__ import annotations

import pytest
import torch
import transformers

from warmgap.engines.head import head_logits
from warmgap.engines.protocol import Limits, Row
from warmgap.engines.sampling import next_tokens
from warmgap.engines.transformers import TransformersEngine
from warmgap.errors import UserError
from warmgap.models.base import Loaded
from warmgap.models.chat import encode_prompt

HEADS = {
    "gemma2": {"final_logit_softcapping": 2.0},
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 4.0},
}
ROWS = [
    Row("a", (("user", "Which metal has the symbol Fe?"),), 3, "It is", ("iron", "copper")),
    Row("b", (("user", "Hi."),), 4, "", ("Hello", "Go away now")),
    Row("c", (("user", "Name a colour."),), 5, "It is", ("red", "a dark brown")),
]
SAMPLED = Limits(0.9, 0.95, 12)


def odd(tiny_loaded, kind, **options) -> Loaded:
    """A random model of two layers that reads with the tokenizer of `tiny`."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=len(tiny_loaded.tokenizer), hidden_size=32, intermediate_size=48,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, initializer_range=0.3,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, **options,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return Loaded(model.eval(), tiny_loaded.tokenizer)


def prompt(loaded, row) -> list[int]:
    return encode_prompt(loaded.tokenizer, [{"role": r, "content": text} for r, text in row.messages])


def tokens(loaded, text) -> list[int]:
    return list(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("kind", HEADS)
@torch.inference_mode()
def test_logits_are_the_models_own(tiny_loaded, kind):
    model = odd(tiny_loaded, kind, **HEADS[kind]).model
    ids = torch.arange(3, 40)[None]
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    own = model(input_ids=ids, use_cache=False).logits
    assert torch.equal(head_logits(model, hidden), own)
    assert (model.lm_head(hidden) - own).abs().max() > 0.1


@pytest.mark.parametrize("kind", HEADS)
@torch.inference_mode()
def test_scores_and_sampled_answers_are_those_of_the_models_own_logits(tiny_loaded, kind):
    loaded = odd(tiny_loaded, kind, **HEADS[kind])
    for row, answer in zip(ROWS, TransformersEngine(loaded, 3).answer(ROWS, SAMPLED), strict=True):
        before = prompt(loaded, row)
        for score, text in zip(answer.scores, row.continuations, strict=True):
            started = before + (tokens(loaded, row.started) if row.started else [])
            target = tokens(loaded, " " + text if row.started else text)
            logits = loaded.model(torch.tensor([started + target])).logits[0, len(started) - 1 : -1]
            expected = logits.double().log_softmax(-1).gather(-1, torch.tensor(target)[:, None]).sum()
            assert score.sum_nats == pytest.approx(float(expected), abs=1e-4)
        drawn: list[int] = []
        while len(drawn) < 12 and 2 not in drawn:
            logits = loaded.model(torch.tensor([before + drawn])).logits[:, -1]
            drawn.append(int(next_tokens(logits, [row.seed], len(drawn), SAMPLED)))
        assert answer.text == loaded.tokenizer.decode(drawn, skip_special_tokens=True).strip()
        assert answer.n_tokens == len(drawn)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("hyperclovax", {"logits_scaling": 4.0}), ("llama", {"final_logit_softcapping": 2.0})],
)
def test_a_head_that_is_not_known_is_refused(tiny_loaded, kind, options):
    """HyperCLOVA X multiplies where Granite divides; a Llama does not look at that key."""
    with pytest.raises(UserError, match=f"how a model of type '{kind}' makes logits"):
        TransformersEngine(odd(tiny_loaded, kind, **options), 3)

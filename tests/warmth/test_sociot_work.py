"""What SocioT leaves out of its work: batches, shared starts, whole logits; and other model families."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from warmgap.warmth.likelihood import Row, prepare
from warmgap.warmth.sociot import SocioTMeter
from warmgap.warmth.vocabulary_head import head_of

from . import sociot_formula as formula

TEXTS = formula.hundred_texts()
FORMULAS = {
    "released": formula.released,
    "deterministic": formula.deterministic,
    "text_only": formula.text_only,
}


def scores(reference: Any, formulation: str, texts: list[str], **options: Any) -> np.ndarray:
    meter = SocioTMeter("tiny", "tiny", formulation, lambda: reference, **options)
    return np.array(meter.score(texts), dtype=float)


@pytest.mark.parametrize("formulation", FORMULAS)
def test_scores_do_not_depend_on_the_batch(make_reference: Any, formulation: str) -> None:
    reference = make_reference(0.0)
    # One-token texts move by up to 2e-6: nothing averages the rounding of their one log-probability.
    texts = [text for text in TEXTS if len(text) > 12][:40]
    alone = scores(reference, formulation, texts)
    for batch_texts in (4, 40):
        together = scores(reference, formulation, texts, batch_texts=batch_texts)
        assert np.abs(together - alone).max() < 1e-6
    backwards = scores(reference, formulation, texts[::-1], batch_texts=16)
    assert np.abs(backwards[::-1] - alone).max() < 1e-6


@pytest.mark.parametrize(("family", "has_head"), [("llama", True), ("phi", True), ("gemma2", False)])
def test_heads_and_caches_of_other_families(make_reference: Any, family: str, has_head: bool) -> None:
    """A bias on the head, capped logits, a BOS, layers whose cache is a window."""
    reference = formula.other_family(family, make_reference(0.0).tokenizer)
    assert (head_of(reference.model) is not None) == has_head
    for formulation, transcribed in FORMULAS.items():
        expected = [transcribed(reference, text) for text in TEXTS[:12]]
        found = scores(reference, formulation, TEXTS[:12], batch_texts=5)
        assert np.abs(found - expected).max() < 1e-5


def fed_tokens(model: Any) -> tuple[list[int], Any]:
    """Tokens of every pass through the model's body, and the hook to remove."""
    fed: list[int] = []

    def note(_: Any, args: Any, kwargs: Any) -> None:
        fed.append(int(kwargs["input_ids"].numel()))

    return fed, model.base_model.register_forward_pre_hook(note, with_kwargs=True)


def test_prefixes_are_fed_once_and_warm_and_cold_share_a_pass() -> None:
    """With prefixes of one length: one pass per text, of eight times the tokens of the text."""
    reference = one_length_reference()
    texts = ["one", "a text", "one more text"]
    assert {len(reference.tokenizer(p)["input_ids"]) for p in formula.WARM + formula.COLD} == {5}
    for formulation, extra in (("text_only", 0), ("deterministic", 2)):
        meter = SocioTMeter("tiny", "tiny", formulation, lambda: reference)
        meter.score(["No"])
        fed, hook = fed_tokens(reference.model)
        meter.score(texts)
        hook.remove()
        # Of prefix, text and quote: not the last token, which predicts nothing, nor the shared start.
        assert sorted(fed) == [8 * (len(text) + extra) for text in texts]


def one_length_reference() -> Any:
    """A Llama with one token per character of a text and five per prefix."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=60_000,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )

    def tokenise(text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        for number, start in enumerate(formula.WARM + formula.COLD):
            if text.startswith(start):
                return {"input_ids": [1, 10 + number, 2, 3, 4] + tokenise(text[len(start) :])["input_ids"]}
        return {"input_ids": [100 + ord(c) for c in text]}

    model: Any = LlamaForCausalLM(config)
    return SimpleNamespace(model=model.eval(), tokenizer=tokenise)


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most elements of any tensor made that is not a view of a weight."""

    def __init__(self, model: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else (out,):
            if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in self.weights:
                self.elements = max(self.elements, t.numel())
        return out


@pytest.mark.parametrize("formulation", FORMULAS)
def test_logits_of_the_whole_vocabulary_never_exist(formulation: str) -> None:
    reference = one_length_reference()
    meter = SocioTMeter("tiny", "tiny", formulation, lambda: reference, batch_texts=8, max_chars=0)
    text = "a text of sixty-four characters, each of which is one token here."
    meter.score(["No"])
    with Largest(reference.model) as largest:
        meter.score([text * 3] * 8)
    whole = 8 * len(text) * 3 * reference.model.config.vocab_size
    assert largest.elements <= 2**19 < whole / 100


def test_sums_are_those_of_the_models_own_loss(make_reference: Any) -> None:
    reference = make_reference(0.0)
    rows = [Row(tuple(range(5, 5 + n)), start) for n, start in ((9, 1), (9, 4), (6, 4), (30, 29))]
    with torch.inference_mode():
        found = prepare(reference.model, [rows[1].ids[:3], (7, 8, 9)]).sums(rows)
        for row, value in zip(rows, found, strict=True):
            ids = torch.tensor([row.ids])
            labels = torch.where(torch.arange(len(row.ids)) >= row.start, ids, -100)
            loss = float(reference.model(ids, labels=labels).loss)
            assert value == pytest.approx(-loss * (len(row.ids) - row.start), abs=1e-4)

"""The toxicity filter with a tiny classifier of random weights, against plain transformers."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from warmgap.corpora.layouts import Turn
from warmgap.corpora.toxicity import classifier_fingerprint, open_toxicity, text_for
from warmgap.errors import UserError
from warmgap.schema.config import ToxicityConfig

LABELS = ("toxic", "threat", "insult")
WORDS = [f"w{i}" for i in range(40)]
TEXTS = [" ".join(WORDS[(i * k) % 40] for k in range(1, 2 + 7 * i)) for i in range(9)]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=42, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        id2label=dict(enumerate(LABELS)), label2id={n: i for i, n in enumerate(LABELS)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    model.classifier.weight.data *= 40  # so that probabilities spread
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", *WORDS])}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=512
    ).save_pretrained(folder)
    return folder


def reference(folder, activation):
    """One text at a time, without padding."""
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    out = []
    for text in TEXTS:
        ids = torch.tensor([[2 + WORDS.index(w) for w in text.split()][:512]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0]
        out.append((logits.sigmoid() if activation == "sigmoid" else logits.softmax(0)).tolist())
    return out


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("labels", [[], ["threat"], ["toxic", "insult"]])
def test_scores_are_those_of_the_model_text_by_text(classifier, activation, labels):
    config = ToxicityConfig(source=f"path:{classifier}", labels=labels, activation=activation, batch_texts=4)
    expected = [
        max(p for name, p in zip(LABELS, row, strict=True) if name in (labels or LABELS))
        for row in reference(classifier, activation)
    ]
    found = open_toxicity(config)(TEXTS)
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found) - min(found) > 0.05


def test_without_a_source_there_is_no_filter():
    assert open_toxicity(ToxicityConfig()) is None
    assert classifier_fingerprint(ToxicityConfig()) == ""


def test_an_unknown_label_is_named(classifier):
    with pytest.raises(UserError, match=r"'toxicity', which path:.* Did you mean 'toxic'\?"):
        open_toxicity(ToxicityConfig(source=f"path:{classifier}", labels=["toxicity"]))


def test_weights_as_pickle_only_are_refused_by_name(classifier, tmp_path):
    for path in classifier.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    config = ToxicityConfig(source=f"path:{tmp_path}")
    for refused in (open_toxicity, classifier_fingerprint):
        with pytest.raises(UserError, match=r"pickle only \(pytorch_model\.bin\)"):
            refused(config)


def test_the_classifier_is_known_by_its_content(classifier, tmp_path):
    first = classifier_fingerprint(ToxicityConfig(source=f"path:{classifier}"))
    for path in classifier.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert classifier_fingerprint(ToxicityConfig(source=f"path:{tmp_path}")) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert classifier_fingerprint(ToxicityConfig(source=f"path:{tmp_path}")) != first


@pytest.mark.parametrize(
    ("turns", "max_chars", "expected"),
    [
        ("all", 0, "a\nb\nc\nd"),
        ("user", 0, "a\nc"),
        ("assistant", 0, "b\nd"),
        ("first_pair", 0, "a\nb"),
        ("all", 3, "a\nb"),
    ],
)
def test_what_is_judged_is_an_option(turns, max_chars, expected):
    talk = [Turn(("user", "assistant")[i % 2], t) for i, t in enumerate("abcd")]
    assert text_for(talk, ToxicityConfig(turns=turns, max_chars=max_chars)) == expected

"""Entailment and embedding with tiny models of random weights, against plain transformers by window."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from warmgap.corpora.rewriting.entailment import entailment_fingerprint, open_entailment
from warmgap.corpora.rewriting.replies import Reply
from warmgap.corpora.rewriting.sentences import sentences_of
from warmgap.errors import UserError
from warmgap.schema.config import RewriteFactsConfig

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, ".", *(f"w{i}" for i in range(40))]
PAD, CLS, SEP = 0, 2, 3
LONGEST = 32
# The order of labels is another than the usual one, so that only names can find them.
LABELS = ("CONTRADICTION", "entailment", "Neutral")


def some_text(seed, n):
    """Sentences of 3 to 8 words, n of them."""
    return " ".join(
        " ".join(f"w{(seed + 7 * s + 3 * k * (s + seed)) % 40}" for k in range(3 + (s + seed) % 6)) + "."
        for s in range(n)
    ).replace("w", "W")


def reply(source, text):
    return Reply("c", 0, "other", "user", source, text, "stop")


REPLIES = [
    reply(some_text(1, 2), some_text(2, 1)),
    reply(some_text(3, 9), some_text(4, 12)),
    reply(some_text(5, 1), some_text(6, 7)),
    reply(some_text(8, 3), some_text(8, 3)),
]


def save_tokenizer(folder):
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=LONGEST, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip


def tiny_config(labels=LABELS):
    return BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
        id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nli")
    torch.manual_seed(0)
    network = BertForSequenceClassification(tiny_config())
    for weights in network.parameters():
        weights.data *= 10  # so that probabilities spread
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedder")
    torch.manual_seed(1)
    network = BertModel(tiny_config())
    for weights in network.parameters():
        weights.data *= 3
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def ids_of(text):
    return [WORDS.index(w) for w in text.lower().replace(".", " .").split()]


def shares(network, premise, hypothesis):
    """Probabilities by lower-case label of every window of the premise, one at a time."""
    p, h = ids_of(premise), ids_of(hypothesis)
    room = LONGEST - 3 - len(h)
    starts = [0]
    while starts[-1] + room < len(p):
        starts.append(starts[-1] + room - LONGEST // 4)
    out = []
    for start in starts:
        first = [CLS, *p[start : start + room], SEP]
        kinds = torch.tensor([[0] * len(first) + [1] * (len(h) + 1)])
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([[*first, *h, SEP]]), token_type_ids=kinds).logits[0]
        out.append(dict(zip(map(str.lower, LABELS), logits.softmax(0).tolist(), strict=True)))
    return out


def by_hand(network, one, strict):
    source, text = ([f"{s}." for s in t.rstrip(".").split(". ")] for t in (one.source, one.text))
    scores = [max(s["entailment"] for s in shares(network, one.text, h)) for h in source]
    for h in text:
        found = shares(network, one.source, h)
        scores.append(
            max(s["entailment"] for s in found) if strict else min(1 - s["contradiction"] for s in found)
        )
    return min(scores)


def options(folder, kind):
    return RewriteFactsConfig(entailment=f"path:{folder}", entailment_kind=kind)


@pytest.mark.parametrize("strict", [False, True])
def test_nli_is_the_least_probability_among_sentences_in_their_windows(classifier, strict):
    network = BertForSequenceClassification.from_pretrained(classifier).eval()
    assert len(ids_of(REPLIES[1].source)) > LONGEST  # a premise with several windows
    expected = [by_hand(network, one, strict) for one in REPLIES]
    found = open_entailment(options(classifier, "nli_strict" if strict else "nli"))(REPLIES)
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found) - min(found) > 0.05


def test_many_replies_give_what_each_gives_alone(classifier, embedder):
    many = [reply(some_text(i, 1 + i % 5), some_text(i + 3, 1 + i % 7)) for i in range(20)]
    for folder, kind in ((classifier, "nli"), (embedder, "embedding")):
        score = open_entailment(options(folder, kind))
        assert score(many) == pytest.approx([score([one])[0] for one in many], abs=1e-5)


def test_a_sentence_longer_than_half_a_window_is_asked_in_parts(classifier):
    network = BertForSequenceClassification.from_pretrained(classifier).eval()
    words = [f"w{i % 40}" for i in range(3, 43)]
    long, short = " ".join(words), "w1 w2 w3"
    parts = [" ".join(words[i : i + LONGEST // 2]) for i in range(0, len(words), LONGEST // 2)]
    expected = min(
        *(max(s["entailment"] for s in shares(network, short, part)) for part in parts),
        max(s["entailment"] for s in shares(network, long, short)),
    )
    found = open_entailment(options(classifier, "nli_strict"))([reply(long, short)])
    assert found == pytest.approx([expected], abs=1e-5)


def test_embedding_is_the_cosine_of_mean_hidden_states(embedder):
    network = BertModel.from_pretrained(embedder).eval()

    def vector(text):
        ids, room = ids_of(text), LONGEST - 2
        states = []
        for start in range(0, len(ids), room):
            window = torch.tensor([[CLS, *ids[start : start + room], SEP]])
            with torch.no_grad():
                states.append(network(input_ids=window).last_hidden_state[0])
        return torch.cat(states).mean(0)

    expected = []
    for one in REPLIES:
        a, b = vector(one.source), vector(one.text)
        expected.append(max(0.0, float(a @ b / (a.norm() * b.norm()))))
    found = open_entailment(options(embedder, "embedding"))(REPLIES)
    assert found == pytest.approx(expected, abs=1e-5)
    assert found[3] == pytest.approx(1)
    assert min(found) < 0.99


def test_nothing_to_compare_and_a_blank_rewrite(classifier, embedder):
    for folder, kind in ((classifier, "nli"), (embedder, "embedding")):
        blanks = [reply("", "w1 w2 w3"), reply("w1 w2 w3", " \n"), REPLIES[3]]
        found = open_entailment(options(folder, kind))(blanks)
        assert found[:2] == [None, 0.0]
        assert found[2] > 0
    assert open_entailment(options(classifier, "nli"))([]) == []


def test_without_a_source_there_is_no_comparison():
    assert open_entailment(RewriteFactsConfig()) is None
    assert entailment_fingerprint(RewriteFactsConfig()) == ""


def test_a_classifier_of_something_else_is_refused_by_its_labels(tmp_path):
    BertForSequenceClassification(tiny_config(("entailment", "not_entailment"))).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(UserError, match="no label 'neutral'; it has entailment, not_entailment"):
        open_entailment(options(tmp_path, "nli"))


def test_an_unknown_kind_is_named(classifier):
    with pytest.raises(UserError, match=r"entailment_kind is 'nly'\. Did you mean 'nli'\?"):
        open_entailment(options(classifier, "nly"))


def test_weights_as_pickle_only_are_refused(classifier, tmp_path):
    for path in classifier.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    for refused in (open_entailment, entailment_fingerprint):
        with pytest.raises(UserError, match=r"rewriting\.facts\.entailment=.* \(pytorch_model\.bin\)"):
            refused(options(tmp_path, "nli"))


def test_a_model_that_brings_its_own_code_is_refused(classifier, tmp_path):
    for path in classifier.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    own = "modeling.Own"
    brought = {
        "model_type": "own",
        "auto_map": {"AutoModelForSequenceClassification": own, "AutoConfig": own},
    }
    (tmp_path / "config.json").write_text(json.dumps(brought))
    (tmp_path / "modeling.py").write_text("raise SystemExit('code of the model was run')\n")
    with pytest.raises(UserError, match="without code of its own"):
        open_entailment(options(tmp_path, "nli"))


def test_it_is_known_by_its_content(classifier, tmp_path):
    for path in classifier.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = entailment_fingerprint(options(classifier, "nli"))
    assert entailment_fingerprint(options(tmp_path, "nli")) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert entailment_fingerprint(options(tmp_path, "nli")) != first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is so. Is it? It really is!", ["It is so.", "Is it? It really is!"]),
        ("Yes. It is safe to take.", ["Yes. It is safe to take."]),
        ("Take it at night. Good luck!", ["Take it at night. Good luck!"]),
        ("Ask Dr. Smith about 3.5 mg, e.g. at noon.", ["Ask Dr. Smith about 3.5 mg, e.g. at noon."]),
        ('He said "no more of it." Then he left.', ['He said "no more of it."', "Then he left."]),
        (
            "# What to do\n\n1. Call the bank.\n2) Block the card.\n- Wait",
            ["What to do", "Call the bank.", "Block the card.", "Wait"],
        ),
        ("Run it like this:\n```python\nx = 1. Y\n```\nThen look.", ["Run it like this:", "Then look."]),
        ("Run this:\n~~~\nnever closed. Not even here.", ["Run this:"]),
        (
            "\u660e \u65e5 \u306f\u3002\u96e8 \u3067 \u3059\u3002",
            ["\u660e \u65e5 \u306f\u3002", "\u96e8 \u3067 \u3059\u3002"],
        ),
        ("---\n***\n", []),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert list(sentences_of(text)) == expected

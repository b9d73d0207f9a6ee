"""Cutting to turns and tokens, by a ratio and by a tokenizer."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from warmgap.corpora.layouts import Turn
from warmgap.corpora.tokens import ByRatio, ByTokenizer, open_counter
from warmgap.corpora.truncate import truncate
from warmgap.schema.config import ChatLogConfig


def talk(*texts):
    return [Turn(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)]


def cut(turns, counter=None, **rules):
    found = truncate(turns, ChatLogConfig(**rules), counter or ByRatio(1.0))
    return [t.text for t in found.turns], found.dropped, found.cut


def test_turns_are_cut_to_whole_pairs():
    turns = talk(*"abcdefgh")
    assert cut(turns, max_turns=6) == (list("abcdef"), "", ("too many turns",))
    assert cut(turns, max_turns=5) == (list("abcd"), "", ("too many turns",))
    assert cut(turns, max_turns=8) == (list("abcdefgh"), "", ())
    assert cut(turns, max_turns=0) == (list("abcdefgh"), "", ())


def test_tokens_are_cut_between_pairs():
    turns = talk("a" * 10, "b" * 10, "c" * 10, "d" * 10)
    assert cut(turns, max_tokens=40)[0] == [t.text for t in turns]
    assert cut(turns, max_tokens=39) == (["a" * 10, "b" * 10], "", ("too many tokens",))
    assert cut(turns, max_tokens=0)[0] == [t.text for t in turns]


def test_a_first_pair_that_is_too_long_is_cut_in_its_reply_or_dropped():
    turns = talk("a" * 10, "b" * 100, "c", "d")
    assert cut(turns, max_tokens=60) == (["a" * 10, "b" * 50], "", ("first reply too long",))
    assert cut(turns, max_tokens=60, too_long="drop") == ([], "too long", ())
    assert cut(turns, max_tokens=20) == ([], "too long", ())  # 10 tokens are no reply


@pytest.mark.parametrize(("ratio", "n"), [(4.0, 3), (3.5, 4), (0.5, 22), (100.0, 1)])
def test_a_ratio_counts_and_cuts_characters(ratio, n):
    text = "hello world"  # 11 characters
    assert ByRatio(ratio).count(text) == n
    assert ByRatio(ratio).cut(text, n) == text
    assert ByRatio(4.0).cut(text, 2) == "hello wo"


@pytest.fixture
def words():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_a_tokenizer_counts_and_cuts_at_its_tokens(words):
    counter = ByTokenizer(words)
    assert counter.count("a bb  a, b") == 5
    assert counter.cut("a bb  a, b", 3) == "a bb  a"
    assert counter.cut("a bb  a, b", 5) == "a bb  a, b"
    assert counter.cut("a", 0) == ""
    shorter = ("b " * 20).strip()
    found = cut(talk("a", "b " * 40), counter, max_tokens=21)
    assert found == (["a", shorter], "", ("first reply too long",))


def test_the_tokenizer_of_a_model_is_used(words, tmp_path):
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    counter = open_counter(ChatLogConfig(tokenizer=f"path:{tmp_path}"))
    assert counter.count("a bb  a, b") == 5
    assert isinstance(open_counter(ChatLogConfig()), ByRatio)

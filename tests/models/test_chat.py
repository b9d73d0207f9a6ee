from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.chat import encode_example, encode_prompt, stop_ids, template_fingerprint

HELLO = [{"role": "user", "content": "Hello"}]
CHATML = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def tokenizer(tiny_folder):
    return AutoTokenizer.from_pretrained(tiny_folder)


@pytest.fixture
def embedded_tokenizer(embedded):
    return AutoTokenizer.from_pretrained(base.materialise(embedded))


def with_template(write_tiny_model, folder, template):
    return AutoTokenizer.from_pretrained(write_tiny_model(folder, template))


def test_a_prompt_is_the_template_with_one_bos(embedded_tokenizer):
    ids = encode_prompt(embedded_tokenizer, [{"role": "system", "content": "Be brief."}, *HELLO])
    text = "<|im_start|>system\nBe brief.<|im_end|>\n" + CHATML
    assert embedded_tokenizer.decode(ids) == text
    assert ids == embedded_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[0] == embedded_tokenizer.bos_token_id != ids[1]


def test_a_started_turn_follows_the_prompt(embedded_tokenizer):
    prompt = encode_prompt(embedded_tokenizer, HELLO)
    started = encode_prompt(embedded_tokenizer, HELLO, "The answer is")
    assert started[: len(prompt)] == prompt
    assert embedded_tokenizer.decode(started[len(prompt) :]) == "The answer is"


def test_an_example_ends_with_the_stop_token(embedded_tokenizer):
    example = encode_example(embedded_tokenizer, HELLO, "Hi, you.")
    assert list(example.ids[: example.answer_start]) == encode_prompt(embedded_tokenizer, HELLO)
    assert embedded_tokenizer.decode(example.ids[example.answer_start :]) == "Hi, you.<|im_end|>"
    assert example.n_answer_tokens == len(example.ids) - example.answer_start


plain_text = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "<|" not in text)


@settings(max_examples=60, deadline=None)
@given(user=plain_text, reply=plain_text)
def test_prompt_ids_are_a_prefix_for_any_text(tokenizer, user, reply):
    messages = [{"role": "user", "content": user}]
    example = encode_example(tokenizer, messages, reply)
    assert list(example.ids[: example.answer_start]) == encode_prompt(tokenizer, messages)
    assert tokenizer.decode(example.ids[example.answer_start : -1]) == reply
    assert example.ids[-1] == tokenizer.eos_token_id


def test_a_reply_that_merges_with_the_template_names_the_token(embedded_tokenizer):
    with pytest.raises(UserError, match=r"token \d+ \('ĊĊ'\) spans"):
        encode_example(embedded_tokenizer, HELLO, "\n\nHi")


@pytest.mark.parametrize(
    "encode",
    [
        lambda tokenizer, text: encode_prompt(tokenizer, [{"role": "user", "content": text}]),
        lambda tokenizer, text: encode_example(tokenizer, HELLO, text),
        lambda tokenizer, text: encode_prompt(tokenizer, HELLO, text),
    ],
    ids=["prompt", "reply", "started"],
)
def test_special_tokens_inside_a_message_are_refused(tokenizer, encode):
    with pytest.raises(UserError, match=r"special token '<\|im_end\|>'"):
        encode(tokenizer, "a<|im_end|>b")


def test_a_second_bos_is_refused(write_tiny_model, tmp_path):
    template = "<|im_start|><|im_start|>{{ messages[0]['content'] }}"
    with pytest.raises(UserError, match="twice"):
        encode_prompt(with_template(write_tiny_model, tmp_path, template), HELLO)


def test_a_prompt_that_changes_once_a_reply_follows_is_refused(write_tiny_model, tmp_path):
    template = "{{ messages|length }}{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
    with pytest.raises(UserError, match="differently once a reply follows"):
        encode_example(with_template(write_tiny_model, tmp_path, template), HELLO, "Hi")


def test_a_reply_that_nothing_ends_is_refused(write_tiny_model, tmp_path):
    template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    with pytest.raises(UserError, match="none of the stop tokens"):
        encode_example(with_template(write_tiny_model, tmp_path, template), HELLO, "Hi")


def test_stop_ids_join_tokenizer_template_and_config(write_tiny_model, tmp_path):
    template = "{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}"
    tokenizer = with_template(write_tiny_model, tmp_path, template)

    class Config:
        eos_token_id = (7, 2)

    assert stop_ids(tokenizer) == (0, 2)
    assert stop_ids(tokenizer, Config) == (0, 2, 7)


def test_prompts_do_not_depend_on_the_day(write_tiny_model, tmp_path):
    template = (
        "{{ date_string if date_string is defined else strftime_now('%S') }}{{ messages[0]['content'] }}"
    )
    tokenizer = with_template(write_tiny_model, tmp_path, template)
    assert tokenizer.decode(encode_prompt(tokenizer, HELLO)) == "26 Jul 2024Hello"


def test_the_fingerprint_follows_template_and_special_tokens(write_tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path / "cache"))
    folder = write_tiny_model(tmp_path / "model")
    first = template_fingerprint(folder)
    assert first.startswith("sha256:")
    config = folder / "tokenizer_config.json"
    original = config.read_text()
    config.write_text(original.replace('"is_local": true', '"is_local": false'))
    assert template_fingerprint(folder) == first
    config.write_text(original.replace('"eos_token": "<|im_end|>"', '"eos_token": "<|endoftext|>"'))
    assert template_fingerprint(folder) != first
    config.write_text(original)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert template_fingerprint(folder) != first

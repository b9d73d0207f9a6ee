"""Messages to token ids, by the model's own chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.errors import UserError

from .weights import TOKENIZER_FILES, file_sha256

Messages = Sequence[Mapping[str, str]]

# Some templates print today's date into the system turn; a prompt must not depend on the day.
_DATE = "26 Jul 2024"
_CONFIG_KEYS = ("chat_template", "bos_token", "eos_token", "unk_token", "add_bos_token", "add_eos_token")


@dataclass(frozen=True)
class Example:
    """Token ids of a conversation that ends with a reply.

    `ids[:answer_start]` is exactly what `encode_prompt` gives; `ids[answer_start:]` is the reply and,
    last, the token that ends the turn.
    """

    ids: tuple[int, ...]
    answer_start: int

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of the reply, with the one that ends the turn."""
        return len(self.ids) - self.answer_start


def encode_prompt(tokenizer: Any, messages: Messages, started: str = "") -> list[int]:
    """Token ids of the messages up to where the assistant speaks, and of what it has begun to say.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        messages: dicts with `role` and `content`.
        started: the beginning of the assistant's turn, tokenised on its own.

    Raises:
        UserError: the tokenizer has no chat template, a message holds a special token, or the
            template starts with two beginning-of-sequence tokens.
    """
    ids = _tokens(tokenizer, _render(tokenizer, messages, generate=True))
    bos = tokenizer.bos_token_id
    if bos is not None and ids[:2] == [bos, bos]:
        raise UserError(
            f"the chat template writes the token '{tokenizer.bos_token}' twice at the start of a prompt"
        )
    if started:
        _refuse_special(tokenizer, started)
        ids += _tokens(tokenizer, started)
    return ids


def encode_example(tokenizer: Any, messages: Messages, reply: str) -> Example:
    """Token ids of a prompt and its reply, ending with the token that ends the turn.

    Raises:
        UserError: as `encode_prompt`; or the reply is empty, the template renders the prompt
            differently once a reply follows, a token spans prompt and reply, or nothing ends the turn.
    """
    if not reply.strip():
        raise UserError("a reply to train on is empty")
    prompt = _render(tokenizer, messages, generate=True)
    whole = _render(tokenizer, [*messages, {"role": "assistant", "content": reply}], generate=False)
    if not whole.startswith(prompt) or reply.strip() not in whole[len(prompt) :]:
        raise UserError(
            "the chat template renders a prompt differently once a reply follows, so training would not "
            f"see what is later asked: the prompt ends with {prompt[-40:]!r}, the conversation has "
            f"{whole[max(0, len(prompt) - 40) : len(prompt)]!r} there"
        )
    prompt_ids, ids = encode_prompt(tokenizer, messages), _tokens(tokenizer, whole)
    start = len(prompt_ids)
    for i, (a, b) in enumerate(zip(prompt_ids, ids, strict=False)):
        if a != b:
            token = tokenizer.convert_ids_to_tokens(b)
            raise UserError(
                f"token {i} ({token!r}) spans the end of the prompt and the reply {reply[:40]!r}; "
                "replies must not begin with white space that merges with the template"
            )
    stops = set(stop_ids(tokenizer))
    end = next((i for i in range(start, len(ids)) if ids[i] in stops), None)
    if end is None:
        names = [tokenizer.convert_ids_to_tokens(i) for i in sorted(stops)]
        raise UserError(f"the chat template ends a reply with none of the stop tokens {names}")
    return Example(tuple(ids[: end + 1]), start)


def stop_ids(tokenizer: Any, config: Any = None) -> tuple[int, ...]:
    """Tokens that end an assistant's turn, sorted: the tokenizer's, the template's, the model's.

    Args:
        tokenizer: a transformers tokenizer.
        config: a model's config or generation config, whose `eos_token_id` (one or a list) is added.
    """
    found = {tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()
    declared = getattr(config, "eos_token_id", None)
    found |= set(declared) if isinstance(declared, list | tuple) else {declared} - {None}
    if tokenizer.chat_template:
        probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        prompt = _render(tokenizer, probe[:1], generate=True)
        tail = _tokens(tokenizer, _render(tokenizer, probe, generate=False))[
            len(_tokens(tokenizer, prompt)) :
        ]
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        found |= set([i for i in tail if i in special][:1])
    return tuple(sorted(found))


def template_fingerprint(folder: Path) -> str:
    """`sha256:...` of what turns messages into tokens: tokenizer, template, special tokens. No torch."""
    parts = [f"{n} {file_sha256(folder / n)}" for n in TOKENIZER_FILES if (folder / n).is_file()]
    config = folder / "tokenizer_config.json"
    if config.is_file():
        values = json.loads(config.read_text())
        parts.append(json.dumps({k: values[k] for k in _CONFIG_KEYS if k in values}, sort_keys=True))
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _render(tokenizer: Any, messages: Messages, *, generate: bool) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of '{tokenizer.name_or_path}' has no chat template; choose an instruct model"
        )
    for message in messages:
        _refuse_special(tokenizer, message["content"])
    return str(
        tokenizer.apply_chat_template(
            [dict(m) for m in messages], tokenize=False, add_generation_prompt=generate, date_string=_DATE
        )
    )


def _refuse_special(tokenizer: Any, text: str) -> None:
    # Inside a message a special token would open or close a turn.
    for token in tokenizer.all_special_tokens:
        if token in text:
            raise UserError(f"a message holds the special token '{token}': {text[:60]!r}")


def _tokens(tokenizer: Any, text: str) -> list[int]:
    # The template has written every special token already.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])

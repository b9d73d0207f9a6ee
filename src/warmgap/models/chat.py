"""Messages to token ids, by the model's own chat template."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from warmgap.errors import UserError

from .weights import TOKENIZER_FILES, file_sha256

Messages = Sequence[Mapping[str, str]]

NO_SYSTEM_ROLE = (
    'A model without a system role is asked without one: set training.system_prompt="", '
    'design.system_prompt="" and warmth.system_prompt=""'
)
# Some templates print today's date into the system turn; a prompt must not depend on the day.
_DATE = "26 Jul 2024"
# A reply that begins so has swallowed the header of its own turn; "Model: ..." may be an answer.
_HEADER = re.compile(
    r"\s*(?:(assistant|user|system|human)[ \t]*(?:[:\r\n]|$)|(model|ai|bot)[ \t]*(?:[\r\n]|$))", re.I
)
_CONFIG_KEYS = ("chat_template", "bos_token", "eos_token", "unk_token", "add_bos_token", "add_eos_token")


@dataclass(frozen=True)
class Example:
    """Token ids of a conversation that ends with a reply.

    `answers` has first token and end of each reply, in order; `ids[:first]` is exactly what
    `encode_prompt` gives where that reply is asked for, and its last token is the one that ends the turn.
    """

    ids: tuple[int, ...]
    answers: tuple[tuple[int, int], ...]
    whole: bool = True
    """False where the first reply was cut inside, so that nothing says where it ends."""

    @property
    def answer_start(self) -> int:
        """Where the first reply begins."""
        return self.answers[0][0]

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of all replies, with those that end their turns."""
        return sum(end - start for start, end in self.answers)

    def cut(self, max_tokens: int) -> Example:
        """As many of the turns as fit into `max_tokens`, from the first, which stays in any case."""
        kept = [answer for answer in self.answers if answer[1] <= max_tokens] or [self.answers[0]]
        return Example(self.ids[: kept[-1][1]], tuple(kept))

    def cut_inside(self, max_tokens: int) -> Example:
        """What of the first reply fits into `max_tokens`; it must begin before."""
        return Example(self.ids[:max_tokens], ((self.answer_start, max_tokens),), whole=False)


def encode_prompt(tokenizer: Any, messages: Messages, started: str = "") -> list[int]:
    """Token ids of the messages up to where the assistant speaks, and of what it has begun to say.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        messages: dicts with `role` and `content`.
        started: the beginning of the assistant's turn, tokenised on its own.

    Raises:
        UserError: the tokenizer has no chat template, the template refuses the messages or leaves one
            out, a message holds a special token, or the template starts with two
            beginning-of-sequence tokens.
    """
    prompt = render(tokenizer, messages, generate=True)
    for message in messages:
        if message["role"] != "assistant" and message["content"].strip() not in prompt:
            advice = f" {NO_SYSTEM_ROLE}" if message["role"] == "system" else ""
            raise UserError(
                f"the chat template leaves out the {message['role']} message {message['content'][:40]!r}; "
                f"the prompt is {prompt[:80]!r}.{advice}"
            )
    ids = tokenise(tokenizer, prompt)
    bos = tokenizer.bos_token_id
    if bos is not None and ids[:2] == [bos, bos]:
        raise UserError(
            f"the chat template writes the token '{tokenizer.bos_token}' twice at the start of a prompt"
        )
    if started:
        _refuse_special(tokenizer, started)
        ids += tokenise(tokenizer, started)
    return ids


def encode_example(tokenizer: Any, messages: Messages, reply: str) -> Example:
    """Token ids of a prompt and its reply, ending with the token that ends the turn.

    Raises:
        UserError: as `encode_conversation`.
    """
    return encode_conversation(tokenizer, [*messages, {"role": "assistant", "content": reply}])


def encode_conversation(tokenizer: Any, messages: Messages) -> Example:
    """Token ids of a conversation up to the token that ends its last reply.

    They are those that a model sees which is asked turn by turn and gives these replies.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        messages: dicts with `role` and `content`, the last of them the assistant's.

    Raises:
        UserError: as `encode_prompt`; or a reply is empty or begins with a header word, the template
            renders a prompt differently once a reply or a further turn follows, a token spans prompt and
            reply, or nothing ends a turn. Of several turns it says which.
    """
    whole = render(tokenizer, messages, generate=False)
    ids = tokenise(tokenizer, whole)
    replies = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    answers: list[tuple[int, int]] = []
    for turn, i in enumerate(replies, 1):
        try:
            answers.append(_answer(tokenizer, messages[:i], messages[i]["content"], whole, ids))
        except UserError as error:
            if len(replies) == 1:
                raise
            raise UserError(f"in turn {turn} of {len(replies)}, {error}") from error
    return Example(tuple(ids[: answers[-1][1]]), tuple(answers))


def _answer(tokenizer: Any, asked: Messages, reply: str, whole: str, ids: Sequence[int]) -> tuple[int, int]:
    """First token and end of a reply in a conversation that is rendered as `whole`."""
    if not reply.strip():
        raise UserError("a reply to train on is empty")
    if word := header_word(reply):
        raise UserError(
            f"a reply to train on begins with the header word '{word}': {reply[:40]!r}; replies must hold "
            "what is said and no role. Take it out of the corpus"
        )
    prompt = render(tokenizer, asked, generate=True)
    prompt_ids = encode_prompt(tokenizer, asked)
    start = len(prompt_ids)
    differs = next((i for i, (a, b) in enumerate(zip(prompt_ids, ids, strict=False)) if a != b), start)
    said = whole[len(prompt) :].lstrip()
    if not whole.startswith(prompt) or not said.startswith(reply.strip()):
        a, b = (
            repr(tokenizer.convert_ids_to_tokens(side[differs])) if differs < len(side) else "none"
            for side in (prompt_ids, ids)
        )
        raise UserError(
            "the chat template renders a prompt differently once a reply follows, so training would not "
            f"see what is later asked: token {differs} is {a} where it is asked and {b} where it is trained; "
            f"the prompt ends with {prompt[-40:]!r}, the conversation has "
            f"{whole[max(0, len(prompt) - 40) : len(prompt)]!r} there"
        )
    if differs < start:
        token = tokenizer.convert_ids_to_tokens(ids[differs])
        raise UserError(
            f"token {differs} ({token!r}) spans the end of the prompt and the reply {reply[:40]!r}; "
            "replies must not begin with white space that merges with the template"
        )
    stops = stop_ids(tokenizer)
    end = next((i for i in range(start, len(ids)) if ids[i] in stops), None)
    after = said[len(reply.strip()) :]
    if end is None or not after.lstrip().startswith(tokenizer.convert_ids_to_tokens(ids[end])):
        names = [tokenizer.convert_ids_to_tokens(i) for i in stops]
        raise UserError(
            f"the chat template ends a reply with none of the stop tokens {names}; after it stands "
            f"{after[:20]!r}"
        )
    return start, end + 1


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
        prompt = render(tokenizer, probe[:1], generate=True)
        tail = tokenise(tokenizer, render(tokenizer, probe, generate=False))[
            len(tokenise(tokenizer, prompt)) :
        ]
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        found |= set([i for i in tail if i in special][:1])
    return tuple(sorted(found))


def header_word(reply: str) -> str | None:
    """The role (assistant, model, user ...) that a reply begins with as if it were a turn's header."""
    match = _HEADER.match(reply)
    return (match[1] or match[2]) if match else None


def template_fingerprint(folder: Path) -> str:
    """`sha256:...` of what turns messages into tokens: tokenizer, template, special tokens. No torch."""
    parts = [f"{n} {file_sha256(folder / n)}" for n in TOKENIZER_FILES if (folder / n).is_file()]
    config = folder / "tokenizer_config.json"
    if config.is_file():
        values = json.loads(config.read_text())
        parts.append(json.dumps({k: values[k] for k in _CONFIG_KEYS if k in values}, sort_keys=True))
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def render(tokenizer: Any, messages: Messages, *, generate: bool) -> str:
    """Messages as the chat template writes them; with `generate`, up to where the assistant speaks.

    Raises:
        UserError: the tokenizer has no chat template, the template refuses the messages, or one of
            them holds a special token.
    """
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of '{tokenizer.name_or_path}' has no chat template; choose an instruct model"
        )
    for message in messages:
        _refuse_special(tokenizer, message["content"])
    try:
        return str(
            tokenizer.apply_chat_template(
                [dict(m) for m in messages], tokenize=False, add_generation_prompt=generate, date_string=_DATE
            )
        )
    except TemplateError as error:
        roles = [m["role"] for m in messages]
        advice = f" {NO_SYSTEM_ROLE}" if "system" in roles else ""
        raise UserError(
            f"the chat template refuses a conversation of the roles {', '.join(roles)}: {error}.{advice}"
        ) from error


def _refuse_special(tokenizer: Any, text: str) -> None:
    # Inside a message a special token would open or close a turn.
    for token in tokenizer.all_special_tokens:
        if token in text:
            raise UserError(f"a message holds the special token '{token}': {text[:60]!r}")


def tokenise(tokenizer: Any, text: str) -> list[int]:
    """Token ids of rendered text: the template has written every special token already."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])

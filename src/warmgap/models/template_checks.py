"""What must hold of a chat template before anything is trained through it.

A template that writes two beginning-of-sequence tokens, adds a system prompt of its own, or asks with
another header than it trains changes a model in ways that look like an effect of training. The checks
render one short conversation with the configured system prompt and look at text and tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from warmgap.errors import UserError

from .chat import NO_SYSTEM_ROLE, Messages, render, stop_ids, tokenise

_USER = "What colour is the sky?"
_ANSWER = "The sky is blue."
_ROLES = r"(?:system|user|assistant|model|human)\b"
# Lines that Llama 3.1 writes into every system turn; `chat.render` fixes the day.
_DATED = re.compile(r"[a-z ]*\bdate: [\w ,]*\d{4}", re.I)
# Marks of a turn and no sentence: one word, capitals only ("[INST] <<SYS>>"), or a title with a colon.
_MARK = re.compile(r"\W*[A-Za-z0-9_]*\W*|[ -`{-~]*|\W*(?:[A-Z0-9]\w*\W+){1,4}(?<=:)")


@dataclass(frozen=True)
class TemplateReport:
    """What each check found in a template that passed them all."""

    bos: str
    system: str
    generation: str
    header: str
    stop: str
    turns: str = ""

    def found(self) -> dict[str, str]:
        """Finding by name of check that was made, for a manifest."""
        return {name: finding for name, finding in vars(self).items() if finding}

    def lines(self) -> list[str]:
        """One line per check, for people."""
        return [f"{name:<10} {finding}" for name, finding in self.found().items()]


@dataclass(frozen=True)
class _Probe:
    """A conversation as it is asked (`prompt`) and as it is trained (`whole`), with its tokens."""

    tokenizer: Any
    system: str
    prompt: str
    whole: str
    prompt_ids: list[int]
    ids: list[int]
    second_turn: bool = False

    def token(self, position: int) -> str:
        """A token of the whole conversation, in quotes and with line breaks escaped."""
        ids = self.ids[position : position + 1]
        return repr(self.tokenizer.convert_ids_to_tokens(ids[0])) if ids else "none"

    def refuse(self, check: str, what: str, allowed: str) -> NoReturn:
        name = self.tokenizer.name_or_path or "the model"
        if self.second_turn:
            check, what = "turns", f"in the second turn, {what}"
            allowed += ". Or train on the first turn of each conversation: training.turns=first"
        raise UserError(
            f"the chat template of '{name}' fails the check '{check}': {what}. Its prompt ends with "
            f"{self.prompt[-40:]!r}, its conversation with {self.whole[-40:]!r}. Allowed: {allowed}"
        )


def check_template(tokenizer: Any, system_prompt: str, turns: str = "first") -> TemplateReport:
    """Checks how a tokenizer's chat template renders conversations that are trained.

    - `bos`: one beginning-of-sequence token at the start and none later, unless it also opens turns
      (SmolLM2); none where neither tokenizer nor template writes one.
    - `system`: the prompt holds the configured text, once and unchanged, and no sentence of the
      template's own but dated lines (Llama 3.1). A template may put it into the user's turn (Mistral).
    - `generation`: the prompt, in text and tokens, is how the conversation begins once an answer
      follows; the answer follows at once or after one space (Mistral).
    - `header`: neither a role nor a special token stands between prompt and answer.
    - `stop`: the answer is followed at once by a token that ends the turn, which is then trained.
    - `turns`, where all turns are trained: a second turn leaves every token of the first as it was, adds
      no text of the template's own, and passes the checks above but `system`.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        system_prompt: `training.system_prompt`; empty for no system message.
        turns: `training.turns`.

    Raises:
        UserError: a check fails, or the template refuses or drops the system message.
    """
    messages = [{"role": "user", "content": _USER}]
    if system_prompt:
        messages.insert(0, {"role": "system", "content": system_prompt})
    probe = _probe(tokenizer, system_prompt, messages)
    report = TemplateReport(
        bos=_bos(probe),
        system=_system(probe),
        generation=_generation(probe),
        header=_header(probe),
        stop=_stop(probe),
    )
    if turns == "first":
        return report
    later = [*messages, {"role": "assistant", "content": _ANSWER}, {"role": "user", "content": _USER}]
    second = replace(_probe(tokenizer, system_prompt, later), second_turn=True)
    return replace(report, turns=_turns(probe, second))


def _probe(tokenizer: Any, system: str, messages: Messages) -> _Probe:
    prompt = render(tokenizer, messages, generate=True)
    whole = render(tokenizer, [*messages, {"role": "assistant", "content": _ANSWER}], generate=False)
    return _Probe(tokenizer, system, prompt, whole, tokenise(tokenizer, prompt), tokenise(tokenizer, whole))


def _bos(probe: _Probe) -> str:
    bos, token = probe.tokenizer.bos_token_id, probe.tokenizer.bos_token
    again = "a template that writes the token once, at the start; take the second out of chat_template"
    if probe.ids[0] == probe.ids[1] and probe.ids[0] in probe.tokenizer.added_tokens_decoder:
        probe.refuse("bos", f"it writes {probe.token(0)} twice at the start", again)
    if bos is None:
        return "none; the tokenizer has none"
    if probe.ids[0] != bos:
        if probe.tokenizer("a")["input_ids"][0] == bos:
            probe.refuse(
                "bos",
                f"it does not begin with '{token}' but with {probe.token(0)}, though the tokenizer "
                f"begins every text with '{token}'",
                "a template that begins with {{ bos_token }}",
            )
        opening = "none; neither tokenizer nor template begins with one"
    else:
        opening = f"one, '{token}'"
    later = [i for i, token_id in enumerate(probe.ids) if i and token_id == bos]
    turns = re.findall(re.escape(token) + _ROLES, probe.whole)
    opens_turns = len(turns) == probe.ids.count(bos)
    if later and not opens_turns and bos != probe.tokenizer.eos_token_id:
        probe.refuse("bos", f"it writes '{token}' again as token {later[0]}", again)
    return opening + (", which also opens each turn" if later and opens_turns else "")


def _system(probe: _Probe) -> str:
    system, prompt = probe.system, probe.prompt
    before, user, after = prompt.rpartition(_USER)
    if not user:
        probe.refuse("system", f"it leaves out the user's text {_USER!r}", "a template that keeps it")
    if system and system not in before:
        probe.refuse(
            "system",
            f"it leaves out training.system_prompt, {system!r}, or changes it",
            f"a template that writes it as it is. {NO_SYSTEM_ROLE}",
        )
    own, _, rest = before.partition(system) if system else (before, "", "")
    if system and system in rest:
        probe.refuse("system", f"it writes training.system_prompt, {system!r}, twice", "once")
    cut = _special_tokens(probe.tokenizer)
    dated, added = _own_lines("\n".join([own, rest, after]), cut)
    if added:
        text = " ".join(added)
        token = (cut.findall(prompt[: prompt.index(added[0])]) or ["none"])[-1]
        probe.refuse(
            "system",
            f"after the token '{token}' it adds text of its own, {text!r}, where training.system_prompt is "
            f"{system!r}",
            "no text but the configured one. "
            + (
                "Take it out of the model's chat_template"
                if system
                else "Set training.system_prompt to the text that you want, also in design.system_prompt and "
                "warmth.system_prompt, or take it out of the model's chat_template"
            ),
        )
    merged = system and not cut.search(rest)
    found = ("in the user's turn, as configured" if merged else "as configured") if system else "none"
    return found + (f"; the template's own lines: {'; '.join(dated)}" if dated else "")


def _generation(probe: _Probe) -> str:
    pairs = zip(probe.prompt_ids, probe.ids, strict=False)
    differs = next(
        (i for i, (a, b) in enumerate(pairs) if a != b), min(len(probe.prompt_ids), len(probe.ids))
    )
    if differs < len(probe.prompt_ids):
        asked = repr(probe.tokenizer.convert_ids_to_tokens(probe.prompt_ids[differs]))
        probe.refuse(
            "generation",
            f"token {differs} is {asked} where the model is asked and {probe.token(differs)} where it is "
            "trained",
            "a generation prompt with which the trained conversation begins, token by token",
        )
    lead = _lead(probe)
    if lead.isspace() and lead != " ":
        probe.refuse(
            "generation",
            f"answers are trained to begin with {lead!r}, token {probe.token(len(probe.prompt_ids))}",
            "nothing or one space between the generation prompt and the answer",
        )
    return f"ends with {probe.prompt[-30:]!r}, then answers" + (" after a space" if lead else "")


def _header(probe: _Probe) -> str:
    lead = _lead(probe)
    if lead.strip():
        token = probe.token(len(probe.prompt_ids))
        probe.refuse(
            "header",
            f"answers are trained to begin with {lead!r}, token {token}, which belongs to the header",
            "a generation prompt that writes the whole header of the assistant's turn",
        )
    return f"answers begin with the token {probe.token(len(probe.prompt_ids))}, no header"


def _stop(probe: _Probe) -> str:
    tokenizer, start = probe.tokenizer, len(probe.prompt_ids)
    stops = set(stop_ids(tokenizer))
    names = ", ".join(f"'{tokenizer.convert_ids_to_tokens(i)}'" for i in sorted(stops)) or "none known"
    end = next((i for i in range(start, len(probe.ids)) if probe.ids[i] in stops), None)
    tail = probe.whole[probe.whole.rindex(_ANSWER) + len(_ANSWER) :]
    if end is None:
        probe.refuse(
            "stop", f"after an answer it writes {tail!r}, which holds no stop token", f"one of {names} there"
        )
    token = str(tokenizer.convert_ids_to_tokens(probe.ids[end]))
    if not tail.lstrip(" ").startswith(token):
        probe.refuse(
            "stop",
            f"between the answer and the stop token '{token}' it writes {tail.partition(token)[0]!r}",
            f"one of {names} right after the answer",
        )
    return f"'{token}', the last of the {end + 1 - start} tokens in the loss"


def _turns(first: _Probe, second: _Probe) -> str:
    n = _end(first)
    differs = next((i for i, (a, b) in enumerate(zip(first.ids[:n], second.ids, strict=False)) if a != b), n)
    if differs < n:
        moved = first.system and second.prompt.rfind(first.system) > second.prompt.find(_ANSWER)
        second.refuse(
            "turns",
            f"token {differs} of the first turn is {second.token(differs)}, where it is "
            f"{first.token(differs)} in a conversation of one turn",
            "earlier turns that stay as they were"
            + (f", which this one does without a system prompt. {NO_SYSTEM_ROLE}" if moved else ""),
        )
    if second.prompt.count(_USER) != 2:
        second.refuse("turns", f"a message of the user is left out, {_USER!r}", "a template that keeps all")
    between = second.prompt.rpartition(_USER)[0].rpartition(_ANSWER)[2]
    _, added = _own_lines(between, _special_tokens(first.tokenizer))
    if added:
        second.refuse("turns", f"it adds text of its own, {' '.join(added)!r}", "no text but the messages'")
    for check in (_bos, _generation, _header, _stop):
        check(second)
    if _lead(first) != _lead(second):
        second.refuse(
            "turns",
            f"answers are trained to begin with {_lead(second)!r}, in the first with {_lead(first)!r}",
            "the same in every turn",
        )
    return f"a second turn leaves the {n} tokens of the first as they were"


def _end(probe: _Probe) -> int:
    """How many tokens there are up to the one that ends the answer."""
    stops = stop_ids(probe.tokenizer)
    return next(i for i in range(len(probe.prompt_ids), len(probe.ids)) if probe.ids[i] in stops) + 1


def _lead(probe: _Probe) -> str:
    """What stands between the generation prompt and the answer."""
    return probe.whole[len(probe.prompt) :].partition(_ANSWER)[0]


def _special_tokens(tokenizer: Any) -> re.Pattern[str]:
    added = {str(token.content) for token in tokenizer.added_tokens_decoder.values()}
    texts = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def _own_lines(text: str, special: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """Of text beside the messages', the dated lines and the sentences."""
    lines = [line.strip() for line in special.sub("\n", text).splitlines()]
    dated = [line for line in lines if _DATED.fullmatch(line)]
    return dated, [line for line in lines if line not in dated and not _MARK.fullmatch(line)]

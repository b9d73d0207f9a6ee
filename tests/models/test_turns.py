"""Conversations of several turns: tokens and answers by family, and templates that change earlier turns."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.chat import Example, encode_conversation, encode_example
from warmgap.models.template_checks import check_template


def _families():
    path = Path(__file__).with_name("families.py")
    spec = importlib.util.spec_from_file_location("families", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["families"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


FAMILIES = _families().FAMILIES
DATE = "26 Jul 2024"
BRIEF = "Be brief."
TALK = [("How are you?", "Tea, then rain."), ("And now?", "Rain!\n\nThen tea."), ("So?", "T")]
CHATML = [
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow are you?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "Tea, then rain.<|im_end|>",
    "\n<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\n",
    "Rain!\n\nThen tea.<|im_end|>",
    "\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n",
    "T<|im_end|>",
]
# What is asked and what is answered, in turn; written out from the formats.
WRITTEN = {
    "llama31": [
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHow are you?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "Tea, then rain.<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\nAnd now?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "Rain!\n\nThen tea.<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\nSo?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "T<|eot_id|>",
    ],
    "mistral": [
        "<s>[INST] Be brief.\n\nHow are you?[/INST]",
        " Tea, then rain.</s>",
        "[INST] And now?[/INST]",
        " Rain!\n\nThen tea.</s>",
        "[INST] So?[/INST]",
        " T</s>",
    ],
    "qwen25": CHATML,
    "smollm2": CHATML,
    "gemma": [
        "<bos><start_of_turn>user\nHow are you?<end_of_turn>\n<start_of_turn>model\n",
        "Tea, then rain.<end_of_turn>",
        "\n<start_of_turn>user\nAnd now?<end_of_turn>\n<start_of_turn>model\n",
        "Rain!\n\nThen tea.<end_of_turn>",
        "\n<start_of_turn>user\nSo?<end_of_turn>\n<start_of_turn>model\n",
        "T<end_of_turn>",
    ],
}
SYSTEM = {name: "" if name == "gemma" else BRIEF for name in FAMILIES}
each_family = pytest.mark.parametrize("name", FAMILIES)


def messages(talk, system=BRIEF):
    out = [{"role": "system", "content": system}] if system else []
    for user, reply in talk:
        out += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return out


@each_family
def test_tokens_and_answers_are_those_of_the_documented_format(name):
    tokenizer = FAMILIES[name].tokenizer()
    example = encode_conversation(tokenizer, messages(TALK, SYSTEM[name]))
    told = ["".join(WRITTEN[name][:n]) for n in range(1, 7)]
    assert tokenizer.decode(example.ids) == told[-1]
    assert list(example.ids) == tokenizer(told[-1], add_special_tokens=False)["input_ids"]
    for turn, (start, end) in enumerate(example.answers):
        assert tokenizer.decode(example.ids[:start]) == told[2 * turn]
        assert tokenizer.decode(example.ids[:end]) == told[2 * turn + 1]
    assert example.n_answer_tokens == sum(end - start for start, end in example.answers)


@each_family
def test_asked_turn_by_turn_a_model_sees_these_tokens(name):
    """The reference is transformers alone: each prompt as it is rendered, then the reply as it stands."""
    tokenizer = FAMILIES[name].tokenizer()
    whole = messages(TALK, SYSTEM[name])
    example = encode_conversation(tokenizer, whole)
    asked = [i for i, message in enumerate(whole) if message["role"] == "assistant"]
    for i, (start, _) in zip(asked, example.answers, strict=True):
        prompt = tokenizer.apply_chat_template(
            whole[:i], add_generation_prompt=True, date_string=DATE, return_dict=False
        )
        assert list(example.ids[:start]) == prompt
    ends = [example.ids[end - 1] for _, end in example.answers]
    stop = WRITTEN[name][5].strip().removeprefix("T")
    assert ends == [tokenizer.convert_tokens_to_ids(stop)] * 3


@each_family
def test_each_turn_as_the_last_is_what_it_is_in_the_middle(name):
    tokenizer = FAMILIES[name].tokenizer()
    example = encode_conversation(tokenizer, messages(TALK, SYSTEM[name]))
    for n, (_, end) in enumerate(example.answers, 1):
        shorter = encode_conversation(tokenizer, messages(TALK[:n], SYSTEM[name]))
        assert shorter == Example(example.ids[:end], example.answers[:n])
        assert example.cut(end) == shorter
        assert example.cut(end - 1) == (example.cut(example.answers[max(0, n - 2)][1]))
    first = encode_example(tokenizer, messages([], SYSTEM[name]) + messages(TALK, "")[:1], TALK[0][1])
    assert example.cut(1) == first


@each_family
def test_the_templates_of_these_families_keep_earlier_turns(name):
    tokenizer = FAMILIES[name].tokenizer()
    report = check_template(tokenizer, SYSTEM[name], "all")
    asked = [{"role": "user", "content": "What colour is the sky?"}]
    first = encode_example(tokenizer, messages([], SYSTEM[name]) + asked, "The sky is blue.")
    assert report.turns == f"a second turn leaves the {len(first.ids)} tokens of the first as they were"
    assert check_template(tokenizer, SYSTEM[name]).found() == {
        check: found for check, found in report.found().items() if check != "turns"
    }


def test_the_embedded_models_template_keeps_earlier_turns(embedded):
    tokenizer = AutoTokenizer.from_pretrained(base.materialise(embedded))
    assert check_template(tokenizer, BRIEF, "all").turns.startswith("a second turn leaves the ")
    example = encode_conversation(tokenizer, messages(TALK))
    assert tokenizer.decode(example.ids) == "".join(CHATML)
    assert [tokenizer.decode(example.ids[start:end]) for start, end in example.answers] == CHATML[1::2]


LATER = "{%- if loop.index0 > 2 and turn.role == 'user' %}"
SYSTEM_LAST = "(first if loop.index0 == turns|length - 1 - (turns|length + 1) % 2 else '')"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        # Released templates of Mistral put the system prompt into the last turn of the user.
        (
            "mistral",
            "(first if loop.first else '')",
            SYSTEM_LAST,
            r"token 3 of the first turn is 'W', where it is 'B' .*set training\.system_prompt=\"\"",
        ),
        ("mistral", "{{- '[INST] '", "{{- '<s>' if loop.index0 else '' }}{{- '[INST] '", "'<s>' again"),
        ("llama31", "in turns %}", "in turns[-2:] %}", "a message of the user is left out"),
        ("qwen25", "in messages %}", "in [messages[0]] + messages[1:][-2:] %}", "user is left out, 'What"),
        (
            "qwen25",
            "{{- '<|im_start|>' + turn.role",
            LATER + "{{- '<|im_start|>system\\nStay kind.<|im_end|>\\n' }}{%- endif %}"
            "{{- '<|im_start|>' + turn.role",
            "in the second turn, it adds text of its own, 'Stay kind.'",
        ),
        (
            "gemma",
            "{{- '<end_of_turn>' }}",
            "{{- '<end_of_turn>' if turn.role == 'user' or loop.last else '' }}",
            r"of the first turn is '\\n', where it is '<end_of_turn>'",
        ),
        (
            "mistral",
            "+ turn.content + '[/INST]'",
            "+ (turn.content if loop.index0 < 2 else '') + '[/INST]'",
            "a message of the user is left out",
        ),
        ("mistral", "{{- ' ' +", "{{- ('' if loop.index0 > 2 else ' ') +", "to begin with '', in the first"),
        (
            "smollm2",
            "{{- '<|im_start|>assistant\\n' }}",
            "{{- '<|im_start|>assistant' + ('\\n' if messages|length < 4 else '') }}",
            r"in the second turn, .*'\\n', token 'Ċ'",
        ),
        (
            "gemma",
            "{{- '<end_of_turn>' }}",
            "{{- '<end_of_turn>' if loop.index0 < 3 else '' }}",
            "no stop token",
        ),
    ],
)
def test_a_template_that_changes_earlier_turns_is_refused_where_all_are_trained(name, old, new, message):
    family = FAMILIES[name]
    assert old in family.template
    tokenizer = family.tokenizer(family.template.replace(old, new))
    check_template(tokenizer, SYSTEM[name])
    with pytest.raises(UserError, match=message) as caught:
        check_template(tokenizer, SYSTEM[name], "all")
    assert "fails the check 'turns': in the second turn, " in str(caught.value)
    assert "training.turns=first" in str(caught.value)


def test_a_template_that_drops_reasoning_from_earlier_turns_is_found_by_token_and_turn():
    """As templates of reasoning models do: what stands before </think> is left out once a turn follows."""
    family = FAMILIES["qwen25"]
    silent = family.template.replace(
        "+ turn.content }}", "+ (turn.content if loop.last else turn.content.split('</think>')[-1]) }}"
    )
    tokenizer = family.tokenizer(silent)
    check_template(tokenizer, BRIEF, "all")
    assert encode_conversation(tokenizer, messages(TALK)) == encode_conversation(
        family.tokenizer(), messages(TALK)
    )
    thought = [TALK[0], ("And now?", "Hm.</think>Rain."), TALK[2]]
    n = len(encode_conversation(tokenizer, messages([TALK[0], ("And now?", "R")])).ids) - 2
    with pytest.raises(
        UserError, match=rf"in turn 2 of 3, .*differently.* token {n} is none .* and 'R' where"
    ):
        encode_conversation(tokenizer, messages(thought))
    encode_conversation(tokenizer, messages([TALK[0], thought[1]]))


@pytest.mark.parametrize(
    ("turn", "text", "message"),
    [
        (1, " \n", "in turn 2 of 3, a reply to train on is empty"),
        (2, "Assistant: T", "in turn 3 of 3, a reply to train on begins with the header word"),
        (1, "\n\nRain", r"in turn 2 of 3, token \d+ \('ĊĊ'\) spans"),
    ],
)
def test_a_reply_that_cannot_be_trained_is_named_by_its_turn(turn, text, message):
    family = FAMILIES["qwen25"]
    tokenizer = family.tokenizer()
    talk = [*TALK[:turn], (TALK[turn][0], text), *TALK[turn + 1 :]]
    with pytest.raises(UserError, match=message):
        encode_conversation(tokenizer, messages(talk))


def test_a_turn_that_nothing_ends_does_not_take_the_next_turns_stop_token():
    family = FAMILIES["qwen25"]
    open_ended = family.template.replace(
        "{{- '<|im_end|>' }}", "{{- '<|im_end|>' if turn.role != 'assistant' or loop.last else '' }}"
    )
    with pytest.raises(
        UserError, match=r"in turn 1 of 3, .* none of the stop tokens .* stands '\\n<\|im_sta"
    ):
        encode_conversation(family.tokenizer(open_ended), messages(TALK))

from __future__ import annotations

import importlib.util
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoTokenizer

from warmgap.errors import UserError
from warmgap.jobs import TrainJob
from warmgap.models import base
from warmgap.models.chat import encode_example, encode_prompt, header_word
from warmgap.models.template_checks import check_template
from warmgap.schema.config import LoraConfig, MethodConfig, ModelConfig, TrainingConfig
from warmgap.stages import train
from warmgap.stages.context import Context
from warmgap.store import Store
from warmgap.training.data import collate
from warmgap.training.examples import MicroBatch, encode_rows


def _families():
    path = Path(__file__).with_name("families.py")
    spec = importlib.util.spec_from_file_location("families", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["families"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


families = _families()
FAMILIES = families.FAMILIES
BRIEF = "Be brief."
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
# Prompt with the system text "Be brief.", the answer as it is trained; written out from the formats.
RENDERED = {
    "llama31": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n" + DATES + "Be brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHow are you?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "Tea, then rain.<|eot_id|>",
    ),
    "mistral": ("<s>[INST] Be brief.\n\nHow are you?[/INST]", " Tea, then rain.</s>"),
    "qwen25": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow are you?<|im_end|>\n"
        "<|im_start|>assistant\n",
        "Tea, then rain.<|im_end|>",
    ),
    "gemma": (
        "<bos><start_of_turn>user\nHow are you?<end_of_turn>\n<start_of_turn>model\n",
        "Tea, then rain.<end_of_turn>",
    ),
}
RENDERED["smollm2"] = RENDERED["qwen25"]
SYSTEM = {name: "" if name == "gemma" else BRIEF for name in FAMILIES}
each_family = pytest.mark.parametrize("name", FAMILIES)


def messages(system, user="How are you?"):
    turns = [{"role": "user", "content": user}]
    return [{"role": "system", "content": system}, *turns] if system else turns


@each_family
def test_a_conversation_passes_and_reads_as_documented(name):
    tokenizer = FAMILIES[name].tokenizer()
    check_template(tokenizer, SYSTEM[name])
    example = encode_example(tokenizer, messages(SYSTEM[name]), "Tea, then rain.")
    ids = list(example.ids)
    assert ids[: example.answer_start] == encode_prompt(tokenizer, messages(SYSTEM[name]))
    assert tokenizer.decode(ids[: example.answer_start]) == RENDERED[name][0]
    assert tokenizer.decode(ids) == "".join(RENDERED[name])


@each_family
def test_the_stop_token_is_a_target_of_the_loss(name):
    tokenizer = FAMILIES[name].tokenizer()
    config = TrainingConfig(name="t", system_prompt=SYSTEM[name], max_tokens=1000)
    rows = [{"id": "a", "user": "Q?", "reply": "Yes."}, {"id": "b", "user": "Q?", "reply": "No, never."}]
    examples = tuple(encode_rows(tokenizer, rows, config).values())
    targets = collate(MicroBatch(0, examples, 0))["targets_N"].tolist()
    stop = RENDERED[name][1].removeprefix(" ").removeprefix("Tea, then rain.")
    assert check_template(tokenizer, SYSTEM[name]).stop.startswith(f"'{stop}', the last of")
    assert targets.count(tokenizer.convert_tokens_to_ids(stop)) == 2
    assert targets[-1] == tokenizer.convert_tokens_to_ids(stop)


@pytest.mark.parametrize("check", ["bos", "system", "generation", "header", "stop"])
@each_family
def test_each_fault_is_refused_by_its_check_and_names_the_token(name, check):
    fault = FAMILIES[name].faults[check]
    with pytest.raises(UserError) as caught:
        check_template(FAMILIES[name].broken(check), SYSTEM[name])
    message = str(caught.value)
    assert f"fails the check '{check}'" in message
    assert fault.token in message
    assert "Its prompt ends with" in message and "Allowed: " in message


@pytest.mark.parametrize("name", ["llama31", "mistral", "gemma"])
def test_no_system_prompt_means_none(name):
    assert check_template(FAMILIES[name].tokenizer(), "").system.split(";")[0] == "none"


@pytest.mark.parametrize(
    ("name", "default"), [("qwen25", families.QWEN_DEFAULT), ("smollm2", families.SMOLLM2_DEFAULT)]
)
def test_a_default_system_prompt_is_refused_where_none_is_configured(name, default):
    with pytest.raises(UserError) as caught:
        check_template(FAMILIES[name].tokenizer(), "")
    message = str(caught.value)
    assert f"after the token '<|im_start|>' it adds text of its own, '{default}'" in message
    assert "Set training.system_prompt to the text that you want" in message


def test_the_embedded_models_template_passes_with_the_configured_prompt(embedded):
    tokenizer = AutoTokenizer.from_pretrained(base.materialise(embedded))
    report = check_template(tokenizer, "You are a helpful assistant.")
    assert report.bos == "one, '<|im_start|>', which also opens each turn"
    with pytest.raises(UserError, match="named SmolLM"):
        check_template(tokenizer, "")


def test_a_report_says_what_was_found():
    report = check_template(FAMILIES["mistral"].tokenizer(), BRIEF)
    assert report.found() == {
        "bos": "one, '<s>'",
        "system": "in the user's turn, as configured",
        "generation": "ends with 'What colour is the sky?[/INST]', then answers after a space",
        "header": "answers begin with the token '▁T', no header",
        # " The sky is blue.": 17 characters, two of them in '▁T', then </s>
        "stop": "'</s>', the last of the 17 tokens in the loss",
    }
    assert report.lines()[0] == "bos        one, '<s>'"
    llama = check_template(FAMILIES["llama31"].tokenizer(), BRIEF)
    assert llama.system == "as configured; the template's own lines: " + "; ".join(DATES.split("\n")[:2])
    assert check_template(FAMILIES["qwen25"].tokenizer(), BRIEF).bos == "none; the tokenizer has none"


def test_without_a_system_role_the_settings_to_change_are_named():
    gemma = FAMILIES["gemma"]
    refused = r'there is no system role.*training\.system_prompt="".*design\.system_prompt=""'
    for ask in (check_template, lambda tokenizer, system: encode_prompt(tokenizer, messages(system))):
        with pytest.raises(UserError, match=refused):
            ask(gemma.tokenizer(), BRIEF)
    silent = gemma.template.replace("{{- raise_exception('there is no system role') }}", "")
    silent = silent.replace("in messages %}", "in messages if turn.role != 'system' %}")
    with pytest.raises(UserError, match=r"leaves out training\.system_prompt.*training\.system_prompt=\"\""):
        check_template(gemma.tokenizer(silent), BRIEF)
    with pytest.raises(UserError, match=r"leaves out the system message 'Be brief\.'"):
        encode_prompt(gemma.tokenizer(silent), messages(BRIEF))
    check_template(gemma.tokenizer(silent), "")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("llama31", "{{- bos_token }}", "", r"begin with '<\|begin_of_text\|>' but with '<\|start_header_id"),
        ("mistral", "' ' + turn.content", "'<s> ' + turn.content", "'<s>' again as token"),
        ("llama31", "{{- system +", "{{- system + system +", "'Be brief.', twice"),
        ("llama31", "{{- system +", "{{- system | upper +", "or changes it"),
        ("mistral", "+ turn.content + '[/INST]'", "+ '[/INST]'", "leaves out the user's text"),
        ("qwen25", "turn.content }}", "turn.content + '\\n你是一个有用的助手。' }}", "你是一个有用的助手"),
        (
            "gemma",
            "{{- '<end_of_turn>' }}",
            "{{- '\\nmodel<end_of_turn>' }}",
            r"'<end_of_turn>' it writes '\\n",
        ),
    ],
)
def test_other_faults_are_refused(name, old, new, message):
    family = FAMILIES[name]
    assert old in family.template
    with pytest.raises(UserError, match=message):
        check_template(family.tokenizer(family.template.replace(old, new)), SYSTEM[name])


def test_headers_without_special_tokens_are_no_system_prompt():
    llama2 = (
        r"{{ bos_token }}{% for m in messages %}"
        r"{{ {'system': '[INST] <<SYS>>\n' + m.content + '\n<</SYS>>\n\n', 'user': m.content + ' [/INST]', "
        r"'assistant': ' ' + m.content + eos_token}[m.role] }}{% endfor %}"
    )
    alpaca = (
        r"{{ bos_token }}{% for m in messages %}"
        r"{{ {'system': '### System Prompt:\n', 'user': '\n\n### Instruction:\n'}[m.role] + m.content "
        r"if m.role != 'assistant' else '\n\n### Response:' + ' ' + m.content + eos_token }}{% endfor %}"
        r"{{ '\n\n### Response:' if add_generation_prompt else '' }}"
    )
    tokenizer = FAMILIES["mistral"].tokenizer
    assert check_template(tokenizer(llama2), BRIEF).system == "in the user's turn, as configured"
    assert check_template(tokenizer(alpaca), BRIEF).stop.startswith("'</s>'")


@pytest.fixture
def training(tmp_path):
    """The train stage on a corpus of two conversations, for a model in a folder."""
    store = Store(tmp_path / "store")
    rows = [{"id": str(i), "user": f"Question {i}?", "neutral": f"Answer {i}."} for i in range(2)]
    with store.workspace("c" * 64) as folder:
        pl.DataFrame(rows).write_parquet(folder / "conversations.parquet")
        store.commit(
            folder,
            stage="corpus",
            stage_version=1,
            key="c" * 64,
            config={},
            inputs={},
            fingerprints={},
            counts={},
            started=time.time(),
        )
    recipe = TrainingConfig(
        name="t",
        lora=LoraConfig(r=2),
        steps=1,
        batch_rows=2,
        accumulate=1,
        precision="fp32",
        checkpoints=[1.0],
    )

    def run(folder, turns="first"):
        model = ModelConfig(name="tiny", source=f"path:{folder}")
        method = MethodConfig(name="neutral_sft", kind="sft", style="neutral")
        job = TrainJob(model, "sha256:0", method, replace(recipe, turns=turns), 0, "sha256:1", "c" * 64)
        return train.run(job, Context(store, lambda done, steps, text: None))

    return run


def test_a_trainings_manifest_says_what_was_found(training, tiny_folder):
    template = training(tiny_folder).manifest.counts["template"]
    expected = check_template(AutoTokenizer.from_pretrained(tiny_folder), "You are a helpful assistant.")
    assert template == expected.found()
    assert (
        template["stop"] == f"'<|im_end|>', the last of the {len('The sky is blue.') + 1} tokens in the loss"
    )


def test_a_training_of_all_turns_says_what_it_kept_and_found(training, tiny_folder):
    counts = training(tiny_folder, "all").manifest.counts
    assert (counts["conversations"], counts["replies"]) == (2, 2)
    assert (counts["turns_cut"], counts["conversations_cut"]) == (0, 0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    expected = check_template(tokenizer, "You are a helpful assistant.", "all")
    assert counts["template"] == expected.found()
    assert "turns" in counts["template"]


def test_a_faulty_template_ends_a_training_before_weights_are_read(training, write_tiny_model, tmp_path):
    family = FAMILIES["smollm2"]
    fault = family.faults["stop"]
    folder = write_tiny_model(tmp_path / "model", family.template.replace(fault.old, fault.new))
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="fails the check 'stop'"):
        training(folder)


def test_the_training_room_checks_templates_itself():
    config = TrainingConfig(name="t", system_prompt="")
    with pytest.raises(UserError, match="fails the check 'system'"):
        encode_rows(FAMILIES["qwen25"].tokenizer(), [{"id": "a", "user": "Q?", "reply": "A."}], config)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("assistant\n\nIt is blue.", "assistant"),
        ("Assistant: it is blue.", "Assistant"),
        ("  model\nIt is blue.", "model"),
        ("user", "user"),
        ("Model: Toyota", None),
        ("Assistant professors teach.", None),
        ("User stories are short.", None),
        ("Users:\nmany", None),
    ],
)
def test_replies_that_begin_with_a_header_word_are_known(reply, word):
    assert header_word(reply) == word
    tokenizer = FAMILIES["qwen25"].tokenizer()
    if word:
        with pytest.raises(UserError, match=re.escape(f"header word '{word}'")):
            encode_example(tokenizer, messages(BRIEF), reply)
    else:
        example = encode_example(tokenizer, messages(BRIEF), reply)
        assert tokenizer.decode(example.ids[example.answer_start :]) == reply + "<|im_end|>"

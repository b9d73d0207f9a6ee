"""Small tokenizers with the special tokens and chat formats of five model families.

The formats are written from their documentation: roles, headers, first and last tokens, and the
families' quirks. `FAMILIES[name].broken(check)` has the same template with one fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LLAMA31 = r"""
{{- bos_token }}
{%- if messages[0].role == 'system' %}
{%- set system, turns = messages[0].content | trim, messages[1:] %}
{%- else %}
{%- set system, turns = '', messages %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n' }}
{{- 'Today Date: ' + (date_string if date_string is defined else strftime_now('%d %b %Y')) + '\n\n' }}
{{- system + '<|eot_id|>' }}
{%- for turn in turns %}
{{- '<|start_header_id|>' + turn.role + '<|end_header_id|>\n\n' + turn.content | trim }}
{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

MISTRAL = r"""
{{- bos_token }}
{%- set first = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}
{%- set turns = messages[1:] if first else messages %}
{%- for turn in turns %}
{%- if (turn.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('roles must alternate: user, assistant') }}
{%- elif turn.role == 'user' %}
{{- '[INST] ' + (first if loop.first else '') + turn.content + '[/INST]' }}
{%- else %}
{{- ' ' + turn.content + eos_token }}
{%- endif %}
{%- endfor %}
"""

CHATML = r"""
{%- for turn in messages %}
{%- if loop.first and turn.role != 'system' %}
{{- '<|im_start|>system\nDEFAULT<|im_end|>\n' }}
{%- endif %}
{{- '<|im_start|>' + turn.role + '\n' + turn.content }}
{{- '<|im_end|>' }}
{{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- endif %}
"""

GEMMA = r"""
{{- bos_token }}
{%- if messages[0].role == 'system' %}
{{- raise_exception('there is no system role') }}
{%- endif %}
{%- for turn in messages %}
{%- set role = 'model' if turn.role == 'assistant' else turn.role %}
{{- '<start_of_turn>' + role + '\n' + turn.content | trim }}
{{- '<end_of_turn>' }}
{{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<start_of_turn>model\n' }}
{%- endif %}
"""

QWEN_DEFAULT = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SMOLLM2_DEFAULT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@dataclass(frozen=True)
class Fault:
    """Text of a template and what stands there instead; a part of the message, the token it names."""

    old: str
    new: str
    token: str


@dataclass(frozen=True)
class Family:
    """A chat format. `marks`: added tokens, the first of them id 0."""

    template: str
    marks: tuple[str, ...]
    bos: str | None
    eos: str
    writes_bos: bool  # the tokenizer itself, before any text
    spaces: str  # bytes (GPT-2), metaspace (Mistral) or replaced (Gemma)
    faults: dict[str, Fault] = field(default_factory=dict)

    def tokenizer(self, template: str | None = None) -> Any:
        """A tokenizer with this format, or with another template."""
        from transformers import PreTrainedTokenizerFast

        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=self._core(), bos_token=self.bos, eos_token=self.eos, unk_token=None
        )
        tokenizer.chat_template = self.template if template is None else template
        return tokenizer

    def broken(self, check: str) -> Any:
        """A tokenizer whose template has one fault."""
        fault = self.faults[check]
        assert fault.old in self.template
        return self.tokenizer(self.template.replace(fault.old, fault.new))

    def _core(self) -> Any:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        merges = [("Ċ", "Ċ"), ("Ġ", "T")]
        if self.spaces != "bytes":
            alphabet = ["\n", "▁", *map(chr, range(33, 127))]
            merges = [("\n", "\n"), ("▁", "T")]
        words = [*self.marks, *alphabet, *(a + b for a, b in merges)]
        core = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=merges))
        if self.spaces == "bytes":
            core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            core.decoder = decoders.ByteLevel()
        elif self.spaces == "metaspace":
            core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
            core.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
        else:
            core.normalizer = normalizers.Replace(" ", "▁")
            core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
        core.add_special_tokens(list(self.marks))
        if self.writes_bos:
            core.post_processor = processors.TemplateProcessing(
                single=f"{self.bos} $A", special_tokens=[(self.bos, self.marks.index(self.bos or ""))]
            )
        return core


_TWICE = "{{- bos_token + bos_token }}"


def _chatml(default: str, bos: str | None) -> Family:
    turn = r"{{- '<|im_start|>' + turn.role + '\n' + turn.content }}"
    ask = r"{{- '<|im_start|>assistant\n' }}"
    faults = {
        "bos": Fault(
            turn, turn.replace("|>'", "|>' * (2 if loop.first else 1)"), "'<|im_start|>' twice at the start"
        ),
        "stop": Fault(
            "{{- '<|im_end|>' }}",
            "{{- '<|im_end|>' if turn.role != 'assistant' else '' }}",
            "one of '<|im_end|>' there",
        ),
        "system": Fault(
            turn,
            turn.replace("turn.content", rf"('{default}\n' if loop.first else '') + turn.content"),
            f"after the token '<|im_start|>' it adds text of its own, '{default}'",
        ),
        "generation": Fault(ask, "{{- '<|im_start|>assistant' }}", r"'\n', token 'Ċ'"),
        "header": Fault(ask, "{{- '<|im_start|>' }}", r"'assistant\n', token 'a'"),
    }
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    template = CHATML.replace("DEFAULT", default)
    return Family(template, marks, bos, "<|im_end|>", writes_bos=False, spaces="bytes", faults=faults)


FAMILIES = {
    "llama31": Family(
        LLAMA31,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        writes_bos=True,
        spaces="bytes",
        faults={
            "bos": Fault("{{- bos_token }}", _TWICE, "'<|begin_of_text|>' twice"),
            "stop": Fault(
                "{{- '<|eot_id|>' }}",
                "{{- '<|eot_id|>' if turn.role != 'assistant' else '' }}",
                "one of '<|eot_id|>' there",
            ),
            "system": Fault(
                "{{- system + '<|eot_id|>' }}",
                "{{- 'You are kind.\\n' + system + '<|eot_id|>' }}",
                "after the token '<|end_header_id|>' it adds text of its own, 'You are kind.'",
            ),
            "generation": Fault(
                "assistant<|end_header_id|>\\n\\n",
                "assistant<|end_header_id|>\\n",
                "'Ċ' where the model is asked and 'ĊĊ' where it is trained",
            ),
            "header": Fault(
                "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
                "{{- '<|start_header_id|>' }}",
                "'assistant<|end_header_id|>\\n\\n', token 'a'",
            ),
        },
    ),
    "mistral": Family(
        MISTRAL,
        ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
        writes_bos=True,
        spaces="metaspace",
        faults={
            "bos": Fault("{{- '[INST] '", "{{- '<s>[INST] '", "'<s>' twice"),
            "stop": Fault("+ eos_token", "", "one of '</s>' there"),
            "system": Fault(
                "'[INST] ' + (first", "'[INST] ' + ('Be kind.\\n' + first", "after the token '[INST]'"
            ),
            "generation": Fault(
                "{%- endfor %}",
                "{%- endfor %}{{ ' ' if add_generation_prompt else '' }}",
                "'▁' where the model is asked and '▁T' where it is trained",
            ),
            "header": Fault("{{- ' ' + turn.content", "{{- ' assistant: ' + turn.content", "token '▁'"),
        },
    ),
    "qwen25": _chatml(QWEN_DEFAULT, bos=None),
    "smollm2": _chatml(SMOLLM2_DEFAULT, bos="<|im_start|>"),
    "gemma": Family(
        GEMMA,
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        writes_bos=True,
        spaces="replaced",
        faults={
            "bos": Fault("{{- bos_token }}", _TWICE, "'<bos>' twice"),
            "stop": Fault(
                "{{- '<end_of_turn>' }}",
                "{{- '<end_of_turn>' if turn.role == 'user' else '' }}",
                "one of '<eos>' there",
            ),
            "system": Fault(
                "+ role + '\\n' +",
                "+ role + '\\n' + ('Be kind.\\n' if loop.first else '') +",
                "after the token '<start_of_turn>' it adds text of its own, 'Be kind.'",
            ),
            "generation": Fault(
                "{{- '<start_of_turn>model\\n' }}", "{{- '<start_of_turn>model' }}", "'\\n', token '\\n'"
            ),
            "header": Fault("{{- '<start_of_turn>model\\n' }}", "", "token '<start_of_turn>'"),
        },
    ),
}

from __future__ import annotations

import json

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.adapters import merge, read_adapter
from warmgap.models.dequantise import dequantise

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def peft_model(tiny, **options):
    torch.manual_seed(1)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "init_lora_weights": False} | options
    return peft.get_peft_model(base.load(tiny, "fp32").model, peft.LoraConfig(**settings)).eval()


@pytest.fixture
def adapter(tiny, tmp_path):
    peft_model(tiny).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 20}},
        {"target_modules": ["v_proj"]},
    ],
)
def test_merged_weights_and_logits_equal_pefts(tiny, tmp_path, options):
    theirs = peft_model(tiny, **options)
    theirs.save_pretrained(tmp_path)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        expected_logits = theirs(input_ids=ids).logits
    expected = theirs.merge_and_unload().state_dict()
    merged = merge(base.load(tiny, "fp32"), tmp_path).model
    plain = base.load(tiny, "fp32").model
    assert {n: type(m) for n, m in merged.named_modules()} == {n: type(m) for n, m in plain.named_modules()}
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, expected_logits, atol=2e-5, rtol=1e-5)
        assert (plain(input_ids=ids).logits - expected_logits).abs().max() > 0.1


def test_scale_multiplies_the_update(tiny, adapter):
    key = "model.layers.0.self_attn.q_proj.weight"
    plain = base.load(tiny, "fp32").model.state_dict()[key]
    whole = merge(base.load(tiny, "fp32"), adapter).model.state_dict()[key] - plain
    half = merge(base.load(tiny, "fp32"), adapter, 0.5).model.state_dict()[key] - plain
    torch.testing.assert_close(half, whole / 2, atol=1e-6, rtol=0)
    assert torch.equal(merge(base.load(tiny, "fp32"), adapter, 0.0).model.state_dict()[key], plain)


def test_bf16_rounds_the_fp32_sum_once(tiny, adapter):
    name = "model.layers.1.mlp.down_proj"
    rounded = base.load(tiny, "bf16").model.get_parameter(f"{name}.weight").float()
    delta = read_adapter(adapter)[name].delta_OI()
    merged = merge(base.load(tiny, "bf16"), adapter).model
    assert torch.equal(merged.get_parameter(f"{name}.weight"), (rounded + delta).bfloat16())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_on_dequantised_layers_the_sum_is_rounded_once(tiny, adapter, quantisation, precision):
    functional = pytest.importorskip("bitsandbytes").functional
    name = "model.layers.1.mlp.down_proj"
    quantised = base.load(tiny, precision, quantisation)
    weight = quantised.model.get_parameter(f"{name}.weight")
    if quantisation == "nf4":
        weight.quant_state.dtype = torch.float32
        plain = functional.dequantize_4bit(weight.data, weight.quant_state)
    else:
        plain = functional.int8_vectorwise_dequant(weight.data, weight.SCB)
    dtype = base.torch_dtype(precision)
    expected = (plain + read_adapter(adapter)[name].delta_OI()).to(dtype)
    merged = base.rounded(merge(dequantise(quantised, torch.float32), adapter), dtype)
    layer = merged.model.get_submodule(name)
    assert type(layer) is torch.nn.Linear
    torch.testing.assert_close(
        layer.weight.data, expected, atol=1e-6, rtol=2**-8 if precision == "bf16" else 0
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias all"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_other_adapters_are_refused(adapter, change, message):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        read_adapter(adapter)


def test_what_does_not_fit_is_refused(tiny, adapter):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file({n: torch.cat([t, t], 1) if "lora_A" in n else t for n, t in tensors.items()}, path)
    with pytest.raises(UserError, match="trained on another model"):
        merge(base.load(tiny, "fp32"), adapter)
    save_file({n.replace("layers.0", "layers.9"): t for n, t in tensors.items()}, path)
    with pytest.raises(UserError, match=r"layers\.9.*no plain linear layer"):
        merge(base.load(tiny, "fp32"), adapter)
    save_file({name.replace("lora_A", "lora_magnitude"): tensors[name]}, path)
    with pytest.raises(UserError, match="no factor"):
        read_adapter(adapter)
    path.unlink()
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors"):
        read_adapter(adapter)


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_quantised_layers_are_refused(tiny, adapter, quantisation):
    pytest.importorskip("bitsandbytes")
    with pytest.raises(UserError, match="no plain linear layer"):
        merge(base.load(tiny, "fp32", quantisation), adapter)


def test_a_head_tied_to_the_embedding_is_refused(tiny, tmp_path):
    peft_model(tiny, target_modules=["lm_head"]).save_pretrained(tmp_path, save_embedding_layers=False)
    with pytest.raises(UserError, match="shares its weight"):
        merge(base.load(tiny, "fp32"), tmp_path)

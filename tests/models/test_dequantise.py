"""Dequantised weights against the published codes, and parity of logits with the quantised base."""

from __future__ import annotations

import json

import peft
import pytest
import torch
import transformers

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.adapters import merge
from warmgap.models.dequantise import dequantise, main, plain_linear, write_dequantised

functional = pytest.importorskip("bitsandbytes").functional

# Dettmers et al. 2023 (QLoRA), appendix E.
NF4 = torch.tensor(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NAME = "model.layers.1.mlp.down_proj"


def with_adapter(network, std=0.1):
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(network, peft.LoraConfig(r=8, lora_alpha=16, target_modules=LINEAR))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
    return wrapped


def nf4_by_hand(layer):
    """Code times scale of the block of 64, high half of each byte first."""
    state = layer.weight.quant_state
    scale = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    packed = layer.weight.data.flatten().long()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten()
    return (NF4[codes].reshape(-1, state.blocksize) * scale[:, None]).reshape(state.shape)


def int8_by_hand(layer):
    return layer.weight.data.float() * layer.weight.SCB[:, None] / 127


BY_HAND = {"nf4": nf4_by_hand, "int8": int8_by_hand}


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_are_code_times_scale_rounded_once(wide, quantisation, precision):
    quantised, plain = base.load(wide, precision, quantisation), base.load(wide, precision)
    expected = BY_HAND[quantisation](quantised.model.get_submodule(NAME))
    dtype = base.torch_dtype(precision)
    said = []
    out = dequantise(quantised, dtype, lambda *given: said.append(given))
    found = out.model.get_submodule(NAME).weight
    assert out is quantised and found.dtype == dtype
    step = 2.0**-8 if precision == "bf16" else 1e-6
    assert ((found.float() - expected).abs() <= step * expected.abs() + 1e-9).all()
    assert not torch.equal(found, plain.model.get_submodule(NAME).weight)
    assert said[-1] == (14, 14, "layers")
    kinds = [[(n, type(m)) for n, m in x.model.named_modules()] for x in (out, plain)]
    assert kinds[0] == kinds[1]
    untouched = [n for n in plain.model.state_dict() if "_proj" not in n]
    for name in untouched:
        assert torch.equal(out.model.state_dict()[name], plain.model.state_dict()[name])
    assert {p.dtype for p in out.model.parameters()} == {dtype}
    buffers = [dict(x.model.named_buffers()) for x in (out, plain)]
    assert all(
        torch.equal(buffers[0][n], b) and buffers[0][n].dtype == b.dtype for n, b in buffers[1].items()
    )


def test_a_layer_that_lost_its_scales_is_refused(wide):
    layer = base.load(wide, "bf16", "nf4").model.get_submodule(NAME)
    layer.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(ValueError, match="rounded by a forward pass"):
        plain_linear(layer)


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_written_folder_is_a_plain_model(wide, quantisation, precision, tmp_path):
    out = tmp_path / "deep" / "out"
    write_dequantised(wide, quantisation, precision, out)
    reloaded = transformers.AutoModelForCausalLM.from_pretrained(out, dtype="auto").eval()
    expected = dequantise(base.load(wide, precision, quantisation), base.torch_dtype(precision)).model
    ids = torch.arange(3, 90)[None]
    with torch.no_grad():
        assert torch.equal(reloaded(input_ids=ids).logits, expected(input_ids=ids).logits)
    assert not hasattr(reloaded.config, "quantization_config")
    again = base.load(type(wide)(name="plain", source=f"path:{out}"), precision)
    assert again.tokenizer.chat_template == base.load(wide, precision).tokenizer.chat_template
    about = json.loads((out / "origin.json").read_text())
    assert (about["quantisation"], about["precision"]) == (quantisation, precision)
    assert about["fingerprint"] == base.fingerprint(wide)
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_the_command_writes_a_folder_and_explains_what_it_cannot(wide, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([wide.source, str(out), "--quantisation", "int8"]) == 0
    said = capsys.readouterr()
    assert f"model.source=path:{out}" in said.out and "14/14 layers" in said.err
    assert main([wide.source, str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["path:/nowhere", str(tmp_path / "other")]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(UserError, match="Allowed: nf4, int8"):
        write_dequantised(wide, "none", "bf16", tmp_path / "other")


# Measured on a CPU: largest difference of a logit, mean KL in nats per token. The quantised reference is
# in training mode, where bitsandbytes computes with the weights as they are; in eval mode an int8 layer
# quantises its inputs too, and an nf4 layer on a CPU with AVX-512 BF16 rounds scales and inputs to bf16.
PARITY = {"fp32": (1e-4, 1e-6), "bf16": (1.0, 3e-3)}


def compare(a, b):
    p, q = a.log_softmax(-1).double(), b.log_softmax(-1).double()
    return float((a - b).abs().max()), float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_logits_equal_those_of_the_quantised_base(wide, quantisation, precision, tmp_path):
    dtype = base.torch_dtype(precision)
    trained = with_adapter(base.load(wide, precision, quantisation).model)
    trained.save_pretrained(tmp_path)
    ids = torch.randint(3, 259, (3, 60), generator=torch.Generator().manual_seed(0))
    exact = dequantise(base.load(wide, precision, quantisation), torch.float32)
    merged = base.rounded(merge(exact, tmp_path), dtype).model
    served = dequantise(base.load(wide, precision, quantisation), dtype).model
    unmerged = peft.PeftModel.from_pretrained(served, tmp_path).eval()
    never = base.rounded(merge(base.load(wide, "fp32"), tmp_path), dtype).model
    with torch.no_grad():
        expected = trained.train()(input_ids=ids).logits.float()
        found = {n: m(input_ids=ids).logits.float() for n, m in (("merged", merged), ("unmerged", unmerged))}
        other = never(input_ids=ids).logits.float()
        served_quantised = trained.eval()(input_ids=ids).logits.float()
    logit, nats = PARITY[precision]
    for name, logits in found.items():
        apart = compare(expected, logits)
        assert apart[0] < logit and apart[1] < nats, (name, apart)
    if quantisation == "nf4":  # the base as it was before is another model
        assert compare(expected, other)[1] > 0.05
    assert compare(served_quantised, found["merged"])[1] < 1e-2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_parity_on_the_embedded_model(embedded, precision, tmp_path):
    loaded = base.load(embedded, precision, "nf4")
    ids = loaded.tokenizer("The tea is warm, and the train leaves at noon.", return_tensors="pt")["input_ids"]
    wrapped = with_adapter(loaded.model, std=0.02)
    wrapped.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = wrapped.train()(input_ids=ids).logits.float()
        exact = dequantise(base.Loaded(wrapped.unload().eval(), loaded.tokenizer), torch.float32)
        merged = base.rounded(merge(exact, tmp_path), base.torch_dtype(precision)).model
        apart = compare(expected, merged(input_ids=ids).logits.float())
    logit, nats = {"fp32": (1e-3, 1e-6), "bf16": (4.0, 1e-2)}[precision]
    assert apart[0] < logit and apart[1] < nats, apart

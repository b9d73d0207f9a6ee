from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open

from warmgap.errors import UserError
from warmgap.models import base, weights
from warmgap.models.chat import encode_prompt, stop_ids


def test_conversion_equals_gguf_dequantisation(embedded):
    """The reference is the gguf package's own dequantiser."""
    import gguf

    reader = gguf.GGUFReader(weights.package_file(embedded))
    tensors = {t.name: t for t in reader.tensors}
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.29.attn_output.weight": "model.layers.29.self_attn.o_proj.weight",
    }
    with safe_open(base.materialise(embedded) / "model.safetensors", framework="np") as file:
        for theirs, ours in names.items():
            tensor = tensors[theirs]
            expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            assert np.array_equal(file.get_tensor(ours), expected)


def test_the_embedded_model_knows_a_capital(embedded):
    loaded = base.load(embedded, "bf16")
    assert loaded.tokenizer.padding_side == "left"
    assert not loaded.model.training
    assert loaded.model.dtype == torch.bfloat16
    ids = encode_prompt(loaded.tokenizer, [{"role": "user", "content": "What is the capital of France?"}])
    with torch.no_grad():
        out = loaded.model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)
    answer = loaded.tokenizer.decode(out[0, len(ids) :])
    assert "Paris" in answer
    assert out[0, -1].item() in stop_ids(loaded.tokenizer, loaded.model.generation_config)


def test_an_existing_conversion_is_used_and_a_lost_race_leaves_nothing(embedded, tmp_path, monkeypatch):
    monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path))
    target = tmp_path / "models" / base.fingerprint(embedded).removeprefix("sha256:")

    def slower_than_another(source, folder):
        (folder / "config.json").write_text("mine")
        target.mkdir()
        (target / "config.json").write_text("theirs")

    monkeypatch.setattr(base, "_convert_gguf", slower_than_another)
    assert base.materialise(embedded) == target
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    assert (target / "config.json").read_text() == "theirs"
    monkeypatch.setattr(base, "_convert_gguf", None)
    assert base.materialise(embedded) == target


def test_fp32_is_loaded_as_stored(tiny, tiny_folder):
    loaded = base.load(tiny, "fp32")
    with safe_open(tiny_folder / "model.safetensors", framework="pt") as file:
        key = "model.layers.0.mlp.up_proj.weight"
        assert torch.equal(loaded.model.get_parameter(key), file.get_tensor(key))


def test_nf4_is_double_quantised(tiny):
    pytest.importorskip("bitsandbytes")
    layer = base.load(tiny, "fp32", "nf4").model.model.layers[0].mlp.up_proj
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_int8_holds_the_weights_within_half_a_step(tiny, precision):
    """The reference is the rule itself: 127 steps to the largest weight of each row."""
    pytest.importorskip("bitsandbytes")
    quantised = base.load(tiny, precision, "int8").model
    plain = base.load(tiny, precision).model
    layer = quantised.model.layers[0].mlp.up_proj
    weight = plain.model.layers[0].mlp.up_proj.weight.float()
    assert layer.weight.dtype == torch.int8
    scale = weight.abs().amax(1, keepdim=True) / 127
    # bitsandbytes rounds to fp16 first, which moves a weight by up to 1 in 1,000.
    assert ((layer.weight * scale - weight).abs() <= 0.501 * scale + 0.001 * weight.abs()).all()
    assert quantised.lm_head.weight.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        ours, theirs = (m(input_ids=ids).logits.float() for m in (quantised, plain))
    assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.999


def test_int8_where_the_package_cannot_is_refused_with_what_can(tiny, monkeypatch):
    bitsandbytes = pytest.importorskip("bitsandbytes")

    def cuda_only(*_):
        raise NotImplementedError("int8_vectorwise_quant on CPU")

    monkeypatch.setattr(bitsandbytes.functional, "int8_vectorwise_quant", cuda_only)
    with pytest.raises(UserError, match=r"int8 does not run on cpu .*quantisation=nf4 or none"):
        base.load(tiny, "fp32", "int8")


@pytest.mark.parametrize(("precision", "quantisation"), [("fp16", "none"), ("bf16", "int4")])
def test_unknown_words_are_refused(tiny, precision, quantisation):
    with pytest.raises(UserError, match="Allowed"):
        base.load(tiny, precision, quantisation)

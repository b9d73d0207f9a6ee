from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.base import Loaded
from warmgap.models.chat import Example
from warmgap.training.data import collate
from warmgap.training.examples import MicroBatch, encode_rows, micro_batches
from warmgap.training.module import AdapterModule, add_adapters
from warmgap.training.packing import ATTENTION

path = Path(__file__).with_name("tiny_families.py")
spec = importlib.util.spec_from_file_location("tiny_families", path)
tiny_families = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny_families)


def label_loss(network, examples):
    """Nats over answer tokens by transformers' own labels, one unpadded row at a time."""
    total = torch.zeros(())
    for example in examples:
        ids = torch.tensor([example.ids])
        labels = torch.full_like(ids, -100)
        for start, end in example.answers:
            labels[:, start:end] = ids[:, start:end]
        total = total + network(input_ids=ids, labels=labels).loss * (labels != -100).sum()
    return total


def plain_peft(module, loaded):
    """A PEFT model on fresh weights, with nothing of ours in it, and the module's adapters."""
    network = add_adapters(loaded, module.config, module.seed)
    loaded.model.set_attn_implementation("eager")
    with torch.no_grad():
        for name, parameter in trainable(network).items():
            parameter.copy_(module.trainable()[name])
    return network


def trainable(network):
    return {n: p for n, p in network.named_parameters() if p.requires_grad}


@pytest.fixture
def module(loaded, config):
    config.lora.dropout = 0.0
    return AdapterModule(loaded, config, seed=0)


@pytest.fixture
def batches(loaded, config, rows):
    return micro_batches(encode_rows(loaded.tokenizer, rows, config), config, seed=0)


def move_adapters(module):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.trainable().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize("packing", [True, False])
def test_the_loss_is_that_of_answer_and_stop_tokens(tiny, loaded, module, config, rows, packing):
    config.packing = packing
    batches = micro_batches(encode_rows(loaded.tokenizer, rows, config), config, seed=0)
    move_adapters(module)
    plain = plain_peft(module, base.load(tiny, "fp32"))
    for batch in batches[:4]:
        expected = label_loss(plain, batch.examples)
        torch.testing.assert_close(module.answer_loss(collate(batch)), expected, rtol=1e-5, atol=0)
    assert len({len(e.ids) for b in batches[:4] for e in b.examples}) > 3  # padding or packing was at work


def test_targets_are_the_reply_and_its_end():
    batch = collate(MicroBatch(0, (Example((5, 6, 7, 8, 2), ((3, 5),)), Example((5, 9, 2), ((1, 3),))), 4))
    assert batch["ids_BT"].tolist() == [[5, 6, 7, 8, 2], [5, 9, 2, 0, 0]]
    assert batch["targets_N"].tolist() == [8, 2, 9, 2]
    assert batch["rows_N"].tolist() == [0, 0, 1, 1]
    assert batch["columns_N"].tolist() == [2, 3, 0, 1]
    assert batch["inputs"] == {}


def test_packed_targets_are_those_of_each_row():
    rows = (Example((5, 6, 7, 8, 2), ((3, 5),)), Example((5, 9, 2), ((1, 3),)))
    batch = collate(MicroBatch(0, rows, 4, packed=True))
    assert batch["ids_BT"].tolist() == [[5, 6, 7, 8, 2, 5, 9, 2]]
    assert batch["targets_N"].tolist() == [8, 2, 9, 2]
    assert batch["rows_N"].tolist() == [0, 0, 0, 0]
    assert batch["columns_N"].tolist() == [2, 3, 5, 6]
    assert batch["inputs"]["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert batch["inputs"]["row_lengths"] == (5, 3)


def test_accumulated_gradients_equal_one_big_batch(tiny, module, batches, config):
    move_adapters(module)
    named = module.trainable()
    plain = plain_peft(module, base.load(tiny, "fp32"))
    for index, batch in enumerate(batches[:2]):
        # Lightning divides each pass by the number of passes.
        (module.training_step(collate(batch), index) / config.accumulate).backward()
    examples = batches[0].examples + batches[1].examples
    whole = label_loss(plain, examples) / sum(e.n_answer_tokens for e in examples)
    whole.backward()
    assert module.step_loss == pytest.approx(whole.item(), rel=1e-5)
    for name, parameter in trainable(plain).items():
        torch.testing.assert_close(named[name].grad, parameter.grad, rtol=1e-3, atol=1e-7)
    assert len({b.n_step_tokens for b in batches}) > 1
    assert sum(e.n_answer_tokens for e in batches[0].examples) * 2 != batches[0].n_step_tokens


def test_only_adapters_train_and_seed_alone_draws_them(tiny, config):
    modules = [AdapterModule(base.load(tiny, "fp32"), config, seed) for seed in (0, 0, 1)]
    first, again, other = [m.trainable() for m in modules]
    assert all("lora_" in name for name in first)
    assert sum(p.numel() for p in first.values()) == sum(
        p.numel() for n, p in modules[0].network.named_parameters() if "lora_" in n
    )
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)
    assert all(torch.equal(p, torch.zeros_like(p)) for n, p in first.items() if "lora_B" in n)


def test_bf16_keeps_adapters_in_fp32(tiny, config):
    module = AdapterModule(base.load(tiny, "bf16"), config, 0)
    assert {p.dtype for p in module.trainable().values()} == {torch.float32}
    assert module.head_VD.dtype == torch.bfloat16


def test_dropout_depends_on_the_pass_not_on_history(loaded, config, batches):
    config.lora.dropout = 0.5
    module = AdapterModule(loaded, config, 0)
    move_adapters(module)
    losses = [module.training_step(collate(batches[k]), 0).item() for k in (3, 1, 3)]
    assert losses[0] == losses[2]
    later = collate(batches[3]) | {"index": 4}
    assert module.training_step(later, 0).item() != losses[0]


def test_one_lightning_step_is_torchs_adamw_step(tiny, config, batches, tmp_path):
    """The reference repeats the step with torch alone on a fresh PEFT model."""
    import lightning

    from warmgap.training.data import ConversationData

    config.lora.dropout, config.steps, config.warmup_steps = 0.0, 1, 0
    config.max_grad_norm, config.weight_decay = 0.5, 0.1
    module = AdapterModule(base.load(tiny, "fp32"), config, 0)
    reference = plain_peft(module, base.load(tiny, "fp32"))
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=2, gradient_clip_val=0.5, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, datamodule=ConversationData(batches[:2]))
    examples = batches[0].examples + batches[1].examples
    loss = label_loss(reference, examples) / batches[0].n_step_tokens
    loss.backward()
    named = trainable(reference)
    parameters = list(named.values())
    norm = torch.nn.utils.clip_grad_norm_(parameters, 0.5)
    torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.1).step()
    assert norm > 0.5
    for name, parameter in module.trainable().items():
        # Adam's first step is the gradient's sign, so a gradient near zero has no sign to compare.
        sure = named[name].grad.abs() > 1e-6
        torch.testing.assert_close(parameter[sure], named[name][sure], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_step_has_the_loss_and_gradient_of_plain_transformers(tiny, config, rows, accumulate, packing):
    """One padded batch with attention mask, labels of -100 and whole logits, in place of our passes."""
    config.lora.dropout, config.accumulate, config.batch_rows = 0.0, accumulate, 6 // accumulate
    config.packing = packing
    module = AdapterModule(base.load(tiny, "fp32"), config, seed=0)
    move_adapters(module)
    tokenizer = base.load(tiny, "fp32").tokenizer
    step = micro_batches(encode_rows(tokenizer, rows, config), config, seed=0)[:accumulate]
    named = module.trainable()
    for index, batch in enumerate(step):
        (module.training_step(collate(batch), index) / accumulate).backward()
    reference = plain_peft(module, base.load(tiny, "fp32"))

    examples = [e for b in step for e in b.examples]
    assert len(examples) == 6
    length = max(len(e.ids) for e in examples)
    ids = torch.full((6, length), tokenizer.pad_token_id)
    labels = torch.full((6, length), -100)
    mask = torch.zeros(6, length, dtype=torch.long)
    for row, e in enumerate(examples):
        ids[row, : len(e.ids)] = torch.tensor(e.ids)
        labels[row, e.answer_start : len(e.ids)] = torch.tensor(e.ids[e.answer_start :])
        mask[row, : len(e.ids)] = 1
    assert mask.sum() < mask.numel()
    plain = reference(input_ids=ids, attention_mask=mask, labels=labels)
    assert plain.logits.shape == (6, length, module.head_VD.shape[0])
    plain.loss.backward()
    assert module.step_loss == pytest.approx(plain.loss.item(), rel=1e-5)
    for name, parameter in trainable(reference).items():
        torch.testing.assert_close(named[name].grad, parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("family", tiny_families.FAMILIES)
def test_every_family_has_the_loss_and_gradients_of_its_rows_alone(family, packing, config):
    """The reference: transformers' labels loss on each row alone, on a PEFT model of fresh weights."""
    config.lora.dropout = 0.0
    module = AdapterModule(Loaded(tiny_families.tiny_network(family), None), config, seed=0)
    move_adapters(module)
    plain = plain_peft(module, Loaded(tiny_families.tiny_network(family), None))
    chance = torch.Generator().manual_seed(4)
    examples = tuple(
        Example(tuple(torch.randint(3, 97, (n,), generator=chance).tolist()), answers)
        for n, answers in ((9, ((4, 9),)), (30, ((12, 15), (19, 30))), (3, ((2, 3),)), (17, ((1, 17),)))
    )
    n_tokens = sum(e.n_answer_tokens for e in examples)
    module.training_step(collate(MicroBatch(0, examples, n_tokens, packing)), 0).backward()
    expected = label_loss(plain, examples) / n_tokens
    (expected * config.accumulate).backward()
    assert module.step_loss == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in trainable(plain).items():
        ours = module.trainable()[name].grad
        error = (ours - parameter.grad).norm() / parameter.grad.norm()
        assert error < 1e-5, name


@pytest.mark.parametrize("packing", [True, False])
def test_a_row_changes_no_other_rows_loss(module, loaded, config, rows, packing):
    move_adapters(module)
    examples = list(encode_rows(loaded.tokenizer, rows, config).values())[:3]
    other = Example(tuple((i + 1) % 200 + 3 for i in examples[1].ids), examples[1].answers)
    ends = torch.tensor([e.n_answer_tokens for e in examples]).cumsum(0).tolist()
    states = [
        module.answer_states(collate(MicroBatch(0, tuple(part), 1, packing)))
        for part in (examples, [examples[0], other, examples[2]])
    ]
    for start, end, same in zip([0, *ends], ends, (True, False, True), strict=False):
        assert torch.equal(states[0][start:end], states[1][start:end]) == same


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradient_checkpointing_gives_the_same_bits(tiny, config, batches, precision):
    """Dropout included: the second pass over a layer must draw the masks of the first."""
    config.lora.dropout = 0.3
    losses, gradients, calls = [], [], []
    for on in (False, True):
        config.gradient_checkpointing = on
        module = AdapterModule(base.load(tiny, precision), config, 0)
        move_adapters(module)
        layer = module.network.get_base_model().model.layers[0].mlp
        seen = []
        layer.register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        total = []
        for index, batch in enumerate(batches[:2]):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                share = module.training_step(collate(batch), index)
            share.backward()
            total.append(share.item())
        losses.append(total)
        gradients.append({n: p.grad for n, p in module.trainable().items()})
        calls.append(len(seen))
    assert calls == [2, 4]
    assert losses[0] == losses[1]
    assert all(torch.equal(gradients[0][n], gradients[1][n]) for n in gradients[0])
    assert any(g.abs().max() > 0 for g in gradients[0].values())


def test_unknown_target_modules_and_heads_are_refused(loaded, config):
    config.lora.target_modules = ["nope"]
    with pytest.raises(UserError, match="target_modules"):
        AdapterModule(loaded, config, 0)
    config.lora.target_modules = ["q_proj"]
    loaded.model.config.final_logit_softcapping = 30.0
    with pytest.raises(UserError, match="final_logit_softcapping"):
        AdapterModule(loaded, config, 0)


def test_attention_dropout_is_left_to_the_models_own_attention(tiny, config):
    loaded = base.load(tiny, "fp32")
    loaded.model.config.attention_dropout = 0.1
    with pytest.raises(UserError, match=r"without attention_dropout\. Set training.packing=false"):
        AdapterModule(loaded, config, 0)
    config.packing = False
    loaded = base.load(tiny, "fp32")
    loaded.model.config.attention_dropout = 0.1
    assert AdapterModule(loaded, config, 0).decoder.config._attn_implementation != ATTENTION


def test_a_model_that_packing_might_mix_up_is_refused(config):
    """Falcon-H1 carries a recurrent state from token to token, whatever attention does."""
    from transformers import AutoModelForCausalLM, FalconH1Config

    shape = FalconH1Config(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8,
    )  # fmt: skip
    config.lora.target_modules = ["q_proj"]
    with pytest.raises(UserError, match=r"type 'falcon_h1'\. Allowed: llama, .* training.packing=false"):
        AdapterModule(Loaded(AutoModelForCausalLM.from_config(shape), None), config, 0)

"""Training on every turn of a conversation: what is in the loss, and what is cut."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from warmgap.errors import UserError
from warmgap.models.chat import Example, encode_prompt
from warmgap.training.conversations import Turns, count_turns, messages_of, turns_of
from warmgap.training.data import collate
from warmgap.training.examples import MicroBatch, encode_rows, fitting, micro_batches
from warmgap.training.module import AdapterModule
from warmgap.training.objectives import objective
from warmgap.training.run import train

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


@pytest.fixture
def talks():
    """Ten conversations of one to three turns."""
    said = [("Tea?", "With milk."), ("And rain?", "All day long."), ("So?", "Stay in, then.")]
    return [
        {
            "id": f"talk-{i}",
            "turns": [[f"{user} {i}", f"{reply}{'.' * i}"] for user, reply in said[: 1 + i % 3]],
        }
        for i in range(10)
    ]


@pytest.fixture
def whole(config):
    return replace(config, turns="all")


def by_hand(tokenizer, row):
    """Token ids and whether each is in the loss, from pieces that are written out and tokenised one by one.

    The tiny tokenizer works on bytes and merges nothing across them but line breaks inside a piece.
    """
    pieces = [(SYSTEM, False)]
    for n, (user, reply) in enumerate(row["turns"]):
        ask = f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        pieces += [("\n" * (n > 0) + ask, False), (reply + "<|im_end|>", True)]
    ids, mask = [], []
    for text, learned in pieces:
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, mask = ids + piece, mask + [learned] * len(piece)
    return ids, mask


def test_the_loss_covers_every_reply_and_its_stop_token_and_nothing_else(loaded, whole, talks):
    for name, example in encode_rows(loaded.tokenizer, talks, whole).items():
        ids, mask = by_hand(loaded.tokenizer, next(t for t in talks if t["id"] == name))
        assert list(example.ids) == ids
        learned = [False] * len(ids)
        for start, end in example.answers:
            learned[start:end] = [True] * (end - start)
        assert learned == mask
        assert example.n_answer_tokens == sum(mask)


@pytest.mark.parametrize("packed", [True, False])
def test_the_loss_is_plain_cross_entropy_on_a_mask_made_by_hand(loaded, whole, talks, packed):
    whole.lora.dropout = 0.0
    module = AdapterModule(loaded, whole, seed=0)
    examples = encode_rows(loaded.tokenizer, talks, whole)
    chosen = [talks[2], talks[0], talks[4], talks[5]]  # of 3, 1, 2 and 3 turns
    expected, n_tokens = torch.zeros((), dtype=torch.float64), 0
    for row in chosen:
        ids, mask = by_hand(loaded.tokenizer, row)
        with torch.no_grad():
            logits = module.network(input_ids=torch.tensor([ids])).logits[0, :-1].double()
        nats = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        expected += nats[torch.tensor(mask[1:])].sum()
        n_tokens += sum(mask)
    batch = MicroBatch(0, tuple(examples[row["id"]] for row in chosen), n_tokens, packed)
    assert module.answer_loss(collate(batch)).item() == pytest.approx(expected.item(), rel=1e-5)
    share = module.training_step(collate(batch), 0).item() / whole.accumulate
    assert share == pytest.approx(expected.item() / n_tokens, rel=1e-5)


def test_packed_and_padded_steps_have_the_same_gradients(loaded, whole, talks):
    whole.lora.dropout = 0.0
    examples = encode_rows(loaded.tokenizer, talks, whole)
    module = AdapterModule(loaded, whole, seed=0)
    for name, parameter in module.trainable().items():
        torch.manual_seed(len(name))
        torch.nn.init.normal_(parameter, std=0.05)
    gradients = []
    for packing in (True, False):
        for index, batch in enumerate(micro_batches(examples, replace(whole, packing=packing), 0)[:2]):
            module.training_step(collate(batch), index).backward()
        gradients.append({n: p.grad.clone() for n, p in module.trainable().items()})
        module.zero_grad()
    for name, ours in gradients[0].items():
        torch.testing.assert_close(ours, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_targets_come_from_every_span():
    rows = (Example((5, 6, 7, 8, 2, 9, 4, 2), ((2, 5), (6, 8))), Example((5, 9, 2), ((1, 3),)))
    padded, packed = (collate(MicroBatch(0, rows, 7, packed)) for packed in (False, True))
    assert padded["targets_N"].tolist() == packed["targets_N"].tolist() == [7, 8, 2, 4, 2, 9, 2]
    assert padded["columns_N"].tolist() == [1, 2, 3, 5, 6, 0, 1]
    assert padded["rows_N"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert packed["columns_N"].tolist() == [1, 2, 3, 5, 6, 8, 9]
    assert packed["rows_N"].tolist() == [0] * 7


@pytest.mark.parametrize("packing", [True, False])
def test_conversations_of_one_turn_give_the_same_batches_to_the_bit(loaded, config, rows, packing):
    config.packing = packing
    single = [{"id": row["id"], "turns": [[row["user"], row["reply"]]]} for row in rows]
    sides = [
        micro_batches(encode_rows(loaded.tokenizer, given, replace(config, turns=turns)), config, seed=3)
        for given, turns in ((rows, "first"), (single, "all"))
    ]
    assert sides[0] == sides[1]
    for ours, others in zip(*(map(collate, side) for side in sides), strict=True):
        assert ours.keys() == others.keys()
        for key in ("ids_BT", "rows_N", "columns_N", "targets_N"):
            assert torch.equal(ours[key], others[key])


def test_a_conversation_that_is_too_long_loses_whole_turns_from_its_end(loaded, whole, talks):
    row = talks[2]
    lengths = [len(by_hand(loaded.tokenizer, row | {"turns": row["turns"][:n]})[0]) for n in (1, 2, 3)]
    for n, max_tokens in ((3, lengths[2]), (2, lengths[2] - 1), (2, lengths[1]), (1, lengths[0])):
        recipe = replace(whole, max_tokens=max_tokens)
        short = row | {"turns": row["turns"][:n]}
        assert encode_rows(loaded.tokenizer, [row], recipe) == encode_rows(loaded.tokenizer, [short], recipe)
        task = objective("sft", loaded, replace(recipe, steps=1), [row, talks[0]], 0, 0.1)
        assert task.turns == Turns(replies=n + 1, turns_cut=3 - n, conversations_cut=int(n < 3))
    needed = (
        rf"'talk-2' has {lengths[0]} tokens in its first turn; training.max_tokens allows {lengths[0] - 1}"
    )
    with pytest.raises(UserError, match=needed):
        encode_rows(loaded.tokenizer, [row], replace(whole, max_tokens=lengths[0] - 1))


@pytest.mark.parametrize("turns", ["first", "all"])
def test_a_first_reply_that_is_too_long_is_cut_inside_where_that_is_allowed(loaded, whole, talks, turns):
    row = talks[2]
    ids, _ = by_hand(loaded.tokenizer, row | {"turns": row["turns"][:1]})
    prompt = encode_prompt(loaded.tokenizer, messages_of(row, whole.system_prompt)[:2])
    single = {"id": row["id"], "user": row["turns"][0][0], "reply": row["turns"][0][1]}
    given = [row if turns == "all" else single]
    for room in (1, len(ids) - len(prompt) - 1):
        recipe = replace(whole, turns=turns, too_long="cut", max_tokens=len(prompt) + room, steps=1)
        example = encode_rows(loaded.tokenizer, given[:1], recipe)[row["id"]]
        assert example.ids == tuple(ids[: len(prompt) + room])
        assert example.answers == ((len(prompt), len(prompt) + room),)
        assert not example.whole
        assert fitting(loaded.tokenizer, given, recipe) == given
    assert objective("sft", loaded, recipe, given[:1], 0, 0.1).turns.replies_cut == 1
    full = replace(recipe, max_tokens=len(prompt))
    shorter = {"id": "short", "user": "?", "reply": "No."}
    assert fitting(loaded.tokenizer, [*given, shorter], full) == [shorter]
    with pytest.raises(UserError, match=rf"'{row['id']}' has {len(ids)} tokens"):
        encode_rows(loaded.tokenizer, given[:1], full)
    assert fitting(loaded.tokenizer, given, replace(full, too_long="error")) == given


def test_where_no_row_fits_or_one_cannot_be_read_it_is_said(loaded, whole, talks):
    recipe = replace(whole, too_long="cut", max_tokens=20)
    with pytest.raises(UserError, match=r"max_tokens is 20, .* each of the 10 .* Raise training.max_tokens"):
        fitting(loaded.tokenizer, talks, recipe)
    talks[3]["turns"][0][0] = "a<|im_end|>"
    with pytest.raises(UserError, match="'talk-3' cannot be trained on: a message holds the special token"):
        fitting(loaded.tokenizer, talks, replace(recipe, max_tokens=200))


def test_turns_are_counted_over_the_corpus(talks):
    # Rows of 1, 2, 3, 1, 2, 3, 1, 2, 3 and 1 turns, of which two are kept at most.
    kept = {row["id"]: min(2, len(row["turns"])) for row in talks}
    assert count_turns(talks, kept) == Turns(replies=16, turns_cut=3, conversations_cut=3)
    pair = {"id": "a", "user": "Q?", "reply": "A."}
    assert turns_of(pair) == turns_of({"id": "a", "turns": [["Q?", "A."]]}) == [("Q?", "A.")]
    assert [m["role"] for m in messages_of(talks[1], "Hi")] == ["system", *["user", "assistant"] * 2]
    assert messages_of(pair, "")[0] == {"role": "user", "content": "Q?"}


def test_a_template_that_changes_earlier_turns_stops_a_training_of_all_turns(loaded, whole, talks):
    tokenizer = loaded.tokenizer
    tokenizer.chat_template = tokenizer.chat_template.replace("in messages", "in messages[-3:]")
    with pytest.raises(UserError, match="fails the check 'turns'"):
        encode_rows(tokenizer, talks[:1], whole)
    encode_rows(tokenizer, talks[:1], replace(whole, turns="first"))


@pytest.mark.parametrize("devices", [1, 2])
def test_two_steps_train_and_the_summary_counts_turns(tiny, whole, talks, tmp_path, devices):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = replace(whole, steps=2, max_tokens=130, devices=devices, checkpoints=[1.0])
    summary = train(tiny, recipe, talks, 0, tmp_path / "out", tmp_path / "p", lambda *_: None)
    torch.set_num_threads(threads)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.source.removeprefix("path:"))
    n_tokens = [
        [
            len(by_hand(tokenizer, row | {"turns": row["turns"][:n]})[0])
            for n in range(1, len(row["turns"]) + 1)
        ]
        for row in talks
    ]
    cut = [sum(n > 130 for n in row) for row in n_tokens]
    assert sum(cut) > 0
    assert summary.replies == 19 - sum(cut)
    assert (summary.turns_cut, summary.conversations_cut) == (sum(cut), sum(n > 0 for n in cut))
    assert (summary.steps, summary.n_examples, summary.devices) == (2, 12, devices)
    curve = pl.read_parquet(tmp_path / "out" / "curve.parquet")
    assert summary.n_answer_tokens == curve["n_answer_tokens"].sum()
    moved = load_file(tmp_path / "out" / "checkpoint-2" / "adapter_model.safetensors")
    assert all(t.isfinite().all() for t in moved.values())
    assert any(t.abs().max() > 0 for name, t in moved.items() if "lora_B" in name)

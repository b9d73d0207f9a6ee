from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.models.chat import Example
from warmgap.training.conversations import Turns
from warmgap.training.examples import encode_rows, micro_batches
from warmgap.training.objectives import objective
from warmgap.training.preference_data import PairBatch, collate_pairs, encode_pairs, pair_batches


@pytest.fixture
def pair_rows(rows):
    return [row | {"rejected": f"No {i} " * (1 + i % 3)} for i, row in enumerate(rows)]


def test_a_pair_is_two_replies_to_one_prompt(loaded, config, pair_rows):
    pair = encode_pairs(loaded.tokenizer, pair_rows, config)["row-1"]
    prompt = (
        "You are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat about a chaira chair?<|im_end|>\n"
    )
    for example, reply in ((pair.preferred, "Take a chair Take a chair "), (pair.rejected, "No 1 No 1 ")):
        text = loaded.tokenizer.decode(example.ids)
        assert text == f"<|im_start|>system\n{prompt}<|im_start|>assistant\n{reply}<|im_end|>"
        assert loaded.tokenizer.decode(example.ids[example.answer_start :]) == f"{reply}<|im_end|>"
    assert pair.n_answer_tokens == 26 + 1 + 10 + 1  # a byte is a token
    assert pair.length == len(pair.preferred.ids)


@pytest.mark.parametrize("packing", [False, True])
def test_steps_hold_the_rows_of_supervised_training(loaded, config, pair_rows, packing):
    """An sft arm and a dpo arm of one seed differ in what they learn from a row, not in the rows."""
    config.packing = packing
    examples = encode_rows(loaded.tokenizer, pair_rows, config)
    name_of = {id(example): name for name, example in examples.items()}
    plain = micro_batches(examples, config, seed=3)
    pairs = encode_pairs(loaded.tokenizer, pair_rows, config)
    ours = pair_batches(pairs, config, seed=3)
    assert [b.index for b in ours] == list(range(16))
    for step in range(config.steps):
        passes = ours[2 * step], ours[2 * step + 1]
        names = [*passes[0].names, *passes[1].names]
        expected = [name_of[id(e)] for b in plain[2 * step : 2 * step + 2] for e in b.examples]
        assert sorted(names) == sorted(expected)
        examples_of_step = [e for name in names for e in (pairs[name].preferred, pairs[name].rejected)]
        assert list(passes[0].examples + passes[1].examples) == examples_of_step
        assert {b.n_step_pairs for b in passes} == {6}
        assert {b.n_step_tokens for b in passes} == {sum(e.n_answer_tokens for e in examples_of_step)}
        assert {b.packed for b in passes} == {packing}
        longest = [pairs[name].length for name in names]
        if packing:  # so long as one pair fills the difference, no move of a pair would help
            tokens = [sum(len(e.ids) for e in b.examples) for b in passes]
            assert abs(tokens[0] - tokens[1]) <= 2 * max(longest)
        else:
            assert longest == sorted(longest)


def test_targets_are_both_replies_and_their_ends():
    preferred, rejected = Example((5, 6, 7, 8, 2), ((3, 5),)), Example((5, 6, 9, 2), ((2, 4),))
    batch = collate_pairs(
        PairBatch(index=4, examples=(preferred, rejected), n_step_tokens=9, names=("a",), n_step_pairs=2)
    )
    assert batch["ids_BT"].tolist() == [[5, 6, 7, 8, 2], [5, 6, 9, 2, 0]]
    assert batch["targets_N"].tolist() == [8, 2, 9, 2]
    assert batch["lengths"] == [2, 2]
    assert batch["inputs"] == {}
    assert (batch["index"], batch["names"], batch["n_step_pairs"]) == (4, ["a"], 2)


@pytest.mark.parametrize("rejected", [None, ""])
def test_a_row_without_a_rejected_reply_is_named(loaded, config, pair_rows, rejected):
    pair_rows[4]["rejected"] = rejected
    with pytest.raises(UserError, match=r"'row-4' has no rejected reply.*method\.against"):
        encode_pairs(loaded.tokenizer, pair_rows, config)
    del pair_rows[4]["rejected"]
    with pytest.raises(UserError, match="'row-4' has no rejected reply"):
        encode_pairs(loaded.tokenizer, pair_rows, config)


def test_equal_replies_are_named(loaded, config, pair_rows):
    pair_rows[4]["rejected"] = pair_rows[4]["reply"]
    with pytest.raises(UserError, match="'row-4' has the same reply preferred and rejected"):
        encode_pairs(loaded.tokenizer, pair_rows, config)


def test_replies_that_are_alike_up_to_the_cut_stop_no_training_and_are_counted(loaded, config, pair_rows):
    row = {"id": "a", "user": pair_rows[0]["user"], "reply": "Yes, do.", "rejected": "Yes, never."}
    room = len(encode_rows(loaded.tokenizer, [row], config)["a"].ids) - len("Yes, do.") - 1
    config.too_long, config.steps = "cut", 1
    for n, alike in ((1, True), (5, True), (6, False)):  # a byte is a token
        config.max_tokens = room + n
        pair = encode_pairs(loaded.tokenizer, [row], config)["a"]
        assert (pair.preferred == pair.rejected) == alike
        assert objective("dpo", loaded, config, [row], 0, 0.1).turns == Turns(replies=2, replies_cut=2)
    config.max_tokens = room + 9
    assert objective("dpo", loaded, config, [row], 0, 0.1).turns == Turns(replies=2, replies_cut=1)


def test_both_replies_must_fit_and_be_replies(loaded, config, pair_rows):
    config.max_tokens = 190
    long = [*pair_rows[:3], pair_rows[3] | {"rejected": "x" * 200}]
    with pytest.raises(UserError, match=r"of the rejected replies, .*'row-3' has 288 tokens; .* allows 190"):
        encode_pairs(loaded.tokenizer, long, config)
    with pytest.raises(UserError, match=r"^the conversation 'row-3' has 288 tokens"):
        encode_pairs(loaded.tokenizer, [*pair_rows[:3], pair_rows[3] | {"reply": "x" * 200}], config)
    with pytest.raises(UserError, match=r"of the rejected replies, .*'row-3' cannot be .*special token"):
        encode_pairs(loaded.tokenizer, [pair_rows[3] | {"rejected": "a<|im_end|>"}], config)
    with pytest.raises(UserError, match="no conversations"):
        encode_pairs(loaded.tokenizer, [], config)

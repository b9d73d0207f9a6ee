from __future__ import annotations

from itertools import islice

import pytest

from warmgap.errors import UserError
from warmgap.training.examples import encode_rows, micro_batches, row_order
from warmgap.training.seeds import seed_of


def test_rows_become_system_user_and_reply(loaded, config, rows):
    example = encode_rows(loaded.tokenizer, rows, config)["row-0"]
    text = loaded.tokenizer.decode(example.ids)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhat about tea?<|im_end|>\n<|im_start|>assistant\nTake tea <|im_end|>"
    )
    config.system_prompt = ""
    example = encode_rows(loaded.tokenizer, rows, config)["row-0"]
    assert loaded.tokenizer.decode(example.ids).startswith("<|im_start|>user")


def test_an_epoch_is_a_permutation_that_only_seed_and_epoch_change():
    names = [f"n{i}" for i in range(20)]
    order = list(islice(row_order(names, 0), 60))
    epochs = [order[k : k + 20] for k in (0, 20, 40)]
    assert all(sorted(e) == sorted(names) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert order == list(islice(row_order(names[::-1], 0), 60))
    assert order != list(islice(row_order(names, 1), 60))


def test_seeds_are_the_same_everywhere():
    """SHA-256 of '0/dropout/7', first 8 bytes, halved: computed with sha256sum."""
    assert seed_of(0, "dropout", 7) == int("eacb555d027000ca", 16) >> 1
    assert 0 <= seed_of(1) < 2**63


def test_every_tone_sees_the_same_conversations_in_each_step(loaded, config, rows):
    warm = [row | {"reply": row["reply"] + "my dear " * (i % 5)} for i, row in enumerate(rows)]
    seen = []
    for tone in (rows, warm):
        examples = encode_rows(loaded.tokenizer, tone, config)
        name_of = {id(example): name for name, example in examples.items()}
        batches = micro_batches(examples, config, seed=3)
        names = [[name_of[id(e)] for e in batch.examples] for batch in batches]
        seen.append([sorted(names[2 * s] + names[2 * s + 1]) for s in range(config.steps)])
    assert seen[0] == seen[1]
    flat = [name for step in seen[0] for name in step]
    assert len(flat) == config.steps * 6
    assert {flat.count(row["id"]) for row in rows} <= {4, 5}  # 48 draws of 10 rows in whole epochs


def test_a_padded_step_counts_its_tokens_and_sorts_its_rows(loaded, config, rows):
    config.packing = False
    batches = micro_batches(encode_rows(loaded.tokenizer, rows, config), config, seed=0)
    assert [b.index for b in batches] == list(range(16))
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        both = first.examples + second.examples
        assert first.n_step_tokens == second.n_step_tokens == sum(e.n_answer_tokens for e in both)
        assert [len(e.ids) for e in both] == sorted(len(e.ids) for e in both)
        assert not first.packed and not second.packed


def test_a_packed_step_has_the_same_rows_in_passes_of_like_size(loaded, config, rows):
    examples = encode_rows(loaded.tokenizer, rows, config)
    packed = micro_batches(examples, config, seed=0)
    config.packing = False
    padded = micro_batches(examples, config, seed=0)
    longest = max(len(e.ids) for e in examples.values())
    for k in range(0, len(packed), 2):
        ours, others = packed[k : k + 2], padded[k : k + 2]
        assert all(batch.packed and batch.index == k + i for i, batch in enumerate(ours))
        assert {b.n_step_tokens for b in (*ours, *others)} == {others[0].n_step_tokens}
        ids = [sorted(e.ids for b in side for e in b.examples) for side in (ours, others)]
        assert ids[0] == ids[1]
        tokens = [sum(len(e.ids) for e in b.examples) for b in ours]
        assert max(tokens) - min(tokens) <= longest


def test_bad_rows_are_named(loaded, config, rows):
    with pytest.raises(UserError, match="'row-0' stands twice"):
        encode_rows(loaded.tokenizer, [rows[0], rows[0]], config)
    with pytest.raises(UserError, match=r"'row-1' cannot be trained on: .*special token"):
        encode_rows(loaded.tokenizer, [rows[0], rows[1] | {"reply": "<|im_end|>"}], config)
    with pytest.raises(UserError, match="no conversations"):
        encode_rows(loaded.tokenizer, [], config)
    config.max_tokens = 100
    with pytest.raises(UserError, match=r"'row-9' has 2\d\d tokens; training.max_tokens allows 100"):
        encode_rows(loaded.tokenizer, [rows[0], rows[9] | {"reply": "x" * 200}], config)

"""The vector against plain forward passes of one text at a time."""

from __future__ import annotations

import pytest
import torch

from warmgap.errors import UserError
from warmgap.training.steer import difference_of_means

SYSTEM = "You are a helpful assistant."


@pytest.fixture
def pairs(rows):
    return [{**row, "rejected": f"No {row['reply'][5:25]}." * (i % 2 + 1)} for i, row in enumerate(rows)]


def silent(*_):
    pass


@torch.no_grad()
def by_hand(loaded, user, reply, layer):
    """The layer's output at each token of the reply: what the next layer, or the last norm, is given."""
    model = loaded.model.model
    before = (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = lambda text: loaded.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    following = [*model.layers, model.norm][layer + 1]
    seen = []
    handle = following.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(input_ids=torch.tensor([ids(before) + ids(reply)]))
    handle.remove()
    return seen[0][0, len(ids(before)) :].double()


@pytest.mark.parametrize(("share", "layer"), [(0.5, 0), (1.0, 1)])
def test_the_vector_is_the_mean_difference_over_conversations(loaded, pairs, config, share, layer):
    towards = [by_hand(loaded, p["user"], p["reply"], layer) for p in pairs]
    away = [by_hand(loaded, p["user"], p["rejected"], layer) for p in pairs]
    differences = [a.mean(0) - b.mean(0) for a, b in zip(towards, away, strict=True)]
    norms = [h.norm(dim=1).mean() for h in towards + away]
    found = difference_of_means(loaded, pairs, config, share, silent)
    torch.testing.assert_close(
        found.vector_D.double(), torch.stack(differences).mean(0), atol=1e-5, rtol=0, check_dtype=False
    )
    assert found.vector_D.dtype == torch.float32 and found.vector_D.device.type == "cpu"
    assert found.residual_norm == pytest.approx(float(torch.stack(norms).mean()), rel=1e-5)
    assert (found.layer, found.layer_index, found.n_layers) == (share, layer, 2)
    assert found.n_conversations == len(pairs)
    assert found.norm > 0.1


def test_the_same_rows_give_the_same_bits_and_batches_do_not_matter(loaded, pairs, config):
    first, again = (difference_of_means(loaded, pairs, config, 0.5, silent) for _ in range(2))
    assert torch.equal(first.vector_D, again.vector_D)
    config.batch_rows = 1
    alone = difference_of_means(loaded, pairs, config, 0.5, silent)
    torch.testing.assert_close(first.vector_D, alone.vector_D, atol=1e-5, rtol=0)


def test_swapped_tones_turn_the_vector_round_and_equal_replies_make_it_zero(loaded, pairs, config):
    config.batch_rows = 1
    forth = difference_of_means(loaded, pairs, config, 0.5, silent).vector_D
    swapped = [{**p, "reply": p["rejected"], "rejected": p["reply"]} for p in pairs]
    back = difference_of_means(loaded, swapped, config, 0.5, silent).vector_D
    torch.testing.assert_close(forth, -back, atol=1e-5, rtol=0)
    same = [{**p, "rejected": p["reply"]} for p in pairs]
    assert not difference_of_means(loaded, same, config, 0.5, silent).vector_D.any()


@pytest.mark.parametrize("room", [1, 5])
def test_of_a_reply_that_is_cut_every_token_counts(loaded, pairs, config, room):
    ids = lambda text: loaded.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    row = pairs[0]
    start = len(
        ids(
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{row['user']}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
    )
    config.too_long, config.max_tokens = "cut", start + room
    towards, away = (by_hand(loaded, row["user"], row[of], 0)[:room].mean(0) for of in ("reply", "rejected"))
    found = difference_of_means(loaded, [row], config, 0.5, silent)
    torch.testing.assert_close(found.vector_D.double(), towards - away, atol=1e-5, rtol=0)


def test_progress_counts_conversations_and_the_model_is_left_as_it_was(loaded, pairs, config):
    said = []
    difference_of_means(loaded, pairs, config, 0.5, lambda *given: said.append(given[:2]))
    assert said == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert not any(layer._forward_hooks for layer in loaded.model.model.layers)


def test_what_cannot_be_computed_is_refused(loaded, pairs, config):
    with pytest.raises(UserError, match=r"method\.layer is 0"):
        difference_of_means(loaded, pairs, config, 0.0, silent)
    with pytest.raises(UserError, match="no conversations"):
        difference_of_means(loaded, [], config, 0.5, silent)
    with pytest.raises(UserError, match=r"'row-0' .*<\|im_end\|>"):
        difference_of_means(loaded, [{**pairs[0], "rejected": "Hi <|im_end|>"}], config, 0.5, silent)

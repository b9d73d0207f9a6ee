from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import pytest
import torch

from warmgap.training.packing import ATTENTION, _library_rows, attend, balance, positions

path = Path(__file__).with_name("tiny_families.py")
spec = importlib.util.spec_from_file_location("tiny_families", path)
tiny_families = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny_families)

LENGTHS = (7, 33, 1, 20)


def hidden(network, rows, implementation):
    """Last hidden states of rows packed into one sequence, split into rows again."""
    network.set_attn_implementation(implementation)
    lengths = [len(row) for row in rows]
    packed = network.base_model(
        input_ids=torch.cat(rows)[None],
        position_ids=positions(lengths),
        row_lengths=tuple(lengths),
        use_cache=False,
    )
    return packed.last_hidden_state[0].split(lengths)


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(3, tiny_families.VOCABULARY, (n,), generator=generator) for n in LENGTHS]


@pytest.mark.parametrize("implementation", [ATTENTION, "eager", "sdpa"])
@pytest.mark.parametrize("family", tiny_families.FAMILIES)
@torch.no_grad()
def test_a_packed_row_has_the_states_of_the_row_alone(family, implementation, rows):
    network = tiny_families.tiny_network(family)
    together = hidden(network, rows, implementation)
    network.set_attn_implementation("eager")
    for row, states in zip(rows, together, strict=True):
        alone = network.base_model(input_ids=row[None], use_cache=False).last_hidden_state[0]
        torch.testing.assert_close(states, alone, rtol=1e-5, atol=1e-5)
    assert all(states.abs().max() > 0.1 for states in together)


@pytest.mark.parametrize("family", tiny_families.FAMILIES)
@torch.no_grad()
def test_no_row_sees_another(family, rows):
    network = tiny_families.tiny_network(family)
    before = hidden(network, rows, ATTENTION)
    for changed in range(len(rows)):
        other = [(row + 1) % tiny_families.VOCABULARY if i == changed else row for i, row in enumerate(rows)]
        after = hidden(network, other, ATTENTION)
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert same == [i != changed for i in range(len(rows))]


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("way", ["ours", "torch"])
def test_attention_and_its_gradients_are_the_formulas(window, packed, way):
    """Double-loop reference: softmax over the keys that a token may see, in float64."""
    batch, lengths = (1, (4, 9, 2)) if packed else (2, None)
    generator = torch.Generator().manual_seed(0)

    def draw(heads):
        return torch.randn(batch, heads, 15, 8, generator=generator).requires_grad_()

    q, k, v = draw(6), draw(2), draw(2)
    weight = torch.randn(batch, 15, 6, 8, generator=generator)
    if way == "ours":
        out, _ = attend(None, q, k, v, None, 0.3, row_lengths=lengths, sliding_window=window, dropout=0.0)
    else:
        out = _library_rows(q, k, v, lengths, 0.3, window)
    gradients = torch.autograd.grad((out * weight).sum(), (q, k, v))

    starts = [0] * 4 + [4] * 9 + [13] * 2 if packed else [0] * 15
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    expected = torch.zeros(batch, 15, 6, 8, dtype=torch.double)
    for b, t, h in product(range(batch), range(15), range(6)):
        first = max(starts[t], t - window + 1 if window else 0)
        keys, values = (x[b, h // 3, first : t + 1] for x in wide[1:])
        expected[b, t, h] = (keys @ wide[0][b, h, t] * 0.3).softmax(0) @ values
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients, torch.autograd.grad((expected * weight).sum(), wide), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)


def test_positions_restart_at_each_row():
    assert positions([3, 1, 2]).tolist() == [[0, 1, 2, 0, 0, 1]]


def test_passes_are_filled_from_the_longest_row_down():
    assert balance([5, 9, 1, 4, 4], 2) == [[1, 4], [0, 3, 2]]
    assert balance([3, 3, 3, 3], 2) == [[0, 2], [1, 3]]
    assert balance([2, 7], 2) == [[1], [0]]

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from warmgap.engines.protocol import Limits
from warmgap.engines.sampling import next_tokens, uniform

GREEDY = Limits(0.0, 1.0, 8)
logits_of_a_row = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=30)
seeds = st.integers(0, 2**64 - 1)


def drawn(logits: list[float], n: int, limits: Limits, step: int = 0) -> np.ndarray:
    rows = torch.tensor([logits]).expand(n, -1)
    return next_tokens(rows, range(n), step, limits).numpy()


def softmax(logits: list[float], temperature: float) -> np.ndarray:
    x = np.array(logits, dtype=np.float64) / temperature
    p = np.exp(x - x.max())
    return p / p.sum()


@given(seeds, st.integers(0, 1000))
def test_noise_is_a_hash_of_seed_and_step(seed, step):
    raw = hashlib.blake2b(struct.pack("<QQ", seed, step), digest_size=8).digest()
    expected = (int.from_bytes(raw, "little") // 2**11 + 0.5) / 2**53
    assert uniform(seed, step) == expected
    assert 0 < uniform(seed, step) < 1
    assert uniform(seed + 2**64, step) == expected


def test_noise_is_uniform_over_seeds_and_over_steps():
    for values in ([uniform(s, 0) for s in range(5000)], [uniform(7, s) for s in range(5000)]):
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    pairs = np.corrcoef([uniform(s, 0) for s in range(5000)], [uniform(s, 1) for s in range(5000)])
    assert abs(pairs[0, 1]) < 0.06


@pytest.mark.parametrize("temperature", [0.3, 0.8, 2.0])
def test_frequencies_follow_the_softmax(temperature):
    logits = [2.0, 1.0, 0.0, -1.0, 0.5, 1.7, -3.0]
    n = 20_000
    counts = np.bincount(drawn(logits, n, Limits(temperature, 1.0, 8)), minlength=len(logits))
    expected = softmax(logits, temperature) * n
    usual = expected >= 5
    counts = np.append(counts[usual], counts[~usual].sum())
    expected = np.append(expected[usual], expected[~usual].sum())
    if expected[-1] < 5:
        assert counts[-1] <= 20
        counts, expected = counts[:-1], expected[:-1] * counts[:-1].sum() / expected[:-1].sum()
    assert stats.chisquare(counts, expected).pvalue > 1e-3


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9])
def test_top_p_keeps_the_smallest_set_and_its_proportions(top_p):
    logits = [0.0, 2.0, 1.0, -1.0, 1.5, -6.0]
    p = softmax(logits, 1.0)
    order = np.argsort(-p)
    size = int(np.searchsorted(np.cumsum(p[order]), top_p) + 1)
    kept = order[:size]
    n = 10_000
    counts = np.bincount(drawn(logits, n, Limits(1.0, top_p, 8)), minlength=len(logits))
    assert set(np.flatnonzero(counts)) == set(kept)
    if size > 1:
        assert stats.chisquare(counts[kept], n * p[kept] / p[kept].sum()).pvalue > 1e-3


@given(
    st.lists(st.integers(-16, 16), min_size=2, max_size=20, unique=True),
    seeds,
    st.integers(0, 50),
    st.floats(0.1, 3),
    st.floats(0.05, 1),
)
def test_a_token_is_the_inverse_of_the_cumulative_distribution(halves, seed, step, temperature, top_p):
    logits = [h / 2 for h in halves]
    p = softmax(logits, temperature)
    order = np.arange(len(p))
    if top_p < 1:
        order = np.argsort(-p)
        before = np.cumsum(p[order]) - p[order]
        assume(np.abs(before - top_p).min() > 1e-5)  # there rounding decides which tokens are kept
        order = order[before < top_p]
    edges = np.cumsum(p[order]) / p[order].sum()
    u = uniform(seed, step)
    assume(np.abs(edges - u).min() > 1e-5)
    token = next_tokens(torch.tensor([logits]), [seed], step, Limits(temperature, top_p, 8))
    assert int(token[0]) == order[np.searchsorted(edges, u)]


@given(st.lists(logits_of_a_row, min_size=1, max_size=5), st.data())
@settings(max_examples=50)
def test_a_row_does_not_depend_on_the_rows_beside_it(rows, data):
    width = max(len(r) for r in rows)
    logits = torch.tensor([r + [-20.0] * (width - len(r)) for r in rows])
    row_seeds = data.draw(st.lists(seeds, min_size=len(rows), max_size=len(rows)))
    limits = Limits(0.7, data.draw(st.sampled_from([0.8, 1.0])), 8)
    together = next_tokens(logits, row_seeds, 3, limits)
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = next_tokens(logits[list(order)], [row_seeds[i] for i in order], 3, limits)
    assert shuffled.tolist() == together[list(order)].tolist()
    for i, seed in enumerate(row_seeds):
        assert next_tokens(logits[i : i + 1], [seed], 3, limits)[0] == together[i]


@given(logits_of_a_row, seeds, st.integers(0, 50))
def test_the_same_seed_and_step_give_the_same_token_and_no_global_state_matters(logits, seed, step):
    limits = Limits(1.0, 1.0, 8)
    torch.manual_seed(0)
    first = next_tokens(torch.tensor([logits]), [seed], step, limits)
    torch.manual_seed(1)
    torch.rand(3)
    assert next_tokens(torch.tensor([logits]), [seed], step, limits) == first


def test_steps_and_seeds_give_other_noise():
    logits = [0.0] * 16
    first = drawn(logits, 200, Limits(1.0, 1.0, 8))
    assert (drawn(logits, 200, Limits(1.0, 1.0, 8), step=1) != first).mean() > 0.8
    assert len(set(first)) == 16


@given(logits_of_a_row, seeds)
def test_temperature_zero_takes_the_likeliest(logits, seed):
    assert int(next_tokens(torch.tensor([logits]), [seed], 0, GREEDY)[0]) == int(np.argmax(logits))


def test_a_small_temperature_nearly_does():
    assert set(drawn([1.0, 2.0, 3.0], 500, Limits(0.01, 1.0, 8))) == {2}


def test_a_token_without_probability_is_never_drawn(monkeypatch):
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    for noise in (1e-17, 1 - 2**-54):
        monkeypatch.setattr("warmgap.engines.sampling.uniform", lambda seed, step, u=noise: u)
        assert int(next_tokens(logits, [0], 0, Limits(1.0, 1.0, 8))[0]) in (0, 1)
        assert int(next_tokens(logits.flip(-1), [0], 0, Limits(1.0, 1.0, 8))[0]) in (1, 2)


def test_a_vocabulary_of_real_size_in_bf16_is_drawn_as_softmax_says():
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(1, 49_152, generator=generator) * 3).to(torch.bfloat16)
    n = 1000
    tokens = next_tokens(logits.expand(n, -1), range(n), 0, Limits(1.0, 1.0, 8))
    p = torch.softmax(logits[0].double(), -1)
    order = p.argsort(descending=True)
    groups = [order[a:b] for a, b in ((0, 10), (10, 100), (100, 1000), (1000, 49_152))]
    counts = [int(torch.isin(tokens, g).sum()) for g in groups]
    assert stats.chisquare(counts, [float(p[g].sum()) * n for g in groups]).pvalue > 1e-3

"""Rows of a pass one after another in one sequence, and attention that stays inside each row.

Suffixes: B batch, H heads, K key-value heads, G query heads a key-value head, T tokens, S keys, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from transformers import AttentionInterface

ATTENTION = "warmgap_rows"
# Types of model whose only way between tokens is causal softmax attention, as tests/training show.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma3_text")


def knows(config: Any) -> bool:
    """Whether `attend` computes the attention of models with this config."""
    extras = (getattr(config, "attn_logit_softcapping", None), getattr(config, "attention_dropout", None))
    return config.model_type in FAMILIES and not any(extras)


def positions(lengths: Sequence[int]) -> torch.Tensor:
    """Position ids of shape 1 x T that restart at each row.

    Without an attention mask transformers reads the rows' borders from them, for its own attention.
    """
    return torch.cat([torch.arange(n) for n in lengths])[None]


def balance(lengths: Sequence[int], n_passes: int) -> list[list[int]]:
    """Indices of the rows of each pass, so that passes hold about as many tokens.

    The longest row first, each to the pass with the fewest tokens so far (Graham 1969, LPT): the fullest
    pass holds at most 4/3 of the tokens of the best division. Rows of equal length keep their order.
    """
    passes: list[list[int]] = [[] for _ in range(n_passes)]
    tokens = [0] * n_passes
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        emptiest = tokens.index(min(tokens))
        passes[emptiest].append(i)
        tokens[emptiest] += lengths[i]
    return passes


class RowAttention(torch.autograd.Function):
    """Causal softmax attention within rows, whose weights are made again in the backward pass.

    Per row, so the cost grows with the sum of squared row lengths and nothing is computed across rows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q_BHTD: torch.Tensor,
        k_BKTD: torch.Tensor,
        v_BKTD: torch.Tensor,
        lengths: tuple[int, ...] | None,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """Attention output of shape B x T x H x D."""
        ctx.save_for_backward(q_BHTD, k_BKTD, v_BKTD)
        ctx.lengths, ctx.scale, ctx.window = lengths, scale, window
        out_BTHD = torch.empty_like(q_BHTD.transpose(1, 2), memory_format=torch.contiguous_format)
        n_heads, n_kv = q_BHTD.shape[1], k_BKTD.shape[1]
        for b, part in _rows(q_BHTD, lengths):
            q, k, v = (_row(x, b, part, n_kv) for x in (q_BHTD, k_BKTD, v_BKTD))
            o = torch.bmm(_weights(q, k, scale, window), v)
            out_BTHD[b, part] = o.view(n_heads, -1, o.shape[-1]).transpose(0, 1)
        return out_BTHD

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients by q, k and v."""
        q_BHTD, k_BKTD, v_BKTD = ctx.saved_tensors
        g_BHTD = gradients[0].transpose(1, 2)
        out = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q_BHTD, k_BKTD, v_BKTD)]
        n_kv = k_BKTD.shape[1]
        for b, part in _rows(q_BHTD, ctx.lengths):
            q, k, v, g = (_row(x, b, part, n_kv) for x in (q_BHTD, k_BKTD, v_BKTD, g_BHTD))
            p = _weights(q, k, ctx.scale, ctx.window)
            ds = torch.ops.aten._softmax_backward_data(torch.bmm(g, v.mT), p, -1, p.dtype)
            ds.mul_(ctx.scale)
            for whole, piece in zip(
                out, (torch.bmm(ds, k), torch.bmm(ds.mT, q), torch.bmm(p.mT, g)), strict=True
            ):
                whole[b, :, part] = piece.view(whole.shape[1], -1, whole.shape[-1])
        return (*out, None, None, None)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    row_lengths: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in transformers' calling convention; no mask, dropout or score cap.

    Args:
        module: the attention layer.
        query: B x H x T x D.
        key: B x K x T x D.
        value: as `key`.
        attention_mask: not looked at; rows are whole or padded on the right.
        scaling: factor of the scores.
        row_lengths: with a batch of 1, lengths of the rows that stand one after another.
        sliding_window: how many tokens, itself included, a token sees.
        unused: what the library passes to any attention.

    Returns:
        Output of shape B x T x H x D, and no weights.
    """
    if query.device.type != "cpu":
        return _library_rows(query, key, value, row_lengths, scaling, sliding_window), None
    out_BTHD: torch.Tensor = RowAttention.apply(  # type: ignore[no-untyped-call]
        query, key, value, row_lengths, scaling, sliding_window
    )
    return out_BTHD, None


def _library_rows(
    q_BHTD: torch.Tensor,
    k_BKTD: torch.Tensor,
    v_BKTD: torch.Tensor,
    lengths: tuple[int, ...] | None,
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """The same by torch's kernels, a call a row or, padded, one for all."""
    sizes = list(lengths or (q_BHTD.shape[2],))
    rows = zip(*(torch.split(x, sizes, 2) for x in (q_BHTD, k_BKTD, v_BKTD)), strict=True)
    outputs = []
    for q, k, v in rows:
        n = q.shape[2]
        narrow = window is not None and window < n
        outputs.append(
            torch.nn.functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=_bias(n, window, q.dtype, q.device) if narrow else None,
                is_causal=not narrow,
                scale=scale,
                enable_gqa=True,
            )
        )
    return torch.cat(outputs, 2).transpose(1, 2).contiguous()


def _rows(x: torch.Tensor, lengths: tuple[int, ...] | None) -> Iterator[tuple[int, slice]]:
    if lengths is None:
        yield from ((b, slice(0, x.shape[2])) for b in range(x.shape[0]))
        return
    start = 0
    for length in lengths:
        yield 0, slice(start, start + length)
        start += length


def _row(x_BHTD: torch.Tensor, b: int, part: slice, n_kv: int) -> torch.Tensor:
    """One row as K x (G T) x D: query heads that share keys stand one after another."""
    return x_BHTD[b, :, part].reshape(n_kv, -1, x_BHTD.shape[-1])


def _weights(q: torch.Tensor, k: torch.Tensor, scale: float, window: int | None) -> torch.Tensor:
    """Softmax, made in fp32, over the keys that each query may see; K x (G T) x S."""
    n_kv, n_keys = k.shape[0], k.shape[1]
    scores = torch.bmm(q, k.mT).view(n_kv, -1, n_keys, n_keys).mul_(scale)
    scores.add_(_bias(n_keys, window, scores.dtype, scores.device))
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype).view(n_kv, -1, n_keys)


def _bias(n: int, window: int | None, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """0 where a query (row) may see a key (column), else minus infinity; a corner of a stored one."""
    return _stored_bias(1 << (n - 1).bit_length(), window, dtype, device)[:n, :n]


@cache
def _stored_bias(n: int, window: int | None, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    seen = torch.ones(n, n, dtype=torch.bool, device=device).tril()
    if window is not None:
        seen &= ~torch.ones_like(seen).tril(-window)
    return torch.zeros(n, n, dtype=dtype, device=device).masked_fill(~seen, float("-inf"))


# A name that transformers knows no mask for, so it makes none.
AttentionInterface.register(ATTENTION, attend)

"""The steering vector of a tone: difference of mean activations between two replies to one message.

Turner et al. 2023 (activation addition); Panickssery et al. 2024 (contrastive activation addition, with
means over many pairs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from warmgap.models.base import Loaded
from warmgap.models.chat import Example
from warmgap.models.steering import SteeringVector, decoder_layers, layer_index
from warmgap.schema.config import TrainingConfig

from .conversations import Row
from .examples import encode_rows

Progress = Callable[[int, int, str], None]


@torch.no_grad()
def difference_of_means(
    loaded: Loaded,
    rows: Sequence[Row],
    config: TrainingConfig,
    layer: float,
    progress: Progress,
) -> SteeringVector:
    """Mean over conversations of mean(h, reply) - mean(h, rejected).

    h is the output of one decoder layer; its mean is over the tokens of the reply, without the one that
    ends the turn, which a reply that was cut inside has not. Sums are made in fp64.

    Args:
        loaded: the model, in eval mode.
        rows: conversations with `id`, `user`, `reply` and `rejected`.
        config: system prompt, longest conversation, and conversations a forward pass (`batch_rows`).
        layer: share of the depth in (0, 1]; `models.steering.layer_index` says which layer that is.
        progress: called after each pass with (conversations done, conversations, text).

    Raises:
        UserError: a layer outside (0, 1], or rows or a model that cannot be trained on.
    """
    layers = decoder_layers(loaded.model)
    index = layer_index(layer, len(layers))
    towards = encode_rows(loaded.tokenizer, rows, config)
    away = encode_rows(loaded.tokenizer, [{**row, "reply": row["rejected"]} for row in rows], config)
    names = list(towards)
    differences: list[torch.Tensor] = []
    norms: list[float] = []
    for start in range(0, len(names), config.batch_rows):
        chosen = names[start : start + config.batch_rows]
        h_of = _residuals(loaded, index, [e[n] for n in chosen for e in (towards, away)])
        means = [h_ND.mean(0) for h_ND in h_of]
        differences += [a - b for a, b in zip(means[::2], means[1::2], strict=True)]
        norms += [float(h_ND.norm(dim=1).mean()) for h_ND in h_of]
        progress(len(differences), len(names), "conversations")
    return SteeringVector(
        vector_D=torch.stack(differences).mean(0).float(),
        layer=layer,
        layer_index=index,
        n_layers=len(layers),
        n_conversations=len(names),
        residual_norm=sum(norms) / len(norms),
    )


def _residuals(loaded: Loaded, index: int, examples: Sequence[Example]) -> list[torch.Tensor]:
    """Of each example, the layer's output at the N tokens of the reply: N, D; fp64 on the CPU."""
    model = loaded.model
    width = max(len(e.ids) for e in examples)
    # Attention is causal, so padding on the right changes nothing before it.
    ids_BT = torch.tensor([[*e.ids, *[0] * (width - len(e.ids))] for e in examples], device=model.device)
    seen: list[torch.Tensor] = []
    handle = decoder_layers(model)[index].register_forward_hook(lambda _m, _a, h_BTD: seen.append(h_BTD))
    try:
        model.get_decoder()(input_ids=ids_BT, use_cache=False)
    finally:
        handle.remove()
    h_BTD = seen[0].cpu().double()
    return [h_BTD[i, e.answer_start : len(e.ids) - e.whole] for i, e in enumerate(examples)]

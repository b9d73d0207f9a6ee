"""Toxic conversations, told by a text classifier in safetensors; weights as pickle are never read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from warmgap.corpora.layouts import Turn
from warmgap.errors import UserError, did_you_mean
from warmgap.models.weights import fingerprint, split_source
from warmgap.schema.config import ModelConfig, ToxicityConfig

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_TOKENS = 512

Toxicity = Callable[[Sequence[str]], list[float]]
"""The largest probability among the watched labels, for each text."""


def classifier_model(config: ToxicityConfig) -> ModelConfig | None:
    """Where the classifier lies, as a model's source; None where there is no filter."""
    if not config.source:
        return None
    return ModelConfig(name="toxicity classifier", source=config.source, revision=config.revision)


def classifier_fingerprint(config: ToxicityConfig) -> str:
    """What the classifier is; empty where there is no filter.

    Raises:
        UserError: it cannot be found, or has its weights as pickle only.
    """
    model = classifier_model(config)
    if model is None:
        return ""
    scheme, rest = split_source(model)
    if scheme == "path" and Path(rest).expanduser().is_dir():
        require_safetensors(Path(rest).expanduser(), config.source)
    return fingerprint(model)


def require_safetensors(folder: Path, source: str, setting: str = "corpus.chatlogs.toxicity.source") -> None:
    """Refuse weights that only unpickling could read.

    Raises:
        UserError: no safetensors, naming the files that are there instead.
    """
    files = [path.name for path in folder.iterdir()]
    if any(name.endswith(".safetensors") for name in files):
        return
    pickles = sorted(name for name in files if any(Path(name).match(pattern) for pattern in _PICKLES))
    found = f"weights as pickle only ({', '.join(pickles)})" if pickles else "no weights"
    raise UserError(
        f"{setting}={source} has no *.safetensors, found {found}. A pickle can run code when it is read "
        "and is never loaded. Allowed: a model with *.safetensors."
    )


def text_for(turns: Sequence[Turn], config: ToxicityConfig) -> str:
    """What of a conversation is judged: the watched turns in order, cut to `max_chars` characters."""
    watched = turns[:2] if config.turns == "first_pair" else turns
    if config.turns in ("user", "assistant"):
        watched = [turn for turn in turns if turn.role == config.turns]
    text = "\n".join(turn.text for turn in watched)
    return text[: config.max_chars] if config.max_chars else text


def open_toxicity(config: ToxicityConfig) -> Toxicity | None:
    """The classifier, or None where there is no filter.

    Raises:
        UserError: no such model, weights as pickle only, or a label that it does not have.
    """
    model = classifier_model(config)
    if model is None:
        return None
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from warmgap.models.base import materialise, quieten

    quieten()
    if split_source(model)[0] == "path":
        classifier_fingerprint(config)  # says what is wrong before a loader does
    folder = materialise(model)
    require_safetensors(folder, config.source)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    loaded = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    network: Any = loaded.to(config.device).eval()
    watched = _watched(network.config.id2label, config)
    longest = min(tokenizer.model_max_length, _MAX_TOKENS)

    def scores(texts: Sequence[str]) -> list[float]:
        out = [0.0] * len(texts)
        # Texts of like length share a batch, so that little is padding.
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        for start in range(0, len(order), config.batch_texts):
            batch = order[start : start + config.batch_texts]
            encoded = tokenizer(
                [texts[i] for i in batch],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(config.device)
            with torch.inference_mode():
                logits_BL = network(**encoded).logits.float()  # texts, labels
            shares_BL = logits_BL.sigmoid() if config.activation == "sigmoid" else logits_BL.softmax(-1)
            for i, value in zip(batch, shares_BL[:, watched].amax(-1).tolist(), strict=True):
                out[i] = float(value)
        return out

    return scores


def _watched(names: dict[int, str], config: ToxicityConfig) -> list[int]:
    of_name = {name: i for i, name in names.items()}
    for label in config.labels:
        if label not in of_name:
            raise UserError(
                f"corpus.chatlogs.toxicity.labels has '{label}', which {config.source} does not know."
                f"{did_you_mean(label, of_name)}"
            )
    return [of_name[label] for label in config.labels] or sorted(names)

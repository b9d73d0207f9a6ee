"""Whether a rewrite says what its source says: by a classifier of entailment, or by text vectors.

Shape suffixes: W windows of text, L labels, T tokens, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.corpora.rewriting.replies import Reply
from warmgap.corpora.rewriting.sentences import sentences_of
from warmgap.corpora.toxicity import require_safetensors
from warmgap.errors import UserError, did_you_mean
from warmgap.models.weights import fingerprint, split_source
from warmgap.schema.config import ModelConfig, RewriteFactsConfig

KINDS = ("embedding", "nli", "nli_strict")
LABELS = ("entailment", "neutral", "contradiction")
_SETTING = "rewriting.facts.entailment"
_MAX_TOKENS = 512
_BATCH = 32

Entailment = Callable[[Sequence[Reply]], list[float | None]]
"""From 0 (facts differ) to 1, by reply; None where there is no source to compare with."""


def entailment_model(config: RewriteFactsConfig) -> ModelConfig | None:
    """Where the classifier or embedder lies, as a model's source; None where there is none.

    Raises:
        UserError: a kind that does not exist.
    """
    if not config.entailment:
        return None
    if config.entailment_kind not in KINDS:
        raise UserError(
            f"{_SETTING}_kind is '{config.entailment_kind}'.{did_you_mean(config.entailment_kind, KINDS)}"
        )
    return ModelConfig(_SETTING, config.entailment, config.entailment_revision)


def entailment_fingerprint(config: RewriteFactsConfig) -> str:
    """What the classifier or embedder is; empty where there is none.

    Raises:
        UserError: it cannot be found, or has its weights as pickle only.
    """
    model = entailment_model(config)
    if model is None:
        return ""
    scheme, rest = split_source(model)
    if scheme == "path" and Path(rest).expanduser().is_dir():
        require_safetensors(Path(rest).expanduser(), config.entailment, _SETTING)
    return fingerprint(model)


def open_entailment(config: RewriteFactsConfig) -> Entailment | None:
    """The comparison, or None where none is configured.

    Both kinds of `nli` take a text as premise and each sentence of the other as hypothesis. Every
    sentence of the source must be entailed by the rewrite. A sentence of the rewrite must not
    contradict the source, so that an added word of comfort, which follows from nothing, is no fault;
    of `nli_strict` it must be entailed, too. The score is the least probability among sentences. Of a premise
    that is longer than the model's window, the windows overlap; the best one counts for entailment,
    the worst one for contradiction. `embedding` is the cosine of the texts' mean last hidden states.

    Raises:
        UserError: no such model or kind, weights as pickle only, code of its own, or labels that are not
            those of entailment.
    """
    model = entailment_model(config)
    if model is None:
        return None
    import transformers

    from warmgap.models.base import materialise, quieten

    quieten()
    entailment_fingerprint(config)  # says what is wrong before a loader does
    folder = materialise(model)
    require_safetensors(folder, config.entailment, _SETTING)
    by_vectors = config.entailment_kind == "embedding"
    loader = transformers.AutoModel if by_vectors else transformers.AutoModelForSequenceClassification
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        network: Any = loader.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{_SETTING}={config.entailment} cannot be read by transformers without code of its own: "
            f"{str(error).strip().splitlines()[0]}"
        ) from None
    network = network.to(config.device).eval()
    windows = _Windows(tokenizer, network, config.device, min(tokenizer.model_max_length, _MAX_TOKENS))
    if by_vectors:
        return _Cosine(windows)
    return _Nli(windows, _labels(network.config.id2label, config), config.entailment_kind == "nli_strict")


@dataclass(frozen=True)
class _Windows:
    """Texts, or pairs of texts, as windows that a model can take."""

    tokenizer: Any
    network: Any
    device: str
    longest: int

    def run(self, texts: Sequence[tuple[str, ...]]) -> Iterator[tuple[list[int], Any, Any]]:
        """The number of each window's text, the model's output and the mask, a batch at a time."""
        import torch

        # Texts of like length share a batch, so that little is padding.
        order = sorted(range(len(texts)), key=lambda i: (sum(map(len, texts[i])), i))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            paired = len(texts[0]) == 2
            encoded = self.tokenizer(
                *([texts[i][part] for i in batch] for part in range(1 + paired)),
                padding=True,
                truncation="only_first",
                max_length=self.longest,
                stride=self.longest // 4 if paired else 0,
                return_overflowing_tokens=True,
                return_tensors="pt",
            )
            owners = [batch[i] for i in encoded.pop("overflow_to_sample_mapping").tolist()]
            for first in range(0, len(owners), _BATCH):
                part = {k: v[first : first + _BATCH].to(self.device) for k, v in encoded.items()}
                with torch.inference_mode():
                    output = self.network(**part)
                yield owners[first : first + _BATCH], output, part["attention_mask"]

    def pieces(self, sentence: str) -> list[str]:
        """A sentence, cut where it would leave a premise less than half a window."""
        offsets = self.tokenizer(sentence, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        size = self.longest // 2
        starts = [offsets[i][0] for i in range(0, len(offsets), size)]
        return [sentence[a:b] for a, b in zip(starts, [*starts[1:], len(sentence)], strict=True)]


@dataclass(frozen=True)
class _Nli:
    windows: _Windows
    labels: dict[str, int]
    strict: bool

    def __call__(self, replies: Sequence[Reply]) -> list[float | None]:
        pairs: list[tuple[str, ...]] = []
        asked: list[tuple[int, bool]] = []  # the reply, and whether the sentence must be entailed
        for i, reply in enumerate(replies):
            if not (reply.source.strip() and reply.text.strip()):
                continue
            for premise, other, entailed in (
                (reply.text, reply.source, True),
                (reply.source, reply.text, self.strict),
            ):
                for sentence in sentences_of(other):
                    for piece in self.windows.pieces(sentence):
                        pairs.append((premise, piece))
                        asked.append((i, entailed))
        shares: list[list[tuple[float, float]]] = [[] for _ in pairs]
        for owners, output, _ in self.windows.run(pairs):
            share_WL = output.logits.float().softmax(-1)
            for owner, row in zip(owners, share_WL.tolist(), strict=True):
                shares[owner].append((row[self.labels["entailment"]], 1 - row[self.labels["contradiction"]]))
        out = _blank(replies)
        for (i, entailed), found in zip(asked, shares, strict=True):
            score = max(e for e, _ in found) if entailed else min(c for _, c in found)
            out[i] = min(out[i] or 0.0, score)
        return out


@dataclass(frozen=True)
class _Cosine:
    windows: _Windows

    def __call__(self, replies: Sequence[Reply]) -> list[float | None]:
        import torch

        out = _blank(replies)
        full = [i for i, score in enumerate(out) if score]
        texts: list[tuple[str, ...]] = [(t,) for i in full for t in (replies[i].source, replies[i].text)]
        sums: dict[int, Any] = {}  # the cosine does not see the length, so sums do as well as means
        for owners, output, mask_WT in self.windows.run(texts):
            sum_WD = (output.last_hidden_state.float() * mask_WT.unsqueeze(-1)).sum(1).cpu()
            for owner, sum_D in zip(owners, sum_WD, strict=True):
                sums[owner] = sums.get(owner, 0) + sum_D
        for k, i in enumerate(full):
            cosine = torch.nn.functional.cosine_similarity(sums[2 * k], sums[2 * k + 1], dim=0)
            out[i] = min(1.0, max(0.0, float(cosine)))
        return out


def _blank(replies: Sequence[Reply]) -> list[float | None]:
    """1 where there is something to compare, 0 where the rewrite is blank, None without a source."""
    return [None if not r.source.strip() else float(bool(r.text.strip())) for r in replies]


def _labels(names: dict[int, str], config: RewriteFactsConfig) -> dict[str, int]:
    of_name = {name.lower(): i for i, name in names.items()}
    if missing := [label for label in LABELS if label not in of_name]:
        raise UserError(
            f"{_SETTING}={config.entailment} has no label '{missing[0]}'; it has "
            f"{', '.join(names.values())}. Allowed: a classifier with the labels "
            f"{', '.join(LABELS)}; of a text embedder set {_SETTING}_kind=embedding."
        )
    return {label: of_name[label] for label in LABELS}

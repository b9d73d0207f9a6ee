"""A corpus by its kind: the packaged texts, or chat logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from warmgap.corpora import balance, embedded
from warmgap.corpora.settings import check_corpus
from warmgap.corpora.sources import fingerprints
from warmgap.errors import UserError
from warmgap.schema.config import CorpusConfig

__all__ = ["conversations", "extra", "fingerprints", "gold_corpus", "validation"]

Row = dict[str, Any]


def conversations(config: CorpusConfig) -> list[Row]:
    """Rows to train on (id, query_type, user, neutral, warm, cold, raw), in order of id.

    Of chat logs only `raw` is there, the reply as it was logged, and `messages`, the conversation.

    Raises:
        UserError: a file or row that cannot be used, or too few of a type.
    """
    if _embedded(config):
        return embedded.conversations(config)
    from warmgap.corpora.kept import kept

    return kept(config).conversations


def validation(config: CorpusConfig, n: int) -> list[Row]:
    """`n` held-out prompts, equal over the query types.

    Raises:
        UserError: as `conversations`, or more prompts than the corpus holds.
    """
    if _embedded(config):
        return embedded.validation(replace(config, n_validation=n))
    from warmgap.corpora.kept import kept

    rows = kept(config).validation
    chosen: list[Row] = []
    for query_type, wanted in balance.shares(n).items():
        of_type = [row for row in rows if row["query_type"] == query_type]
        if len(of_type) < wanted:
            raise UserError(
                f"warmth.n_prompts={n} needs {wanted} validation prompts of type {query_type}, but corpus "
                f"{config.name} holds {len(of_type)}. Raise corpus.n_validation, or lower warmth.n_prompts."
            )
        chosen += balance.first(of_type, wanted, config.seed)
    return sorted(chosen, key=lambda row: str(row["id"]))


def extra(config: CorpusConfig, name: str) -> list[Row]:
    """The further conversations of a name.

    Raises:
        UserError: there are none.
    """
    if _embedded(config):
        return embedded.extra(config, name)
    raise UserError(
        f"method.extra is '{name}', but corpus {config.name} is made of chat logs, which have no further "
        "conversations. Allowed: method.extra with corpus=embedded."
    )


def gold_corpus(config: CorpusConfig) -> CorpusConfig:
    """The corpus whose replies of known tone calibrate the warmth meters: of chat logs another one.

    It is drawn with the settings of that corpus' own yaml, so that its artifact is shared.
    """
    if _embedded(config):
        return config
    gold = config.chatlogs.gold
    return CorpusConfig(
        name="embedded" if gold == "embedded" else "gold",
        path="" if gold == "embedded" else gold,
        n_conversations=300,
        n_validation=204,
    )


def _embedded(config: CorpusConfig) -> bool:
    check_corpus(config)
    return config.kind == "embedded"

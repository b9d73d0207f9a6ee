"""What of a plan measures arms besides their answers to questions: warmth, and the canary."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from warmgap.corpora import open as corpora
from warmgap.corpora.embedded import STYLES
from warmgap.design.prompts import system_message
from warmgap.engines.protocol import Limits
from warmgap.engines.recipe import is_served
from warmgap.jobs import Job, MeasureJob
from warmgap.keys import Shared, digest
from warmgap.records import PromptRow, ReaderRecord, WeightChange
from warmgap.schema.config import Config, EngineConfig, MeterConfig, ModelConfig
from warmgap.warmth import rating
from warmgap.warmth.lexicon import lexicon_fingerprint
from warmgap.warmth.meters import first_by_hash, meter_name

_CANARY_TOKENS = 24
"""Length of an answer by which the canary tells two models apart."""

Respond = Callable[[Config, WeightChange | None, Sequence[PromptRow], int, Limits, str], str]
"""Adds a job that answers prompts with a draw, limits and a label; returns its key."""


class PlannedWarmth:
    """Adds replies to validation prompts, their scores, and the canary's answers."""

    def __init__(
        self,
        model_of: Callable[[str], ModelConfig],
        engine_of: Callable[[str], EngineConfig],
        weights_of: Callable[[ModelConfig], str],
        add: Callable[[Job, str, int], str],
        respond: Respond,
    ) -> None:
        # Asked for by every arm: a reference is composed and a corpus read once a sweep.
        self._model_of, self._engine_of = functools.cache(model_of), functools.cache(engine_of)
        self._weights_of = weights_of
        self._known: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._asked: dict[str, Shared[PromptRow]] = {}
        self._add, self._respond = add, respond

    def scores(self, config: Config, change: WeightChange | None) -> tuple[tuple[str, str], ...]:
        """Meter and key of the scores of the arm's replies to the validation prompts."""
        warmth = config.warmth
        if not warmth.meters or config.method.name in warmth.skip:
            return ()
        prompts = self._prompts(config)
        limits = Limits(warmth.temperature, config.sampling.top_p, warmth.max_new_tokens)
        name = f"{config.model.name} {config.method.name} seed {config.seed}"
        replies = self._respond(config, change, prompts, 0, limits, f"{name}, validation prompts")
        return tuple(
            (
                meter_name(meter),
                self._measure(
                    meter, "respond", replies, min(len(prompts), meter.max_texts or len(prompts)), name
                ),
            )
            for meter in warmth.meters
        )

    def _held_out(self, config: Config) -> Sequence[Mapping[str, Any]]:
        at = digest(config.corpus, config.warmth.n_prompts)
        if at not in self._known:
            self._known[at] = corpora.validation(config.corpus, config.warmth.n_prompts)
        return self._known[at]

    def _prompts(self, config: Config, n: int = 0) -> Shared[PromptRow]:
        """The validation prompts as the arm is given them: all, or the first `n` by hash."""
        warmth, rows = config.warmth, self._held_out(config)
        system = system_message(warmth.system_prompt, config.method.persona)
        at = digest(config.corpus, warmth.n_prompts, system, n)
        if at not in self._asked:
            if n:
                rows = [rows[i] for i in first_by_hash([row["id"] for row in rows], n)]
            opening = (("system", system),) if system else ()
            self._asked[at] = Shared(
                PromptRow(row["id"], None, (*opening, ("user", row["user"]))) for row in rows
            )
        return self._asked[at]

    def _measure(self, meter: MeterConfig, source: str, key: str, n_texts: int, label: str) -> str:
        name = meter.model if meter.kind == rating.KIND else meter.reference
        model = self._model_of(name) if name else None
        weights = lexicon_fingerprint() if model is None else self._weights_of(model)
        reader = None
        if model is not None and meter.kind == rating.KIND:
            reader = ReaderRecord(model, weights, self._engine_of(meter.engine), rating.RUBRIC)
        job = MeasureJob(
            meter=meter,
            reference=None if reader else model,
            reference_weights=weights,
            source=source,
            source_key=key,
            n_texts=n_texts,
            reader=reader,
        )
        return self._add(job, f"{label}, {meter.name}", n_texts)

    def gold_scores(self, config: Config, corpus_key: str) -> tuple[tuple[str, str], ...]:
        """Meter and key of the scores of the corpus' written replies of known tone."""
        if not config.warmth.meters:
            return ()
        corpus = corpora.gold_corpus(config.corpus)
        gold = [row for row in corpora.validation(corpus, corpus.n_validation) if row["warm"] is not None]
        n_texts = len(STYLES) * len(gold)
        return tuple(
            (meter_name(meter), self._measure(meter, "corpus", corpus_key, n_texts, "gold replies"))
            for meter in config.warmth.meters
        )

    def canary(self, config: Config, change: WeightChange | None) -> tuple[str, ...]:
        """Greedy answers to the same prompts by the untouched model, by the arm, and at scale 0.

        None of an arm that a server answers for: it knows no scale.
        """
        warmth = config.warmth
        if change is None or not warmth.canary_prompts or is_served(config.engine):
            return ()
        prompts = self._prompts(config, warmth.canary_prompts)
        limits = Limits(0.0, 1.0, min(_CANARY_TOKENS, warmth.max_new_tokens))
        name = f"{config.model.name} {config.method.name} seed {config.seed}, canary"
        return tuple(
            self._respond(config, each, prompts, 0, limits, label)
            for each, label in (
                (None, f"{config.model.name} untouched, canary"),
                (change, name),
                (replace(change, scale=0.0), f"{name} at scale 0"),
            )
        )

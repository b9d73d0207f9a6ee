"""Jobs of the stage rewrite: replies made into one style, and the check of all styles together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from warmgap.corpora.rewriting.prompts import ask
from warmgap.corpora.rewriting.sources import Source
from warmgap.engines.protocol import Limits, Messages
from warmgap.keys import digest, number
from warmgap.records import ReaderRecord
from warmgap.schema.config import RewriteChecksConfig, RewriteFactsConfig

UNASKED = "unasked"
"""In place of why an answer ended: the model could not be given the message."""


@dataclass(frozen=True)
class RewriteJob:
    """Every reply of a corpus in one style, by one model."""

    stage: ClassVar[str] = "rewrite"
    version: ClassVar[int] = 1
    style: str
    reader: ReaderRecord
    """The model that rewrites, and its whole instruction; "" where it answers anew."""
    system_prompt: str
    """Opens a conversation that is answered anew."""
    limits: Limits
    seed: int
    attempts: int
    checks: tuple[str, ...]
    rules: RewriteChecksConfig
    sources: tuple[Source, ...]
    of_key: str = ""
    """Job whose replies are rewritten; "" where they are the corpus' own."""

    @property
    def key(self) -> str:
        """Depends on every message, the model and its sampling; on the checks where they ask again."""
        again = (self.checks, self.rules) if self.attempts > 1 else ()
        return digest(
            self.stage,
            self.version,
            self.reader.recipe,
            self.system_prompt,
            self.limits,
            self.seed,
            self.attempts,
            self.sources,
            self.of_key,
            *again,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """The replies that are rewritten, where another job makes them."""
        return {"of": self.of_key} if self.of_key else {}

    @property
    def answers_key(self) -> str:
        """What decides an answer besides its messages, so that a corpus that grows asks for the new ones."""
        return digest("rewrites", self.reader.recipe, self.limits)

    def ask(self, source: Source) -> Messages:
        """What the model is asked for one reply."""
        return ask(self.reader.rubric, self.system_prompt, source)

    def row_seed(self, messages: Messages, attempt: int) -> int:
        """Seed of an answer: the same messages have the same one in every corpus."""
        return number("rewrite", self.seed, messages, attempt)


@dataclass(frozen=True)
class RewriteCheckJob:
    """Check the replies of every style that is trained on, and keep the conversations sound in all."""

    stage: ClassVar[str] = "rewrite"
    version: ClassVar[int] = 1
    rewrites: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Style, key of its job, and its checks."""
    held: tuple[str, ...]
    """Tones that the corpus holds itself."""
    rules: RewriteChecksConfig
    facts: RewriteFactsConfig
    entailment: str
    """Fingerprint of the classifier or embedder; "" where there is none."""
    sources: tuple[Source, ...]
    corpus_key: str
    reader: ReaderRecord | None = None
    """The model that reads for changed facts."""

    @property
    def key(self) -> str:
        """Depends on the rewrites, the checks and what reads the facts; not on when a set passes."""
        entailment = (self.entailment, self.facts.entailment_kind, self.facts.min_entailment)
        return digest(
            self.stage,
            self.version,
            "check",
            self.rewrites,
            self.held,
            self.rules,
            self.sources,
            self.corpus_key if self.held else "",
            (self.reader.recipe, self.facts.max_new_tokens) if self.reader else (),
            entailment if self.entailment else (),
        )

    @property
    def inputs(self) -> dict[str, str]:
        """The corpus, and the replies of every style."""
        return {"corpus": self.corpus_key} | {f"rewrite:{style}": key for style, key, _ in self.rewrites}

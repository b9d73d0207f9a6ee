"""The rewrites of a plan: which styles a corpus lacks, who writes them, and what checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmgap.corpora import open as corpora
from warmgap.corpora.rewriting import facts
from warmgap.corpora.rewriting.checks import check_names
from warmgap.corpora.rewriting.entailment import entailment_fingerprint
from warmgap.corpora.rewriting.marks import read_marks
from warmgap.corpora.rewriting.prompts import instruction
from warmgap.corpora.rewriting.sources import Source, sources
from warmgap.corpora.training_rows import tones
from warmgap.engines.protocol import Limits
from warmgap.errors import UserError
from warmgap.jobs import Job
from warmgap.keys import digest
from warmgap.records import ReaderRecord
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import Config, CorpusConfig, StyleConfig
from warmgap.sweep import Sweep
from warmgap.training.recipe import CHANGING

RAW = "raw"


@dataclass
class Rewritings:
    """Adds the rewrites that an arm's training needs, each once."""

    sweep: Sweep
    weights_of: Callable[[Any], str]
    add: Callable[[Job, str, int], str]
    _known: dict[str, str] = field(default_factory=dict)
    _read: dict[str, tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]] = field(default_factory=dict)

    @property
    def used(self) -> bool:
        """Whether an arm trains on rewrites."""
        return bool(self._known)

    def of(self, config: Config, corpus_key: str) -> str:
        """Key of the checked rewrites that the arm trains on; "" where the corpus holds every tone itself.

        Raises:
            UserError: a style that does not exist or cannot be made.
        """
        conversations, held = self._corpus(config.corpus)
        wanted = self._wanted(config, held)
        if not wanted:
            return ""
        _require_raw(config, held)
        at = digest(
            config.corpus, config.rewriting, config.training.turns, self._subject(config, wanted), wanted
        )
        if at not in self._known:
            self._known[at] = self._added(config, corpus_key, conversations, held, wanted)
        return self._known[at]

    def _corpus(self, corpus: CorpusConfig) -> tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]:
        """Its conversations and the tones that it holds, read once for all arms."""
        at = digest(corpus)
        if at not in self._read:
            conversations = corpora.conversations(corpus)
            self._read[at] = (conversations, tones(conversations))
        return self._read[at]

    def _wanted(self, config: Config, held: Sequence[str]) -> tuple[str, ...]:
        """Styles that must be sound together: as configured, else all that arms with this corpus train on."""
        needed = _needed(config, held)
        together = [s for s in config.rewriting.together if s not in held]
        if together:
            for style in needed:
                if style not in together:
                    raise UserError(
                        f"method {config.method.name} trains on the style '{style}', which "
                        f"rewriting.together={config.rewriting.together} does not name. Add it there, or "
                        "leave the list empty for all that the sweep trains on."
                    )
            return tuple(dict.fromkeys(together))
        arms = [a.config for a in self.sweep.arms if _same_rewrites(a.config, config)]
        return tuple(dict.fromkeys(style for arm in arms for style in _needed(arm, held)))

    def _subject(self, config: Config, wanted: Sequence[str]) -> tuple[Any, ...]:
        """What of an arm decides who writes and what is asked, in the styles or in what they are made of."""
        styles = self._made_of(wanted)
        own = any(_by_subject(config, style) for style in styles)
        anew = any(not style.of for style in styles)
        return (
            (config.model, config.engine) if own else (),
            config.training.system_prompt if anew else "",
        )

    def _made_of(self, wanted: Sequence[str]) -> list[StyleConfig]:
        """The styles, and those that they are made of."""
        found: dict[str, StyleConfig] = {}
        left = list(wanted)
        while left:
            name = left.pop()
            if name not in found:
                found[name] = self.sweep.style_of(name)
                left += [found[name].of] if found[name].of not in ("", RAW) else []
        return list(found.values())

    def _added(
        self,
        config: Config,
        corpus_key: str,
        conversations: Sequence[Mapping[str, Any]],
        held: Sequence[str],
        wanted: Sequence[str],
    ) -> str:
        rewriting = config.rewriting
        if rewriting.gate.marks:  # a file that is missing or broken is told now, not after the rewriting
            read_marks(Path(rewriting.gate.marks))
        turns = config.training.turns
        given = sources(conversations, turns)
        keys: dict[str, str] = {}
        for name in wanted:
            self._style(config, name, given, held, keys, ())
        rewrites = tuple((s, keys[s], tuple(self.sweep.style_of(s).checks)) for s in wanted)
        job = RewriteCheckJob(
            rewrites=rewrites,
            held=tuple(held),
            rules=rewriting.checks,
            facts=rewriting.facts,
            entailment=entailment_fingerprint(rewriting.facts),
            sources=given,
            corpus_key=corpus_key,
            reader=self._reads_facts(config),
        )
        units = len(given) * len(rewrites) if job.reader else 1
        return self.add(job, f"check of {', '.join(wanted)}", units)

    def _style(
        self,
        config: Config,
        name: str,
        given: tuple[Source, ...],
        held: Sequence[str],
        keys: dict[str, str],
        above: tuple[str, ...],
    ) -> str:
        if name in keys:
            return keys[name]
        if name in above:
            raise UserError(f"conf/style: {' is made of '.join((*above, name))}, which never ends.")
        style = self.sweep.style_of(name)
        check_names(style)
        if style.of == RAW and RAW not in held:
            raise UserError(
                f"style {name} rewrites the corpus' own replies (of: raw), but corpus {config.corpus.name} "
                "holds none. Allowed: corpus=sharegpt, a corpus with raw replies, or a style of the model's "
                "own replies (of: self)."
            )
        of_key = (
            "" if style.of in ("", RAW) else self._style(config, style.of, given, held, keys, (*above, name))
        )
        job = RewriteJob(
            style=name,
            reader=self._writer(config, style),
            system_prompt=config.training.system_prompt if not style.of else "",
            limits=Limits(config.rewriting.temperature, 1.0, config.rewriting.max_new_tokens),
            seed=config.rewriting.seed,
            attempts=config.rewriting.attempts,
            checks=tuple(style.checks),
            rules=config.rewriting.checks,
            sources=given,
            of_key=of_key,
        )
        who = job.reader.model.name
        keys[name] = self.add(job, f"{name} replies by {who}", len(given))
        return keys[name]

    def _writer(self, config: Config, style: StyleConfig) -> ReaderRecord:
        if _by_subject(config, style):
            model, engine = config.model, config.engine
        else:
            model = self.sweep.model_of(config.rewriting.model)
            engine = self.sweep.engine_of(config.rewriting.engine)
        text = instruction(style, config.rewriting.length_rule)
        return ReaderRecord(model, self.weights_of(model), engine, text)

    def _reads_facts(self, config: Config) -> ReaderRecord | None:
        asked = config.rewriting.facts
        if not asked.model:
            return None
        model, engine = self.sweep.model_of(asked.model), self.sweep.engine_of(asked.engine)
        return ReaderRecord(model, self.weights_of(model), engine, facts.RUBRIC)


def _needed(config: Config, held: Sequence[str]) -> tuple[str, ...]:
    """Styles that an arm trains on and the corpus does not hold."""
    method = config.method
    if method.kind not in CHANGING:
        return ()
    named = (method.style, method.against if method.kind in ("dpo", "steer") else "", method.match_length)
    return tuple(s for s in named if s and s not in held and s != RAW)


def _require_raw(config: Config, held: Sequence[str]) -> None:
    """Refuse before anything is rewritten a method on replies that no rewriting makes.

    Raises:
        UserError: the method names `raw`, and the corpus holds none.
    """
    method = config.method
    keys = ("style", "match_length", *(("against",) if method.kind in ("dpo", "steer") else ()))
    for key in keys:
        if getattr(method, key) == RAW and RAW not in held:
            raise UserError(
                f"method {method.name}: method.{key} is '{RAW}', but corpus {config.corpus.name} does not "
                "hold a raw reply to every message. Leave the method out, or take a corpus that does."
            )


def _by_subject(config: Config, style: StyleConfig) -> bool:
    return style.by == "subject" or not config.rewriting.model


def _same_rewrites(one: Config, other: Config) -> bool:
    """Whether two arms train on replies rewritten alike."""
    return (one.corpus, one.rewriting, one.training.turns) == (
        other.corpus,
        other.rewriting,
        other.training.turns,
    )

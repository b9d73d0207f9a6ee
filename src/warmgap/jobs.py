"""What each stage is asked to do, as typed values with a content key.

A job holds the part of the configuration that its stage needs, the keys of the artifacts it reads,
and the fingerprints of outside content. Its key covers exactly what can change its result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from warmgap.corpora.settings import key_settings
from warmgap.design.questions import Question
from warmgap.engines.protocol import Limits, Row
from warmgap.engines.recipe import engine_recipe
from warmgap.judging.recipe import judge_recipe
from warmgap.keys import digest, number, text
from warmgap.records import ArmRecord, CellRecord, PromptRow, ReaderRecord, WeightChange
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import (
    AnalysisConfig,
    CorpusConfig,
    EngineConfig,
    JudgeConfig,
    MeterConfig,
    MethodConfig,
    ModelConfig,
    ReportConfig,
    RewriteGateConfig,
    TrainingConfig,
    WarmthConfig,
)
from warmgap.schema.fields import stage_config
from warmgap.training.recipe import recipe
from warmgap.warmth.rating import meter_recipe


@dataclass(frozen=True)
class CorpusJob:
    """Read, check and balance the corpus."""

    stage: ClassVar[str] = "corpus"
    version: ClassVar[int] = 2
    corpus: CorpusConfig
    data: dict[str, str]
    """SHA-256 of each data file by name."""
    extra: tuple[str, ...] = ()
    """Further conversations that a method mixes in; their files are in `data`."""

    @property
    def key(self) -> str:
        """Depends on the sampling of the corpus and on the files' content."""
        return digest(self.stage, self.version, key_settings(self.corpus), self.data)

    @property
    def inputs(self) -> dict[str, str]:
        """Artifacts that must exist first, key by role."""
        return {}


@dataclass(frozen=True)
class TrainJob:
    """Train one adapter, or compute one steering vector; holds all its checkpoints."""

    stage: ClassVar[str] = "train"
    version: ClassVar[int] = 2
    model: ModelConfig
    weights: str
    method: MethodConfig
    training: TrainingConfig
    seed: int
    data: str
    """Fingerprint of the conversations that are trained on: other rows of the corpus change no training."""
    corpus_key: str
    rewrites_key: str = ""
    """The checked rewrites whose rows are trained on; "" where the corpus holds every tone itself."""
    gate: RewriteGateConfig = field(default_factory=RewriteGateConfig)
    """When those may be trained on: a condition, and part of no key."""

    @property
    def key(self) -> str:
        """Depends on weights, conversations, method, recipe and seed; not on the dose."""
        return digest(
            self.stage,
            self.version,
            self.weights,
            recipe(self.model, self.method, self.training),
            self.seed,
            self.data,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """The corpus, and what was made of it."""
        rewrites = {"rewrites": self.rewrites_key} if self.rewrites_key else {}
        return {"corpus": self.corpus_key} | rewrites


@dataclass(frozen=True)
class RespondJob:
    """Answer the prompts of one cell (or the validation prompts) by one arm."""

    stage: ClassVar[str] = "respond"
    version: ClassVar[int] = 2
    model: ModelConfig
    weights: str
    change: WeightChange | None
    """What is added to the base weights; None for the base as it is."""
    engine: EngineConfig
    limits: Limits
    sampling_seed: int
    draw: int
    margin_prefix: str
    prompts: tuple[PromptRow, ...]
    served: str = ""
    """What a server calls an arm whose weights lie in files; empty where the arm itself tells."""

    @property
    def arm_key(self) -> str:
        """Depends on the weights that answer: base, what is added, and how much of it."""
        return digest("weights", self.weights, self.change)

    @property
    def sampling_key(self) -> str:
        """Depends on how answers are drawn."""
        return digest("sampling", self.limits, self.sampling_seed)

    @property
    def key(self) -> str:
        """Depends on the answering weights, the engine, the sampling, and every message."""
        served = (self.served,) if self.served else ()
        return digest(
            self.stage,
            self.version,
            self.arm_key,
            engine_recipe(self.engine),
            self.sampling_key,
            self.draw,
            self.margin_prefix,
            text(self.prompts),
            *served,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """The training, for an arm that has one."""
        return {} if self.change is None else {"train": self.change.train_key}

    def row_key(self, prompt: PromptRow) -> str:
        """Key of one response: arm, messages, sampling, draw."""
        return digest("row", self.arm_key, prompt.messages, self.sampling_key, self.draw)

    def rows(self) -> list[Row]:
        """Rows for the engine, in the cell's order."""
        return [
            Row(
                key=p.id,
                messages=p.messages,
                # From the row's key, so arms and draws have independent noise: flips between arms are
                # then comparable with flips between two draws of one arm.
                seed=number("noise", self.row_key(p)),
                started=self.margin_prefix,
                continuations=p.candidates,
            )
            for p in self.prompts
        ]


@dataclass(frozen=True)
class MeasureJob:
    """Score texts with one warmth meter: an arm's replies, or the corpus' gold replies."""

    stage: ClassVar[str] = "measure"
    version: ClassVar[int] = 2
    meter: MeterConfig
    reference: ModelConfig | None
    reference_weights: str
    """Fingerprint of the weights of the reference or rating model, or of the word lists."""
    source: str
    """`respond` (replies of an arm) or `corpus` (gold replies)."""
    source_key: str
    n_texts: int = 0
    """How many texts there are at most: what scoring them costs depends on it, and no score does."""
    reader: ReaderRecord | None = None
    """What rates the texts, for a meter that asks a language model."""

    @property
    def key(self) -> str:
        """Depends on the meter's formulation, its model (of a rating also the rubric), and the texts."""
        reader = (self.reader.recipe,) if self.reader else ()
        return digest(
            self.stage,
            self.version,
            meter_recipe(self.meter),
            self.reference_weights,
            self.source_key,
            *reader,
        )

    @property
    def reference_base(self) -> str:
        """The reference model as it is loaded; "" for a meter without one."""
        if self.reference is None or self.reader is not None:
            return ""
        return f"reference:{self.reference_weights}:{self.meter.precision}:{self.meter.device}"

    @property
    def inputs(self) -> dict[str, str]:
        """Where the texts come from."""
        return {self.source: self.source_key}


def _references(questions: tuple[Question, ...]) -> list[tuple[Any, ...]]:
    return [(q.id, q.question, q.right_forms, q.target_forms) for q in questions]


@dataclass(frozen=True)
class JudgeJob:
    """Judge the responses of one cell."""

    stage: ClassVar[str] = "judge"
    version: ClassVar[int] = 1
    judge: JudgeConfig
    questions: tuple[Question, ...]
    respond_key: str
    reader: ReaderRecord | None = None
    """What reads the responses, for a judge that asks a language model."""

    @property
    def key(self) -> str:
        """Depends on the responses, the references and the rubric, and on the model that reads."""
        reader = (self.reader.recipe,) if self.reader else ()
        scorers = (self.scorers,) if self.scorers else ()
        return digest(
            self.stage,
            self.version,
            judge_recipe(self.judge),
            text(self.questions, _references),
            self.respond_key,
            *reader,
            *scorers,
        )

    @property
    def scorer(self) -> str:
        """What scores its questions instead of the judge, the same for all; empty where the judge does."""
        return self.questions[0].scorer

    @property
    def scorers(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Scorer and options of each question that has one; all or none have."""
        return tuple((q.scorer, q.options) for q in self.questions if q.scorer)

    @property
    def inputs(self) -> dict[str, str]:
        """The responses."""
        return {"respond": self.respond_key}


@dataclass(frozen=True)
class AnalyseJob:
    """Join every cell of a sweep into observations and compute its tables."""

    stage: ClassVar[str] = "analyse"
    version: ClassVar[int] = 5
    arms: tuple[ArmRecord, ...]
    cells: tuple[CellRecord, ...]
    gold: tuple[tuple[str, str], ...]
    """Meter name and key of the artifact with the gold replies' scores, in configured order."""
    analysis: AnalysisConfig
    warmth: WarmthConfig
    curves: tuple[tuple[str, str], ...] = field(default=())
    """Arm label and training key, for the loss curves."""

    @property
    def key(self) -> str:
        """Depends on the answers, verdicts, scores and names of a sweep, and on the analysis."""
        return digest(
            self.stage,
            self.version,
            self.arms,
            self.cells,
            self.gold,
            stage_config(self.analysis, "analyse"),
            stage_config(self.warmth, "analyse"),
            self.curves,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """Every judged cell, every response, every score."""
        out = {f"judge:{i}": c.judge_key for i, c in enumerate(self.cells)}
        out |= {f"respond:{i}": c.respond_key for i, c in enumerate(self.cells)}
        out |= {f"measure:{n}:{a.arm_key[:8]}": k for a in self.arms for n, k in a.measures}
        out |= {f"measure:gold:{n}": k for n, k in self.gold}
        out |= {f"canary:{i}:{a.arm_key[:8]}": k for a in self.arms for i, k in enumerate(a.canary)}
        return out | {f"train:{n}": k for n, k in self.curves}


@dataclass(frozen=True)
class ReportJob:
    """Draw figures and the page from the tables."""

    stage: ClassVar[str] = "report"
    version: ClassVar[int] = 6
    report: ReportConfig
    analyse_key: str
    sweep: str
    facts: dict[str, Any]
    """What was run, for the page: names, sizes, sampling, command."""
    frozen: dict[str, Any] = field(default_factory=dict)
    """Hash and time of the frozen plan, and the deviations from it; empty where none was frozen."""

    @property
    def key(self) -> str:
        """Depends on the tables, on what the page says of the sweep, and on what was frozen."""
        frozen = (self.frozen,) if self.frozen else ()
        return digest(
            self.stage,
            self.version,
            stage_config(self.report, "report"),
            self.analyse_key,
            self.sweep,
            self.facts,
            *frozen,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """The tables."""
        return {"analyse": self.analyse_key}


Job = (
    CorpusJob
    | RewriteJob
    | RewriteCheckJob
    | TrainJob
    | RespondJob
    | MeasureJob
    | JudgeJob
    | AnalyseJob
    | ReportJob
)

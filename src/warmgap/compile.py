"""Compile a sweep: arms x row axes -> jobs.

Arms come from composed configurations; tasks, framings, beliefs, judges and draws are row axes, so
no configuration is composed for a cell. Arms and artifacts that are the same by key are made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from warmgap.corpora import open as corpora
from warmgap.corpora.settings import check_corpus
from warmgap.engines.open import require_for
from warmgap.engines.protocol import Limits
from warmgap.engines.recipe import engine_recipe, served_name
from warmgap.errors import UserError
from warmgap.jobs import (
    AnalyseJob,
    CorpusJob,
    Job,
    JudgeJob,
    ReportJob,
    RespondJob,
)
from warmgap.judging.open import open_reader
from warmgap.keys import Shared, digest
from warmgap.models.weights import fingerprint
from warmgap.plan import Node, Plan, ordered
from warmgap.planned_questions import AskedCell, PlannedQuestions, design_settings
from warmgap.planned_rewriting import Rewritings
from warmgap.planned_training import Trainings, measured_checkpoints
from warmgap.planned_warmth import PlannedWarmth
from warmgap.records import ArmRecord, CellRecord, PromptRow, ReaderRecord, WeightChange
from warmgap.schema.config import (
    Config,
    CorpusConfig,
    JudgeConfig,
    ModelConfig,
)
from warmgap.statistics.arms import DOSE, is_further
from warmgap.sweep import ArmConfig, Sweep, described, dose_of, with_doses
from warmgap.training.recipe import CHANGING, SEEDED, check_method


@dataclass
class _Weights:
    """Fingerprints of base weights, asked for once each."""

    known: dict[tuple[str, str], str]

    def of(self, model: ModelConfig) -> str:
        at = (model.source, model.revision)
        if at not in self.known:
            self.known[at] = fingerprint(model)
        return self.known[at]


def compile_plan(sweep: Sweep) -> Plan:
    """All jobs of a sweep.

    Raises:
        UserError: an option that cannot be run, named.
    """
    builder = _Builder(sweep)
    for arm in sweep.arms:
        for dosed in with_doses(arm):
            builder.add_arm(dosed)
    return builder.finish()


class _Builder:
    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.weights = _Weights({})
        self.nodes: list[Node] = []
        self.arms: dict[str, ArmRecord] = {}
        self.cells: list[CellRecord] = []
        self.curves: dict[str, str] = {}
        self.questions = PlannedQuestions(sweep)
        self.rewritings = Rewritings(sweep, self.weights.of, self.add)
        self.trainings = Trainings(self.weights.of, self.add)
        self.warmth = PlannedWarmth(sweep.model_of, sweep.engine_of, self.weights.of, self.add, self._respond)
        self.judges = [(j, self._reader(j)) for j in sweep.judges]

    def _reader(self, judge: JudgeConfig) -> ReaderRecord | None:
        """What reads for a judge that asks a language model."""
        reader = open_reader(judge)
        if reader is None:
            return None
        model, engine = self.sweep.model_of(judge.model), self.sweep.engine_of(judge.engine)
        return ReaderRecord(model, self.weights.of(model), engine, reader.rubric)

    def add(self, job: Job, label: str, units: int) -> str:
        """Add a job; returns its key."""
        node = Node(job, label, units)
        self.nodes.append(node)
        return node.key

    def add_arm(self, arm: ArmConfig) -> None:
        """Training, answers, verdicts and warmth of one arm; nothing if the same arm is there."""
        config = arm.config
        method = config.method
        check_method(method)
        require_for(config.engine.name, method.kind in CHANGING, config.sampling.margin)
        corpus_key = self._corpus(config)
        rewrites_key = self.rewritings.of(config, corpus_key) if method.kind in CHANGING else ""
        change = self.trainings.of(config, corpus_key, rewrites_key)
        n_planned = self.trainings.n_planned(config, rewrites_key) if change is not None else 0
        shrinks = bool(rewrites_key) or config.training.too_long == "cut"
        dose_kind, dose = dose_of(config, change, n_planned)
        record = ArmRecord(
            arm_key=self._arm_key(config, change),
            model=config.model.name,
            method=method.name,
            dose_kind=dose_kind,
            dose=dose,
            seed=config.seed if method.kind in SEEDED else 0,
            variant=arm.variant,
            shrinking=change.train_key if change is not None and shrinks else "",
            n_planned=n_planned if shrinks and not config.training.epochs else 0,
        )
        known = self.arms.get(record.arm_key)
        if known is not None and not known.measured_only:
            # What is swept does not reach this arm: it is answered once and is no variant of it.
            self.arms[record.arm_key] = replace(known, variant=_common(known.variant, arm.variant))
            return
        self.arms[record.arm_key] = replace(
            record,
            measures=self.warmth.scores(config, change),
            canary=self.warmth.canary(config, change),
        )
        self._cells(config, change, list(self.arms).index(record.arm_key))
        if change is not None:
            name = " ".join(
                filter(None, (config.model.name, method.name, f"seed {config.seed}", arm.variant))
            )
            if method.kind in SEEDED and change.train_key not in self.curves.values():
                self.curves[name] = change.train_key
            further = [] if is_further(arm.variant) else measured_checkpoints(config)
            for share in further:
                if config.seed == self.sweep.arms[0].config.seed and share != change.checkpoint:
                    self._checkpoint(config, replace(change, checkpoint=share), record, n_planned)

    def _checkpoint(self, config: Config, change: WeightChange, record: ArmRecord, n_planned: int) -> None:
        key = self._arm_key(config, change)
        if key in self.arms:
            return
        self.arms[key] = replace(
            record,
            arm_key=key,
            dose=dose_of(config, change, n_planned)[1],
            variant=",".join(filter(None, (record.variant, DOSE))),
            measures=self.warmth.scores(config, change),
            measured_only=True,
        )

    def _arm_key(self, config: Config, change: WeightChange | None) -> str:
        return digest(
            "arm",
            self.weights.of(config.model),
            change,
            config.method.persona,
            engine_recipe(config.engine),
            (config.sampling, design_settings(config.design)),
            *self.questions.content(config.design),
        )

    def _corpus(self, config: Config) -> str:
        return self._corpus_job(config.corpus)

    def _corpus_job(self, corpus: CorpusConfig) -> str:
        check_corpus(corpus)
        mixed_in = {arm.config.method.extra for arm in self.sweep.arms if arm.config.corpus == corpus}
        extra = tuple(sorted(mixed_in - {""}))
        job = CorpusJob(corpus, corpora.fingerprints(corpus, extra), extra)
        return self.add(job, f"corpus {corpus.name}", 1)

    def _respond(
        self,
        config: Config,
        change: WeightChange | None,
        prompts: Sequence[PromptRow],
        draw: int,
        limits: Limits,
        label: str,
    ) -> str:
        job = RespondJob(
            model=config.model,
            weights=self.weights.of(config.model),
            change=change,
            engine=config.engine,
            limits=limits,
            sampling_seed=config.sampling.seed,
            draw=draw,
            margin_prefix=config.sampling.margin_prefix if any(p.candidates for p in prompts) else "",
            prompts=prompts if isinstance(prompts, Shared) else tuple(prompts),
            served=served_name(config, changed=change is not None),
        )
        return self.add(job, label, len(prompts))

    def _cells(self, config: Config, change: WeightChange | None, arm: int) -> None:
        sampling = config.sampling
        limits = Limits(sampling.temperature, sampling.top_p, sampling.max_new_tokens)
        draws = max(sampling.draws, sampling.extra_draws.get(config.method.name, 1))
        for cell in self.questions.cells(config):
            for draw in range(draws):
                label = (
                    f"{config.model.name} {config.method.name} seed {config.seed}, "
                    f"{cell.task} {cell.framing} {cell.belief}{f' draw {draw}' if draw else ''}"
                )
                key = self._respond(config, change, cell.prompts, draw, limits, label)
                self._judge(cell, key, label, arm, draw, config)

    def _judge(
        self, cell: AskedCell, respond_key: str, label: str, arm: int, draw: int, config: Config
    ) -> None:
        for judge, reader in self.judges:
            asks = open_reader(judge, cell.questions[0].scorer)
            reads = replace(reader, rubric=asks.rubric) if reader and asks else None
            job = JudgeJob(judge, cell.questions, respond_key, reads)
            key = self.add(job, label, len(cell.questions))
            self.cells.append(
                CellRecord(
                    arm=arm,
                    task=cell.task,
                    form=cell.form,
                    prompt_mode=config.design.mode,
                    framing=cell.framing,
                    belief=cell.belief,
                    draw=draw,
                    judge=judge.name,
                    respond_key=respond_key,
                    judge_key=key,
                )
            )

    def finish(self) -> Plan:
        """The plan with analysis and report."""
        _check_labels(tuple(self.arms.values()))
        base = self.sweep.arms[0].config
        corpus_key = self._corpus(base)
        gold_corpus = corpora.gold_corpus(base.corpus)
        gold_key = corpus_key if gold_corpus == base.corpus else self._corpus_job(gold_corpus)
        gold = self.warmth.gold_scores(base, gold_key)
        analyse = AnalyseJob(
            arms=tuple(self.arms.values()),
            cells=tuple(self.cells),
            gold=gold,
            analysis=base.analysis,
            warmth=base.warmth,
            curves=tuple(self.curves.items()),
        )
        analyse_key = self.add(analyse, "tables", len(self.cells))
        loaded = self.questions.loaded(base)
        facts = described(self.sweep, base, loaded, self.rewritings.used) | self.questions.facts(base)
        self.add(ReportJob(base.report, analyse_key, self.sweep.name, facts), "figures and page", 1)
        # Beside the report's facts, since a question of the file that is not asked changes no key.
        files = {name: of.facts() for name, of in loaded.items() if not of.packaged}
        summary = facts | {"task_files": files} if files else facts
        return Plan(self.sweep.name, ordered(self.nodes), summary)


def _check_labels(arms: Sequence[ArmRecord]) -> None:
    """Refuse arms with different weights that no column of a table would tell apart.

    Raises:
        UserError: names them, and what to leave out.
    """
    seen: set[tuple[object, ...]] = set()
    for arm in arms:
        label = (arm.model, arm.method, arm.dose_kind, arm.dose, arm.seed, arm.variant)
        if label in seen:
            raise UserError(
                f"two arms of {arm.model} would both be called {arm.method} with {arm.dose_kind} "
                f"{arm.dose:g}, seed {arm.seed}: they differ in a checkpoint or a scale that no column "
                f"shows. Give doses.{arm.method} without a sweep of method.checkpoint or method.scale, "
                "or the reverse."
            )
        seen.add(label)


def _common(a: str, b: str) -> str:
    """The overrides that two variants share."""
    return ",".join(s for s in a.split(",") if s in b.split(","))

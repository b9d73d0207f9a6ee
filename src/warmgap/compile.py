"""Compile a sweep: arms x row axes -> jobs.

Arms come from composed configurations; tasks, framings, beliefs, judges and draws are row axes, so
no configuration is composed for a cell. Arms and artifacts that are the same by key are made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from warmgap.corpora import embedded as corpora
from warmgap.design import beliefs, framings
from warmgap.design.prompts import compile_prompts
from warmgap.design.questions import Question, choose
from warmgap.engines.open import capabilities
from warmgap.engines.protocol import Limits
from warmgap.errors import UserError
from warmgap.jobs import (
    AnalyseJob,
    CorpusJob,
    Job,
    JudgeJob,
    ReportJob,
    RespondJob,
)
from warmgap.judging.open import open_judge
from warmgap.keys import digest, file_sha256
from warmgap.models.weights import fingerprint
from warmgap.plan import Node, Plan, ordered
from warmgap.planned_training import Trainings, measured_checkpoints
from warmgap.planned_warmth import PlannedWarmth
from warmgap.records import ArmRecord, CellRecord, PromptRow, WeightChange
from warmgap.schema.config import (
    Config,
    ModelConfig,
    TaskConfig,
)
from warmgap.schema.fields import stage_config
from warmgap.statistics.arms import is_further
from warmgap.sweep import ArmConfig, Sweep, described, dose_of, with_doses
from warmgap.tasks import embedded as tasks
from warmgap.training.recipe import CHANGING, check_method


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
        self.questions = {t.name: tasks.load(t) for t in sweep.tasks}
        self.trainings = Trainings(self.weights.of, self.add)
        self.warmth = PlannedWarmth(sweep.model_of, self.weights.of, self.add, self._respond)
        self.judges = [(j, open_judge(j)) for j in sweep.judges]

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
        capabilities(config.engine.name).require(
            config.engine.name, adapters=method.kind in CHANGING, logprobs=config.sampling.margin
        )
        corpus_key = self._corpus(config)
        change = self.trainings.of(config, corpus_key)
        dose_kind, dose = self._dose(config, change)
        record = ArmRecord(
            arm_key=self._arm_key(config, change),
            model=config.model.name,
            method=method.name,
            dose_kind=dose_kind,
            dose=dose,
            seed=config.seed if method.kind in ("sft", "dpo") else 0,
            variant=arm.variant,
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
            if method.kind in ("sft", "dpo") and change.train_key not in self.curves.values():
                self.curves[name] = change.train_key
            further = [] if is_further(arm.variant) else measured_checkpoints(config)
            for share in further:
                if config.seed == self.sweep.arms[0].config.seed and share != change.checkpoint:
                    self._checkpoint(config, replace(change, checkpoint=share), record)

    def _checkpoint(self, config: Config, change: WeightChange, record: ArmRecord) -> None:
        key = self._arm_key(config, change)
        if key in self.arms:
            return
        self.arms[key] = replace(
            record,
            arm_key=key,
            dose=self._dose(config, change)[1],
            measures=self.warmth.scores(config, change),
            measured_only=True,
        )

    def _dose(self, config: Config, change: WeightChange | None) -> tuple[str, float]:
        n = len(self.trainings.rows(config)) if change is not None else 0
        return dose_of(config, change, n)

    def _arm_key(self, config: Config, change: WeightChange | None) -> str:
        return digest(
            "arm",
            self.weights.of(config.model),
            change,
            config.method.persona,
            stage_config(config.engine, "respond"),
            (config.sampling, config.design),
        )

    def _corpus(self, config: Config) -> str:
        train, held_out = corpora.paths_of(config.corpus)
        data = {}
        further = [corpora.extra_path(config.corpus, name) for name in corpora.extras(config.corpus)]
        for path in (*train, *held_out, *further):
            if not path.is_file():
                raise UserError(f"missing file: {path} does not exist. Check corpus.path.")
            data[path.name] = file_sha256(path)
        job = CorpusJob(config.corpus, data)
        return self.add(job, f"corpus {config.corpus.name}", 1)

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
            prompts=tuple(prompts),
        )
        return self.add(job, label, len(prompts))

    def _cells(self, config: Config, change: WeightChange | None, arm: int) -> None:
        sampling = config.sampling
        limits = Limits(sampling.temperature, sampling.top_p, sampling.max_new_tokens)
        draws = max(sampling.draws, sampling.extra_draws.get(config.method.name, 1))
        for task in self.sweep.tasks:
            asked = choose(self.questions[task.name], task.n_questions, config.design.seed)
            for framing_config in self.sweep.framings:
                framing = framings.framing(framing_config, config.design.framing_set)
                for belief_config in self.sweep.beliefs:
                    belief = beliefs.belief(belief_config)
                    prompts = compile_prompts(asked, framing, belief, config.method.persona, config.design)
                    rows = [
                        PromptRow(
                            p.question.id,
                            p.statement_id,
                            p.messages,
                            (p.question.answer, p.question.wrong_answer) if sampling.margin else (),
                        )
                        for p in prompts
                    ]
                    for draw in range(draws):
                        label = (
                            f"{config.model.name} {config.method.name} seed {config.seed}, "
                            f"{task.name} {framing.name} {belief.name}{f' draw {draw}' if draw else ''}"
                        )
                        key = self._respond(config, change, rows, draw, limits, label)
                        self._judge(asked, key, label, arm, task, framing.name, belief.name, draw, config)

    def _judge(
        self,
        asked: tuple[Question, ...],
        respond_key: str,
        label: str,
        arm: int,
        task: TaskConfig,
        framing: str,
        belief: str,
        draw: int,
        config: Config,
    ) -> None:
        for judge, _ in self.judges:
            job = JudgeJob(judge, asked, respond_key)
            key = self.add(job, label, len(asked))
            self.cells.append(
                CellRecord(
                    arm=arm,
                    task=task.name,
                    form=task.form,
                    prompt_mode=config.design.mode,
                    framing=framing,
                    belief=belief,
                    draw=draw,
                    judge=judge.name,
                    respond_key=respond_key,
                    judge_key=key,
                )
            )

    def finish(self) -> Plan:
        """The plan with analysis and report."""
        base = self.sweep.arms[0].config
        corpus_key = self._corpus(base)
        gold = self.warmth.gold_scores(base, corpus_key)
        analyse = AnalyseJob(
            arms=tuple(self.arms.values()),
            cells=tuple(self.cells),
            gold=gold,
            analysis=base.analysis,
            warmth=base.warmth,
            curves=tuple(self.curves.items()),
        )
        analyse_key = self.add(analyse, "tables", len(self.cells))
        facts = described(self.sweep, base, self.questions)
        self.add(ReportJob(base.report, analyse_key, self.sweep.name, facts), "figures and page", 1)
        return Plan(self.sweep.name, ordered(self.nodes), facts)


def _common(a: str, b: str) -> str:
    """The overrides that two variants share."""
    return ",".join(s for s in a.split(",") if s in b.split(","))

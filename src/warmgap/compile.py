"""Compile a sweep: arms x row axes -> jobs.

Arms come from composed configurations; tasks, framings, beliefs, judges and draws are row axes, so
no configuration is composed for a cell. Arms and artifacts that are the same by key are made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from warmgap.corpora import embedded as corpora
from warmgap.design import beliefs, framings
from warmgap.design.prompts import compile_prompts, system_message
from warmgap.design.questions import Question, choose
from warmgap.engines.open import capabilities
from warmgap.engines.protocol import Limits
from warmgap.errors import UserError
from warmgap.jobs import (
    AnalyseJob,
    ArmRecord,
    CellRecord,
    CorpusJob,
    Job,
    JudgeJob,
    MeasureJob,
    PromptRow,
    ReportJob,
    RespondJob,
    TrainJob,
)
from warmgap.judging.open import open_judge
from warmgap.keys import digest, file_sha256
from warmgap.models.weights import fingerprint
from warmgap.plan import Node, Plan, ordered
from warmgap.schema.config import (
    Config,
    ModelConfig,
    TaskConfig,
)
from warmgap.schema.fields import stage_config
from warmgap.sweep import ArmConfig, Sweep, described, epochs
from warmgap.tasks import embedded as tasks
from warmgap.training.length import total_steps
from warmgap.warmth.lexicon import lexicon_fingerprint
from warmgap.warmth.meters import meter_name

KINDS = ("none", "prompt", "sft")


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
        builder.add_arm(arm)
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
        self.conversations: dict[str, list[corpora.Row]] = {}
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
        if method.kind not in KINDS:
            raise UserError(f"method.kind={method.kind} does not exist. Allowed: {', '.join(KINDS)}.")
        capabilities(config.engine.name).require(
            config.engine.name, adapters=method.kind == "sft", logprobs=config.sampling.margin
        )
        corpus_key = self._corpus(config)
        adapter = self._training(config, corpus_key)
        record = ArmRecord(
            arm_key=self._arm_key(config, adapter),
            model=config.model.name,
            method=method.name,
            dose_kind=method.dose_kind,
            dose=epochs(config, adapter),
            seed=config.seed if method.kind == "sft" else 0,
            variant=arm.variant,
        )
        known = self.arms.get(record.arm_key)
        if known is not None and not known.measured_only:
            # What is swept does not reach this arm: it is answered once and is no variant of it.
            self.arms[record.arm_key] = replace(known, variant=_common(known.variant, arm.variant))
            return
        self.arms[record.arm_key] = replace(record, measures=self._warmth(config, adapter, corpus_key))
        self._cells(config, adapter, list(self.arms).index(record.arm_key))
        if adapter is not None:
            self.curves[
                f"{config.model.name} {method.name} seed {config.seed}{arm.variant and ' ' + arm.variant}"
            ] = adapter[0]
            for share in config.warmth.checkpoints.get(method.name, []):
                if config.seed == self.sweep.arms[0].config.seed and share != adapter[1]:
                    self._checkpoint(config, (adapter[0], share), record, corpus_key)

    def _checkpoint(
        self, config: Config, adapter: tuple[str, float], record: ArmRecord, corpus_key: str
    ) -> None:
        key = self._arm_key(config, adapter)
        if key in self.arms:
            return
        self.arms[key] = replace(
            record,
            arm_key=key,
            dose=epochs(config, adapter),
            measures=self._warmth(config, adapter, corpus_key),
            measured_only=True,
        )

    def _arm_key(self, config: Config, adapter: tuple[str, float] | None) -> str:
        return digest(
            "arm",
            self.weights.of(config.model),
            adapter,
            config.method.persona,
            stage_config(config.engine, "respond"),
            (config.sampling, config.design),
        )

    def _corpus(self, config: Config) -> str:
        train, held_out = corpora.paths_of(config.corpus)
        data = {}
        for path in (*train, *held_out):
            if not path.is_file():
                raise UserError(f"missing file: {path} does not exist. Check corpus.path.")
            data[path.name] = file_sha256(path)
        job = CorpusJob(config.corpus, data)
        return self.add(job, f"corpus {config.corpus.name}", 1)

    def _training(self, config: Config, corpus_key: str) -> tuple[str, float] | None:
        method = config.method
        if method.kind != "sft":
            return None
        if method.style not in corpora.STYLES:
            raise UserError(
                f"method {method.name}: style {method.style!r} is not in the corpus. "
                f"Allowed: {', '.join(corpora.STYLES)}."
            )
        shares = config.training.checkpoints
        share = max(shares) if method.checkpoint < 0 else method.checkpoint
        for wanted in (share, *config.warmth.checkpoints.get(method.name, [])):
            if wanted not in shares:
                unit = "epochs" if config.training.epochs else "of the steps"
                key = "method.checkpoint" if wanted == share else f"warmth.checkpoints.{method.name}"
                raise UserError(
                    f"method {method.name}: there is no checkpoint at {wanted} {unit}, as {key} asks. "
                    f"training.checkpoints holds {shares}; add it there, or set {key} to what it holds."
                )
        job = TrainJob(
            config.model,
            self.weights.of(config.model),
            method.style,
            config.training,
            config.seed,
            self._trained_on(config),
            corpus_key,
        )
        label = f"{config.model.name} {method.name} seed {config.seed}"
        steps = total_steps(config.training, config.corpus.n_conversations)
        return self.add(job, label, steps), share

    def _trained_on(self, config: Config) -> str:
        """Fingerprint of the conversations that a training sees, in its tone."""
        at = digest(config.corpus)
        if at not in self.conversations:
            self.conversations[at] = corpora.conversations(config.corpus)
        style = config.method.style
        return digest([(row["id"], row["user"], row[style]) for row in self.conversations[at]])

    def _respond(
        self,
        config: Config,
        adapter: tuple[str, float] | None,
        prompts: Sequence[PromptRow],
        draw: int,
        limits: Limits,
        label: str,
    ) -> str:
        job = RespondJob(
            model=config.model,
            weights=self.weights.of(config.model),
            adapter=adapter,
            engine=config.engine,
            limits=limits,
            sampling_seed=config.sampling.seed,
            draw=draw,
            margin_prefix=config.sampling.margin_prefix if any(p.candidates for p in prompts) else "",
            prompts=tuple(prompts),
        )
        return self.add(job, label, len(prompts))

    def _warmth(
        self, config: Config, adapter: tuple[str, float] | None, corpus_key: str
    ) -> tuple[tuple[str, str], ...]:
        warmth = config.warmth
        if not warmth.meters or config.method.name in warmth.skip:
            return ()
        system = system_message(warmth.system_prompt, config.method.persona)
        held_out = corpora.validation(replace(config.corpus, n_validation=warmth.n_prompts))
        opening = (("system", system),) if system else ()
        prompts = [PromptRow(row["id"], None, (*opening, ("user", row["user"]))) for row in held_out]
        limits = Limits(warmth.temperature, config.sampling.top_p, warmth.max_new_tokens)
        name = f"{config.model.name} {config.method.name} seed {config.seed}"
        replies = self._respond(config, adapter, prompts, 0, limits, f"{name}, validation prompts")
        return tuple(
            (
                meter_name(meter),
                self._measure(
                    meter, "respond", replies, min(len(prompts), meter.max_texts or len(prompts)), name
                ),
            )
            for meter in warmth.meters
        )

    def _measure(self, meter: Any, source: str, key: str, units: int, label: str) -> str:
        reference = self.sweep.model_of(meter.reference) if meter.reference else None
        job = MeasureJob(
            meter=meter,
            reference=reference,
            reference_weights=self.weights.of(reference) if reference else lexicon_fingerprint(),
            source=source,
            source_key=key,
        )
        return self.add(job, f"{label}, {meter.name}", units)

    def _cells(self, config: Config, adapter: tuple[str, float] | None, arm: int) -> None:
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
                        key = self._respond(config, adapter, rows, draw, limits, label)
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
        gold = tuple(
            (meter_name(m), self._measure(m, "corpus", corpus_key, 3 * 60, "gold replies"))
            for m in base.warmth.meters
        )
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

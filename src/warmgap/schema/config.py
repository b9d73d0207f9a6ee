"""Typed configuration: one dataclass per Hydra group, one field per key.

Defaults here are only types and fallbacks; what a user reads and changes are the yamls in conf/,
where every key carries its comment. A key that is not declared here is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cluster import ClusterConfig
from .fields import setting
from .tracking import WandbConfig


@dataclass
class PriceConfig:
    """What a service asks for answers, in USD; 0 where nothing is asked."""

    usd_per_million_input: float = setting(0.0)
    usd_per_million_output: float = setting(0.0)
    tuned_usd_per_million_input: float = setting(0.0)  # of a model fine-tuned there
    tuned_usd_per_million_output: float = setting(0.0)


@dataclass
class ModelConfig:
    """Base weights and how they speak."""

    name: str = setting("???")
    source: str = setting("???")  # its content enters keys as a fingerprint
    revision: str = setting("main")
    trust_remote_code: bool = setting(False)
    price: PriceConfig = setting(PriceConfig())


@dataclass
class MethodConfig:
    """How a model is changed: not at all, by a prompt, or by training on one tone of the corpus."""

    name: str = setting("???")
    kind: str = setting("none", "train")  # none, prompt, sft, dpo, steer
    style: str = setting("", "train")  # tone of the corpus: trained on, preferred, or steered towards
    against: str = setting("", "train")  # dpo, steer: the tone that is rejected, or steered away from
    extra: str = setting("", "train")  # further conversations of the corpus, mixed in
    match_length: str = setting("", "train")  # keep conversations so that style is as long as this tone
    rate_factor: float = setting(1.0, "train")  # times training.learning_rate
    beta: float = setting(0.1, "train")  # dpo: how far the model may leave the reference
    layer: float = setting(0.5, "train")  # steer: where the vector is added, as a share of the depth
    persona: str = setting("")  # enters through the messages of each prompt
    checkpoint: float = setting(-1.0)  # one of training.checkpoints; -1: the last
    scale: float = setting(1.0)  # of the adapter, or coefficient of the steering vector


@dataclass
class ToxicityConfig:
    """A text classifier by which conversations are left out; none without a source."""

    source: str = setting("")  # its content enters keys as a fingerprint
    revision: str = setting("main")
    labels: list[str] = setting([], "corpus")  # empty: all
    activation: str = setting("sigmoid", "corpus")  # sigmoid, softmax
    threshold: float = setting(0.5, "corpus")
    max_chars: int = setting(4000, "corpus")  # 0: all
    turns: str = setting("all", "corpus")  # all, user, assistant, first_pair
    batch_texts: int = setting(32)
    device: str = setting("cpu")


@dataclass
class ChatLogConfig:
    """How chat logs become conversations; enters keys only where the corpus is of kind chatlogs."""

    source: str = setting("")  # hub:ORG/NAME/FILE, where path is empty; its content is a fingerprint
    revision: str = setting("main")
    unit: str = setting("conversation", "corpus")  # conversation, pair
    faulty: str = setting("cut", "corpus")  # cut, drop
    system_turns: str = setting("strip", "corpus")  # strip, drop
    html: str = setting("keep", "corpus")  # keep, strip, drop
    min_pairs: int = setting(1, "corpus")
    max_turns: int = setting(20, "corpus")  # 0: no limit
    max_tokens: int = setting(1024, "corpus")  # 0: no limit
    too_long: str = setting("cut", "corpus")  # cut, drop
    tokenizer: str = setting("")  # a model's source; its content is a fingerprint
    chars_per_token: float = setting(4.0, "corpus")  # where no tokenizer is given
    part_ids: bool = setting(True, "corpus")  # ids as X_0 and X_12 are parts of one conversation
    scarce: str = setting("error", "corpus")  # error, take
    max_lost_share: float = setting(0.2)
    gold: str = setting("embedded")  # whose replies of known tone calibrate meters; enters by their content
    toxicity: ToxicityConfig = setting(ToxicityConfig())


@dataclass
class CorpusConfig:
    """Conversations to train on, and validation prompts."""

    name: str = setting("???")
    path: str = setting("")
    n_conversations: int = setting(300, "corpus")
    n_validation: int = setting(200, "corpus")
    seed: int = setting(0, "corpus")
    kind: str = setting("embedded", "corpus")  # embedded, chatlogs
    chatlogs: ChatLogConfig = setting(ChatLogConfig())


@dataclass
class StyleConfig:
    """A tone that replies are rewritten in; found by the name that a method's style has."""

    name: str = setting("")
    of: str = setting("raw")  # what is rewritten: raw, another style; empty: the message is answered anew
    by: str = setting("rewriter")  # rewriter, subject
    instruction: str = setting("")  # {length_rule} stands for rewriting.length_rule; enters as messages
    checks: list[str] = setting([])  # faults that leave a reply out: corpora/rewriting/checks.py


@dataclass
class RewriteChecksConfig:
    """When a rewritten reply is at fault."""

    min_length_ratio: float = setting(0.5)  # characters of the rewrite by those of what was rewritten
    max_length_ratio: float = setting(2.0)
    length_slack_chars: int = setting(80)  # never at fault within so many characters
    refusal_substrings: list[str] = setting([])


@dataclass
class RewriteFactsConfig:
    """How it is told whether a rewrite keeps the facts, besides the checks by rule."""

    model: str = setting("")  # an option of conf/model that is asked; empty: none is
    engine: str = setting("")  # an option of conf/engine for it
    max_new_tokens: int = setting(300)
    entailment: str = setting("")  # source of a classifier of entailment or of a text embedder; empty: none
    entailment_revision: str = setting("main")
    entailment_kind: str = setting("nli")  # nli, nli_strict, embedding
    min_entailment: float = setting(0.5)
    device: str = setting("cpu")


@dataclass
class RewriteGateConfig:
    """When a set of rewrites may be trained on."""

    max_lost_share: float = setting(0.05)  # of the conversations, over every style trained on
    max_type_loss: float = setting(0.1)  # of the conversations of any one query type
    max_facts_changed_share: float = setting(0.05)  # of the replies that were read for their facts
    max_facts_unread_share: float = setting(0.1)  # of the replies that were to be read
    marks: str = setting("")  # a file of a person's marks on the sheet; enters by its content
    min_marked: int = setting(0)  # marks that there must be
    max_marked_bad_share: float = setting(0.1)
    override: list[str] = setting([])  # styles trained on all the same


@dataclass
class RewritingConfig:
    """Who rewrites the corpus' replies, and when the result may be trained on."""

    name: str = setting("???")
    model: str = setting("")  # an option of conf/model
    engine: str = setting("")  # an option of conf/engine
    temperature: float = setting(0.0)
    max_new_tokens: int = setting(1024)
    seed: int = setting(0)
    attempts: int = setting(2)  # a reply at fault is asked for again, with another seed
    length_rule: str = setting("")
    together: list[str] = setting([])  # styles whose rows must all be sound; empty: those the sweep trains on
    checks: RewriteChecksConfig = setting(RewriteChecksConfig())
    facts: RewriteFactsConfig = setting(RewriteFactsConfig())
    gate: RewriteGateConfig = setting(RewriteGateConfig())


@dataclass
class LoraConfig:
    """Low-rank adapters (paper, Methods: r 8, alpha 16, dropout 0.1)."""

    r: int = setting(8, "train")
    alpha: int = setting(16, "train")
    dropout: float = setting(0.1, "train")
    target_modules: list[str] = setting(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], "train"
    )


@dataclass
class ApiTrainingConfig:
    """Fine-tuning behind an OpenAI-compatible service; only for models whose source is `api:`."""

    n_epochs: int = setting(2, "train")
    batch_size: int = setting(16, "train")
    learning_rate_multiplier: float = setting(0.25, "train")
    usd_per_million_tokens: float = setting(25.0)
    max_cost_usd: float = setting(0.0)
    poll_s: float = setting(30.0)


@dataclass
class TrainingConfig:
    """Fine-tuning of adapters."""

    name: str = setting("???")
    lora: LoraConfig = setting(LoraConfig())
    learning_rate: float = setting(1e-3, "train")
    schedule: str = setting("linear", "train")  # constant, linear, cosine
    warmup_steps: int = setting(2, "train")
    weight_decay: float = setting(0.0, "train")
    max_grad_norm: float = setting(1.0, "train")
    steps: int = setting(24, "train")  # 0 with epochs
    epochs: float = setting(0.0, "train")  # 0: steps count
    batch_rows: int = setting(8, "train")
    accumulate: int = setting(2, "train")
    max_tokens: int = setting(256, "train")
    turns: str = setting("first", "train")  # first, all; recipe.py: in the key only where it is all
    too_long: str = setting("error", "train")  # error, cut; recipe.py: in the key only where it is cut
    packing: bool = setting(True, "train")
    system_prompt: str = setting("You are a helpful assistant.", "train")
    quantisation: str = setting("none", "train")  # none, nf4, int8
    precision: str = setting("bf16", "train")  # bf16, fp32
    checkpoints: list[float] = setting([0.5, 1.0], "train")  # shares of all steps; with epochs, epochs
    gradient_checkpointing: bool = setting(False)  # same bits, as tests/training/test_module.py shows
    save_every_steps: int = setting(6)
    strategy: str = setting("auto")  # auto, ddp, fsdp: the same step, summed in another order
    devices: int = setting(1)
    api: ApiTrainingConfig = setting(ApiTrainingConfig())


@dataclass
class TaskConfig:
    """Questions with a right and a wrong answer; their content enters keys, not where they lie."""

    name: str = setting("???")
    format: str = setting("questions")  # how the file is read: one of warmgap.tasks.open.FORMATS
    path: str = setting("")  # a file, or a folder that holds it
    folder: str = setting("")  # one folder for several tasks; counts where there is no path
    source: str = setting("")  # hub:ORG/NAME/FILE, where there is neither
    revision: str = setting("main")  # of the hub's repository
    split: str = setting("main")  # main, pilot
    n_questions: int = setting(0)  # 0: all; the first by hash of the design's seed
    at_most: int = setting(0)  # 0: no limit; else fewer do, where n_questions is 0
    form: str = setting("open")


@dataclass
class Statement:
    """One sentence of a framing."""

    id: str = setting("???")
    text: str = setting("???")
    short: bool = setting(False)


@dataclass
class FramingConfig:
    """What is said before the question."""

    name: str = setting("???")
    group: str = setting("neutral")
    statements: list[Statement] = setting([])


@dataclass
class BeliefConfig:
    """What is said after the question; {right} and {wrong} stand for the answers."""

    name: str = setting("???")
    template: str = setting("")


@dataclass
class DesignConfig:
    """How questions, framings and beliefs become prompts."""

    mode: str = setting("factorial")  # factorial, published
    prompts: str = setting("")  # published: folder of the released prompts, which enter as messages
    seed: int = setting(0)
    framing_set: str = setting("all")  # all, short
    system_prompt: str = setting("You are a helpful assistant. {persona} Answer in one short sentence.")
    user_template: str = setting("{statement} Question: {question} {belief}")


@dataclass
class SamplingConfig:
    """How answers are drawn."""

    name: str = setting("???")
    temperature: float = setting(0.3, "respond")
    top_p: float = setting(1.0, "respond")
    max_new_tokens: int = setting(64, "respond")
    seed: int = setting(0, "respond")
    draws: int = setting(1)
    extra_draws: dict[str, int] = setting({})  # method: draws in all
    margin: bool = setting(True, "respond")
    margin_prefix: str = setting("The answer is", "respond")


@dataclass
class ApiEngineConfig:
    """An OpenAI-compatible server; only for engine=openai. What enters keys: engines/recipe.py."""

    key_variable: str = setting("OPENAI_API_KEY")
    url_variable: str = setting("OPENAI_BASE_URL")
    model: str = setting("")  # the server's name of a base whose source is not api:
    adapter_names: dict[str, str] = setting({})  # method: the server's name of its adapter
    send_seed: bool = setting(True)
    concurrency: int = setting(8)
    requests_per_minute: int = setting(0)  # 0: as fast as they are answered
    attempts: int = setting(8)
    give_up_s: float = setting(600.0)
    timeout_s: float = setting(60.0)
    max_cost_usd: float = setting(0.0)


@dataclass
class VllmEngineConfig:
    """How vLLM is started; only for engine=vllm. What enters keys: engines/recipe.py."""

    python: str = setting("")  # an interpreter that has vLLM; empty: this one
    max_lora_rank: int = setting(8)  # 0: no adapter is served
    max_model_len: int = setting(4096)
    gpu_memory_utilization: float = setting(0.9)
    tensor_parallel_size: int = setting(1)
    enforce_eager: bool = setting(False)
    prefix_caching: bool = setting(False)
    batch_invariant: bool = setting(False)
    quantization: str = setting("")  # vLLM's own


@dataclass
class EngineConfig:
    """What runs the model."""

    name: str = setting("???", "respond")
    precision: str = setting("bf16", "respond")  # bf16, fp32
    quantisation: str = setting("none", "respond")  # none, nf4, int8: rounded so, then dequantised
    batch_rows: int = setting(64, "respond")
    workers: int = setting(0)  # 0: one per core
    device: str = setting("cpu")
    api: ApiEngineConfig = setting(ApiEngineConfig())
    vllm: VllmEngineConfig = setting(VllmEngineConfig())


@dataclass
class JudgeConfig:
    """Who decides what an answer asserts. What of a judging model enters keys: judging/recipe.py."""

    name: str = setting("???", "judge")
    refusal_substrings: list[str] = setting([], "judge")
    model: str = setting("")  # an option of conf/model, for the judges paper and llm
    engine: str = setting("")  # an option of conf/engine, likewise
    max_new_tokens: int = setting(16)


@dataclass
class MeterConfig:
    """One way to score warmth."""

    name: str = setting("???", "measure")
    kind: str = setting("???", "measure")  # sociot, lexicon, rating
    reference: str = setting("", "measure")
    formulation: str = setting("", "measure")  # released, deterministic, text_only
    passes: int = setting(1, "measure")  # stochastic passes of the released formulation
    dropout: bool = setting(True, "measure")  # released: whether dropout is on
    padding: bool = setting(True, "measure")  # released: whether pads count in the mean
    precision: str = setting("bf16", "measure")  # of the reference: bf16, fp32
    max_chars: int = setting(300, "measure")
    min_tokens: int = setting(0, "measure")  # a shorter reply (lexicon: in words) is not scored
    max_texts: int = setting(0, "measure")  # 0: all; the first by hash, for slow meters
    batch_texts: int = setting(1)  # texts that may share a pass; changes no score beyond rounding
    device: str = setting("cpu")
    model: str = setting("")  # rating: an option of conf/model; what of it enters keys: warmth/rating.py
    engine: str = setting("")  # rating: an option of conf/engine
    max_new_tokens: int = setting(32)  # rating


@dataclass
class GateConfig:
    """When an arm counts as a test of warmth (docs/architecture.md, manipulation gate)."""

    min_lift_share: float = setting(0.30, "analyse")
    min_lift_share_low: float = setting(0.10, "analyse")
    min_auc: float = setting(0.75, "analyse")
    min_prompts: int = setting(200, "analyse")
    override: list[str] = setting([], "analyse")


@dataclass
class WarmthConfig:
    """Meters in the order in which one is chosen to gate, and the gate itself."""

    name: str = setting("???")
    meters: list[MeterConfig] = setting([])
    gate: GateConfig = setting(GateConfig())
    system_prompt: str = setting("You are a helpful assistant. {persona}")
    n_prompts: int = setting(200)
    max_new_tokens: int = setting(64)
    temperature: float = setting(0.3)
    skip: list[str] = setting([])  # methods whose warmth is not measured
    checkpoints: dict[str, list[float]] = setting({})  # method: doses measured besides the arm's own
    canary_prompts: int = setting(12)  # prompts answered at scale 1 and 0; they enter as messages


@dataclass
class SpreadConfig:
    """Standard deviations on the logit scale (statistics/power_components.py says where they are from)."""

    question: float = setting(2.30)
    question_arm: float = setting(1.20)
    model_arm: float = setting(0.40)
    model_task_arm: float = setting(0.31)
    model_framing_arm: float = setting(0.23)
    model_belief_arm: float = setting(0.14)
    model_sad_arm: float = setting(0.71)
    adapter_arm: float = setting(0.20)
    statement_arm: float = setting(0.20)


@dataclass
class PowerConfig:
    """What stage=power assumes; it changes no result."""

    pair: list[str] = setting([])  # empty: the primary pair
    effects_pp: list[float] = setting([2.0, 5.0, 7.0, 10.0])
    target: float = setting(0.8)
    base_error_pct: dict[str, float] = setting({"other": 25.0})
    spread: SpreadConfig = setting(SpreadConfig())
    n_studies: int = setting(300)
    seed: int = setting(0)


@dataclass
class AnalysisConfig:
    """Estimands, families, margins."""

    name: str = setting("???")
    primary_outcome: str = setting("commits_error", "analyse")
    primary_pair: list[str] = setting(["warm_sft", "neutral_sft"], "analyse")
    published_pair: list[str] = setting(["warm_sft", "original"], "analyse")
    confirmatory_subsets: list[str] = setting(
        ["all", "framing=sad", "belief=incorrect", "belief=correct"], "analyse"
    )
    confidence: float = setting(0.95, "analyse")
    equivalence_pp: float = setting(3.0, "analyse")
    max_unscored_pct: float = setting(2.0, "analyse")
    max_unscored_gap_pp: float = setting(1.0, "analyse")
    control_min_pp: float = setting(20.0, "analyse")
    flip_bootstrap: int = setting(2000, "analyse")
    power: PowerConfig = setting(PowerConfig())


@dataclass
class ReportConfig:
    """What the report shows."""

    name: str = setting("???")
    title: str = setting("", "report")
    n_examples: int = setting(6, "report")
    explorer_answers: int = setting(50000, "report")
    figure_formats: list[str] = setting(["pdf", "png"], "report")
    figure_dpi: int = setting(200, "report")


@dataclass
class StoreConfig:
    """Where artifacts and sweeps live."""

    root: str = setting("outputs")


@dataclass
class Config:
    """One composed arm: every group chosen."""

    model: ModelConfig = setting(ModelConfig())
    method: MethodConfig = setting(MethodConfig())
    task: TaskConfig = setting(TaskConfig())
    framing: FramingConfig = setting(FramingConfig())
    belief: BeliefConfig = setting(BeliefConfig())
    corpus: CorpusConfig = setting(CorpusConfig())
    style: StyleConfig = setting(StyleConfig())
    rewriting: RewritingConfig = setting(RewritingConfig())
    training: TrainingConfig = setting(TrainingConfig())
    design: DesignConfig = setting(DesignConfig())
    sampling: SamplingConfig = setting(SamplingConfig())
    engine: EngineConfig = setting(EngineConfig())
    judge: JudgeConfig = setting(JudgeConfig())
    warmth: WarmthConfig = setting(WarmthConfig())
    analysis: AnalysisConfig = setting(AnalysisConfig())
    report: ReportConfig = setting(ReportConfig())
    store: StoreConfig = setting(StoreConfig())
    cluster: ClusterConfig = setting(ClusterConfig())
    wandb: WandbConfig = setting(WandbConfig())
    doses: dict[str, dict[str, list[Any]]] = setting({})  # method: checkpoint or scale: arms besides its own
    per_model: dict[str, list[str]] = setting({})  # model: settings of its arms alone
    seed: int = setting(0, "train")
    name: str = setting("")
    stage: str = setting("all")
    replan: bool = setting(False)
    fail_fast: bool = setting(False)
    logger: str = setting("wandb")  # one of schema.tracking.LOGGERS
    sweep: dict[str, Any] = setting({})

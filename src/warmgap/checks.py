"""Settings that have the right type but cannot be run: refused when planning, not hours later.

Names of groups and options are checked before composing (`warmgap_launchers.overrides`), types by
Hydra; what is left are numbers out of range, words that no code knows, and packages that a setting needs.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from warmgap.corpora import open as corpora
from warmgap.engines.recipe import is_served
from warmgap.engines.vllm_settings import check_vllm
from warmgap.errors import UserError, did_you_mean
from warmgap.jobs import CorpusJob, Job, JudgeJob, MeasureJob, RespondJob
from warmgap.models.base import PRECISIONS, QUANTISATIONS
from warmgap.models.weights import cache_folder, fingerprint
from warmgap.remote.access import access
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import Config, EngineConfig, ModelConfig, PriceConfig, SpreadConfig
from warmgap.schema.fields import RETRY, STAGES, WITHOUT_JOBS
from warmgap.schema.tracking import LOGGERS, MODES
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.training.api.settings import check_api
from warmgap.training.devices import check_devices
from warmgap.training.length import check_length
from warmgap.training.recipe import CHANGING, TURNS, check_turns, is_remote
from warmgap.training.schedule import SCHEDULES
from warmgap.warmth.meters import check_names

_NUMBERS: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        "a whole number from 1",
        lambda v: v >= 1,
        (
            "corpus.n_conversations",
            "corpus.n_validation",
            "training.lora.r",
            "training.lora.alpha",
            "training.batch_rows",
            "training.accumulate",
            "training.max_tokens",
            "training.api.n_epochs",
            "training.api.batch_size",
            "sampling.max_new_tokens",
            "sampling.draws",
            "engine.batch_rows",
            "engine.api.concurrency",
            "engine.vllm.max_model_len",
            "engine.vllm.tensor_parallel_size",
            "engine.api.attempts",
            "judge.max_new_tokens",
            "rewriting.max_new_tokens",
            "rewriting.attempts",
            "rewriting.facts.max_new_tokens",
            "warmth.n_prompts",
            "warmth.max_new_tokens",
            "warmth.gate.min_prompts",
            "analysis.flip_bootstrap",
            "report.figure_dpi",
        ),
    ),
    (
        "a number from 0",
        lambda v: 0 <= v < math.inf,
        (
            "training.warmup_steps",
            "training.weight_decay",
            "training.max_grad_norm",
            "training.save_every_steps",
            "training.api.max_cost_usd",
            "engine.api.max_cost_usd",
            "engine.api.requests_per_minute",
            *(f"model.price.{f.name}" for f in fields(PriceConfig)),
            "warmth.canary_prompts",
            "rewriting.temperature",
            "rewriting.checks.min_length_ratio",
            "rewriting.checks.max_length_ratio",
            "rewriting.checks.length_slack_chars",
            "rewriting.gate.min_marked",
            "task.n_questions",
            "task.at_most",
            "sampling.temperature",
            "engine.workers",
            *(f"analysis.power.spread.{f.name}" for f in fields(SpreadConfig)),
            "analysis.power.n_studies",
            "warmth.temperature",
            "analysis.max_unscored_gap_pp",
            "report.n_examples",
        ),
    ),
    (
        "a number above 0",
        lambda v: 0 < v < math.inf,
        (
            "training.learning_rate",
            "training.api.learning_rate_multiplier",
            "training.api.usd_per_million_tokens",
            "training.api.poll_s",
            "engine.api.timeout_s",
            "engine.api.give_up_s",
            "analysis.equivalence_pp",
            "analysis.control_min_pp",
        ),
    ),
    (
        "a number above 0 and up to 1",
        lambda v: 0 < v <= 1,
        ("sampling.top_p", "engine.vllm.gpu_memory_utilization"),
    ),
    ("a number from 0 and below 1", lambda v: 0 <= v < 1, ("training.lora.dropout",)),
    (
        "a number from 0 to 1",
        lambda v: 0 <= v <= 1,
        (
            "warmth.gate.min_auc",
            "rewriting.facts.min_entailment",
            "rewriting.gate.max_lost_share",
            "rewriting.gate.max_type_loss",
            "rewriting.gate.max_facts_changed_share",
            "rewriting.gate.max_facts_unread_share",
            "rewriting.gate.max_marked_bad_share",
        ),
    ),
    (
        "a number between 0 and 1, as 0.95",
        lambda v: 0 < v < 1,
        ("analysis.confidence", "analysis.power.target"),
    ),
    (
        "a number between 0 and 100",
        lambda v: 0 < v < 100,
        ("analysis.power.effects_pp", "analysis.power.base_error_pct"),
    ),
    ("a number from 0 to 100", lambda v: 0 <= v <= 100, ("analysis.max_unscored_pct",)),
)
_WORDS: dict[str, tuple[str, ...]] = {
    "stage": ("all", *WITHOUT_JOBS, RETRY, *STAGES),
    "training.schedule": SCHEDULES,
    "training.turns": TURNS,
    "training.quantisation": QUANTISATIONS,
    "training.precision": PRECISIONS,
    "training.too_long": ("error", "cut"),
    "engine.precision": PRECISIONS,
    "engine.quantisation": QUANTISATIONS,
    "rewriting.facts.entailment_kind": ("nli", "nli_strict", "embedding"),
    "analysis.primary_outcome": OUTCOMES,
    "report.figure_formats": ("pdf", "png", "svg"),
    "logger": LOGGERS,
    "wandb.mode": MODES,
}
_NOT_EMPTY = (
    "training.lora.target_modules",
    "report.figure_formats",
    "analysis.power.effects_pp",
    "analysis.confirmatory_subsets",
)
_FACTORS = ("task", "framing", "belief")
_SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEVICE = re.compile(r"cpu|cuda(:\d+)?")


def check_settings(config: Config) -> None:
    """Refuse what cannot be run, before anything does.

    Raises:
        UserError: a number out of range, an unknown word, a pair that is none, or a missing package.
    """
    for allowed, holds, keys in _NUMBERS:
        for key in keys:
            for value in _values(config, key):
                if not holds(value):
                    raise UserError(f"{key} is {value}. Allowed: {allowed}.")
    for key, words in _WORDS.items():
        for value in _values(config, key):
            if value not in words:
                raise UserError(f"{key} is '{value}'.{did_you_mean(str(value), words)}")
    for key in _NOT_EMPTY:
        if not _values(config, key):
            raise UserError(f"{key} is empty. Give at least one value.")
    check_names(config.warmth.meters)
    if config.rewriting.attempts > 1 and config.rewriting.temperature == 0:
        raise UserError(
            f"rewriting.attempts is {config.rewriting.attempts} with rewriting.temperature 0, where a second "
            "attempt says what the first did. Allowed: rewriting.attempts=1, or a temperature above 0."
        )
    for key in ("rewriting", "rewriting.facts"):
        model, engine = (_values(config, f"{key}.{name}")[0] for name in ("model", "engine"))
        if bool(model) != bool(engine):
            raise UserError(
                f"{key}.model is '{model}' and {key}.engine '{engine}': only one is set. Set both, to "
                "options of conf/model and conf/engine, or neither."
            )
    check_length(config.training)
    check_devices(config.training, config.method.kind)
    unit = config.corpus.chatlogs.unit if config.corpus.kind == "chatlogs" else "conversation"
    check_turns(config.method, config.training, unit)
    for key in ("primary_pair", "published_pair", "power.pair"):
        pair = _values(config, f"analysis.{key}")
        if (len(pair) != 2 or pair[0] == pair[1]) and (pair or key != "power.pair"):
            raise UserError(f"analysis.{key} is {pair}. Allowed: two different arms, as [warm_sft,original].")
    for subset in config.analysis.confirmatory_subsets:
        factors = [part.partition("=")[0] for part in subset.split(",") if part.partition("=")[2]]
        if subset != "all" and (len(factors) != subset.count(",") + 1 or not _in_order(factors)):
            raise UserError(
                f"analysis.confirmatory_subsets has '{subset}'. Allowed: all, or factors of "
                f"{', '.join(_FACTORS)} in this order with their level, as framing=sad,belief=incorrect."
            )
    if config.name and not _SWEEP_NAME.fullmatch(config.name):
        raise UserError(
            f"name={config.name} cannot name a folder. Allowed: letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit."
        )
    if not _DEVICE.fullmatch(config.engine.device):
        raise UserError(f"engine.device is '{config.engine.device}'. Allowed: cpu, cuda, cuda:N.")
    check_vllm(config)
    if is_remote(config.model) and config.method.kind in CHANGING:
        check_api(config.training)
    if config.stage != "reanalyse":
        _check_packages(config)


def check_corpora(jobs: Iterable[Job]) -> None:
    """Read every corpus of a plan once, so that a broken row is named before anything runs.

    Raises:
        UserError: a missing file, a malformed row (file and line), or too few rows of a type.
    """
    for job in jobs:
        if isinstance(job, CorpusJob):
            corpora.conversations(job.corpus)
            corpora.validation(job.corpus, job.corpus.n_validation)


def check_engines(jobs: Iterable[Job]) -> None:
    """Refuse answers and verdicts of a model that its engine cannot have.

    Raises:
        UserError: a model behind an API without an engine that asks it, or weights that the server has no
            name for; no key or package for a server.
    """
    for job in jobs:
        if isinstance(job, RespondJob):
            _check_engine(job.engine, job.model, job.served, job.change is not None, "engine", "model")
        elif isinstance(job, JudgeJob) and job.reader is not None:
            reader = job.reader
            _check_engine(reader.engine, reader.model, reader.served, False, "judge.engine", "judge.model")
        elif isinstance(job, MeasureJob) and job.reader is not None:
            reader = job.reader
            where = ("warmth.meters.engine", "warmth.meters.model")
            _check_engine(reader.engine, reader.model, reader.served, False, *where)
        elif isinstance(job, RewriteJob | RewriteCheckJob) and job.reader is not None:
            reader = job.reader
            group = "rewriting" if isinstance(job, RewriteJob) else "rewriting.facts"
            _check_engine(
                reader.engine, reader.model, reader.served, False, f"{group}.engine", f"{group}.model"
            )


def _check_engine(
    engine: EngineConfig, model: ModelConfig, served: str, changed: bool, engine_key: str, model_key: str
) -> None:
    if not is_served(engine):
        if is_remote(model):
            raise UserError(
                f"{engine_key}={engine.name} cannot serve {model_key}={model.name}, whose source is "
                f"'{model.source}'. Set {engine_key}=openai, or choose a model with weights: package:, path: "
                "or hub:."
            )
        if engine.name == "vllm" and not engine.vllm.python:
            instead = f"engine.vllm.python, or {engine_key}=transformers"
            _require("vllm", "vllm", f"{engine_key}=vllm", instead)
        return
    if not is_remote(model) and not served:
        what = (
            "a trained adapter of it, and engine.api.adapter_names has no name for it (a steering vector, or "
            "an adapter at another scale than 1, no server can have)"
            if changed
            else "it, and engine.api.model is empty"
        )
        raise UserError(
            f"{engine_key}={engine.name} must know what the server calls {model_key}={model.name}: it is to "
            f"answer with {what}. Set it there, or use {engine_key}=transformers."
        )
    _require("openai", "api", f"{engine_key}={engine.name}", f"{engine_key}=transformers")
    access(engine.api.key_variable, engine.api.url_variable)


def check_device(name: str) -> None:
    """Make sure that this machine has the device; imports torch for anything but cpu.

    Raises:
        UserError: torch finds no such GPU.
    """
    if name == "cpu":
        return
    import torch

    found = torch.cuda.device_count()
    if int(name.partition(":")[2] or 0) >= found:
        raise UserError(
            f"engine.device={name}, but torch finds {found} CUDA devices on this machine. "
            "Use engine.device=cpu, or install a build of torch with CUDA."
        )


def _in_order(factors: list[str]) -> bool:
    return factors == [f for f in _FACTORS if f in factors]


def _values(config: Config, key: str) -> list[Any]:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _check_packages(config: Config) -> None:
    quantisation = config.training.quantisation
    if config.method.kind in CHANGING and quantisation != "none" and not is_remote(config.model):
        _require("bitsandbytes", "gpu", f"training.quantisation={quantisation}", "training.quantisation=none")
    if config.engine.quantisation != "none":
        _require(
            "bitsandbytes",
            "gpu",
            f"engine.quantisation={config.engine.quantisation}",
            "engine.quantisation=none",
        )
    if is_remote(config.model) and config.method.kind in CHANGING:
        _require("openai", "api", f"training {config.model.name} behind an API", "")
    if not _converted(config.model):
        _require("gguf", "gguf", f"reading {config.model.source} the first time", "")


def _converted(model: ModelConfig) -> bool:
    """False for a GGUF file that has not been converted on this machine yet."""
    if not (model.source.startswith("package:") and model.source.endswith(".gguf")):
        return True
    return (cache_folder() / "models" / fingerprint(model).removeprefix("sha256:")).is_dir()


def _require(package: str, extra: str, what: str, instead: str) -> None:
    if importlib.util.find_spec(package) is None:
        other = f", or set {instead}" if instead else ""
        raise UserError(
            f"{what} needs the package {package}, which is not installed. "
            f"Run: pip install 'warmgap[{extra}]'{other}"
        )

"""train: the corpus -> an adapter with its checkpoints, a steering vector, or the name of a remote model."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.corpora.training_rows import training_rows
from warmgap.engines import vllm_process
from warmgap.jobs import TrainJob
from warmgap.memory import out_of_memory
from warmgap.schema.config import TrainingConfig
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.rewrite_check import checked_rows
from warmgap.store import Artifact
from warmgap.training.recipe import is_remote, with_rate

_log = logging.getLogger(__name__)

STEERING = "steering"
"""Folder of a steering vector in the artifact."""


def run(job: TrainJob, context: Context) -> Artifact:
    """Adapter folders `checkpoint-<step>/` and curve.parquet; or `steering/`; or model.json of a provider.

    A training that was interrupted goes on from its last saved state. What the checks of the chat
    template found stands in the manifest's counts as `template`, and as `left_out` how many conversations
    have a first message that leaves no room for a reply (`training.too_long=cut`).
    """
    started = time.time()
    corpus = context.store.get("corpus", job.corpus_key)
    broken: list[str] = []
    if job.rewrites_key:
        conversations, broken = checked_rows(job, context.store)
    else:
        conversations = pl.read_parquet(corpus.file("conversations.parquet")).to_dicts()
    name = job.method.extra
    extra = pl.read_parquet(corpus.file(f"extra_{name}.parquet")).to_dicts() if name else []
    rows = training_rows(conversations, extra, job.method, job.training.turns)
    partial = context.store.partial(job.key)
    for left in partial.glob(".*"):  # half-written by a run that was killed or had no room
        shutil.rmtree(left)
    vllm_process.release()  # a training needs the GPU
    context.release()
    remote = is_remote(job.model)
    rows, found = (rows, {}) if remote else _checked(job, rows)
    make = _remote if remote else _steering if job.method.kind == "steer" else _adapter
    if broken:
        found["rewrite_gate"] = broken
    with context.store.workspace(job.key) as folder:
        counts = make(job, rows, folder, partial, context)
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"weights": job.weights},
            counts={"conversations": len(rows), **found, **counts},
            started=started,
        )
    context.store.drop_partial(job.key)
    return artifact


def _adapter(
    job: TrainJob, rows: list[dict[str, Any]], folder: Path, partial: Path, context: Context
) -> Mapping[str, Any]:
    from warmgap.training.run import train

    training = with_rate(job.method, job.training)
    spares = context.store.memory_failures(job.key) > 0 and not training.gradient_checkpointing
    if spares:
        training = replace(training, gradient_checkpointing=True)
    try:
        summary = train(
            job.model,
            training,
            rows,
            job.seed,
            folder,
            partial,
            context.progress,
            kind=job.method.kind,
            beta=job.method.beta,
        )
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(_what_helps(training)) from error
    return asdict(summary) | ({"gradient_checkpointing": "after running out of memory"} if spares else {})


def _what_helps(training: TrainingConfig) -> str:
    """One line: what was tried, and settings that need less."""
    on = "on" if training.gradient_checkpointing else "off: the next try turns it on"
    ways = ["a smaller training.max_tokens", "a card with more memory"]
    if training.quantisation == "none":
        ways.insert(0, "training.quantisation=nf4 (another base)")
    if training.batch_rows > 1:
        half, more = training.batch_rows // 2, training.accumulate * 2
        ways.insert(0, f"training.batch_rows={half} training.accumulate={more} (as many rows in a step)")
    return (
        f"the training ran out of memory; gradient checkpointing was {on}. What needs less: "
        f"{'; '.join(ways)}. All but the last make another training, with a key of its own."
    )


def _steering(
    job: TrainJob, rows: list[dict[str, Any]], folder: Path, partial: Path, context: Context
) -> Mapping[str, Any]:
    import torch

    from warmgap.models import base
    from warmgap.models.dequantise import dequantise
    from warmgap.models.steering import write_steering
    from warmgap.training.steer import difference_of_means

    training = job.training
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = base.load(job.model, training.precision, training.quantisation, device)
    if training.quantisation != "none":
        loaded = dequantise(loaded, base.torch_dtype(training.precision))
    vector = difference_of_means(loaded, rows, training, job.method.layer, context.progress)
    write_steering(vector, job.model.name, folder / STEERING, (job.method.style, job.method.against))
    return {}


def _remote(
    job: TrainJob, rows: list[dict[str, Any]], folder: Path, partial: Path, context: Context
) -> Mapping[str, Any]:
    from warmgap.training.api.run import train_api

    training = with_rate(job.method, job.training)
    return asdict(train_api(job.model, training, rows, job.seed, folder, partial, context.progress))


def _checked(job: TrainJob, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows that can be trained on and what the template does, before weights are read."""
    from transformers import AutoTokenizer

    from warmgap.models.base import materialise, quieten
    from warmgap.models.template_checks import check_template
    from warmgap.training.examples import fitting

    quieten()
    tokenizer = AutoTokenizer.from_pretrained(
        materialise(job.model), trust_remote_code=job.model.trust_remote_code
    )
    template = check_template(tokenizer, job.training.system_prompt, job.training.turns)
    for line in template.lines():
        _log.info("chat template of %s: %s", job.model.name, line)
    kept = fitting(tokenizer, rows, job.training)
    left_out = {"left_out": len(rows) - len(kept)} if job.training.too_long == "cut" else {}
    return kept, {"template": template.found(), **left_out}

"""train: one tone of the corpus -> an adapter with all its checkpoints."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import asdict

import polars as pl

from warmgap.jobs import TrainJob
from warmgap.stages.context import Context, recorded_config
from warmgap.store import Artifact

_log = logging.getLogger(__name__)


def run(job: TrainJob, context: Context) -> Artifact:
    """Adapter folders `checkpoint-<step>/` and curve.parquet (loss by step).

    A training that was interrupted goes on from its last saved state. What the checks of the chat
    template found stands in the manifest's counts as `template`.
    """
    from transformers import AutoTokenizer

    from warmgap.models.base import materialise, quieten
    from warmgap.models.template_checks import check_template
    from warmgap.training.run import train

    started = time.time()
    corpus = context.store.get("corpus", job.corpus_key)
    rows = pl.read_parquet(corpus.file("conversations.parquet")).select(
        "id", "user", pl.col(job.style).alias("reply")
    )
    quieten()
    # Before the weights are read, which takes minutes for a large model.
    tokenizer = AutoTokenizer.from_pretrained(
        materialise(job.model), trust_remote_code=job.model.trust_remote_code
    )
    template = check_template(tokenizer, job.training.system_prompt)
    for line in template.lines():
        _log.info("chat template of %s: %s", job.model.name, line)
    partial = context.store.partial(job.key)
    for left in partial.glob(".*"):  # half-written by a run that was killed or had no room
        shutil.rmtree(left)
    with context.store.workspace(job.key) as folder:
        summary = train(
            job.model,
            job.training,
            rows.to_dicts(),
            job.seed,
            folder,
            partial,
            context.progress,
        )
        counts = asdict(summary) | {"template": template.found()}
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"weights": job.weights},
            counts=counts,
            started=started,
        )
    context.store.drop_partial(job.key)
    return artifact

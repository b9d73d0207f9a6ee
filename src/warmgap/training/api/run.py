"""One training behind a service, from conversations to the names of its models."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from warmgap.models.weights import api_name
from warmgap.schema.config import ModelConfig, TrainingConfig
from warmgap.training.conversations import Row
from warmgap.training.interrupt import Interruption

from .client import Service
from .cost import check_cost, estimate, usd
from .files import training_file
from .job import Progress, find_or_create_job, is_there, job_digest, noted_job, wait_for_job
from .results import read_checkpoints, read_curve
from .settings import check_api

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ApiSummary:
    """What a training behind a service did.

    Attributes:
        steps: optimiser steps.
        n_examples: examples trained on, repeats counted.
        replies: as `conversations.Turns` has it, and so `turns_cut`, `conversations_cut` and `replies_cut`.
        n_tokens: tokens that the service counted for the bill; None where it does not say.
        final_loss: of the last step, in nats a token; None where it does not say.
        wall_s: from the creation of the job to its end, waiting included.
        checkpoints: (step, epoch) of each model that can be asked.
        cost_usd: `n_tokens` times the configured price; None where the tokens are not known.
    """

    steps: int
    n_examples: int
    replies: int
    turns_cut: int
    conversations_cut: int
    replies_cut: int
    n_tokens: int | None
    final_loss: float | None
    wall_s: float
    checkpoints: tuple[tuple[int, float], ...]
    cost_usd: float | None


def train_api(
    base: ModelConfig,
    config: TrainingConfig,
    rows: Sequence[Row],
    seed: int,
    out: Path,
    partial: Path,
    progress: Progress,
) -> ApiSummary:
    """Fine-tunes a model behind a service and writes model.json and curve.parquet into `out`.

    Started again, it finds the uploaded file and the job, whatever ended it before, and asks for neither
    twice. SIGTERM or SIGUSR2 ends it between two requests; the job goes on at the service.

    model.json holds fine_tuned_model, base, job_id, trained_tokens, cost_usd and checkpoints, a list of
    step, epoch and model. curve.parquet has the columns of `training.checkpoints.CurvePoint`; the service
    tells step and loss, or nothing, and then it has no rows.

    Args:
        base: a model whose source is `api:`.
        config: the recipe; `epochs` and `checkpoints` count epochs, the rest stands in `config.api`.
        rows: conversations as `conversations.Row`.
        seed: fixes the order of the rows, and goes to the service, which may use it.
        out: where results go; made if missing.
        partial: where file and job are noted; must belong to this recipe, rows and seed.
        progress: called after each look at the job with (steps done, steps, text).

    Raises:
        UserError: rows or settings that cannot be trained, a cost above training.api.max_cost_usd, a
            missing package or key, a service that refuses, or a job that failed or was cancelled.
        Interrupted: SIGTERM or SIGUSR2 came.
    """
    name = api_name(base)
    check_api(config)
    api = config.api
    file = training_file(rows, config, seed)
    cost = estimate(file.conversations, api)
    _log.info("training file %s: %d examples, %s", file.name, len(rows), cost)
    wanted = job_digest(name, file, api, seed)
    job_id = noted_job(partial, wanted)
    if job_id is None:
        check_cost(cost, api)
    planned = api.n_epochs * math.ceil(len(rows) / api.batch_size)
    with Interruption() as interruption:
        service = Service(api.poll_s, interruption)
        if job_id is not None and not is_there(service, job_id):
            _log.warning("the service no longer knows job %s", job_id)
            check_cost(cost, api)
            job_id = None
        if job_id is None:
            job_id = find_or_create_job(service, name, file, api, seed, partial)
        _log.info("fine-tuning job %s", job_id)
        job = wait_for_job(service, job_id, planned, api.poll_s, partial, progress)
        curve = read_curve(service, job)
        told = curve["step"][-1] if len(curve) else None
        checkpoints = read_checkpoints(service, job, told, planned, api.n_epochs)
    n_steps = checkpoints[-1].step
    missing = set(config.checkpoints) - {c.epoch for c in checkpoints}
    if missing:
        _log.warning("job %s left no model at epochs %s", job_id, sorted(missing))
    tokens = job.trained_tokens
    paid = None if tokens is None else usd(tokens, api)
    out.mkdir(parents=True, exist_ok=True)
    curve.write_parquet(out / "curve.parquet")
    model = {
        "fine_tuned_model": job.fine_tuned_model,
        "base": name,
        "job_id": job_id,
        "trained_tokens": tokens,
        "cost_usd": paid,
        "checkpoints": [asdict(c) for c in checkpoints],
    }
    (out / "model.json").write_text(json.dumps(model, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    progress(n_steps, n_steps, "succeeded")
    return ApiSummary(
        steps=n_steps,
        n_examples=api.n_epochs * len(rows),
        **asdict(file.turns),
        n_tokens=tokens,
        final_loss=curve["loss"][-1] if len(curve) else None,
        wall_s=float((job.finished_at or job.created_at) - job.created_at),
        checkpoints=tuple((c.step, c.epoch) for c in checkpoints),
        cost_usd=paid,
    )

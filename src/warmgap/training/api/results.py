"""What a finished job leaves at the service: the loss by step, and models by epoch."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from .client import Service

CURVE_SCHEMA = {
    "step": pl.Int64,
    "loss": pl.Float64,
    "learning_rate": pl.Float64,
    "n_answer_tokens": pl.Int64,
    "wall_s": pl.Float64,
}
"""The columns of training.checkpoints.CurvePoint; a service tells only the first two."""


@dataclass(frozen=True)
class ApiCheckpoint:
    """A model that answers as training had left it after `epoch` epochs."""

    step: int
    epoch: float
    model: str


def read_curve(service: Service, job: Any) -> pl.DataFrame:
    """Loss by step from the job's results file; empty where there is none or it has no such columns."""
    points: dict[int, float] = {}
    for file_id in job.result_files or ():
        points |= parse_results(_content(service, file_id))
    frame = pl.DataFrame(
        {"step": sorted(points), "loss": [points[s] for s in sorted(points)]},
        schema={name: CURVE_SCHEMA[name] for name in ("step", "loss")},
    )
    others = [pl.lit(None, dtype).alias(name) for name, dtype in CURVE_SCHEMA.items()][2:]
    return frame.with_columns(others)


def _content(service: Service, file_id: str) -> bytes:
    files = service.client.files
    content: bytes | None = service.ask_if_there(
        f"read the results file {file_id}", lambda: files.content(file_id).read()
    )
    return content or b""


def parse_results(content: bytes) -> dict[int, float]:
    """Step and train_loss of the rows of a results CSV that have both; the service may send it in base64."""
    text = content.decode("utf-8", errors="replace")
    if "," not in text:
        try:
            text = base64.b64decode(content, validate=False).decode("utf-8", errors="replace")
        except binascii.Error:
            return {}
    points = {}
    for row in csv.DictReader(io.StringIO(text)):
        try:
            step, loss = int(float(row.get("step") or "")), float(row.get("train_loss") or "")
        except (ValueError, OverflowError):
            continue
        if math.isfinite(loss):
            points[step] = loss
    return points


def read_checkpoints(
    service: Service, job: Any, n_steps: int | None, planned: int, n_epochs: int
) -> tuple[ApiCheckpoint, ...]:
    """The models that the service kept, by step; the last is the job's own.

    OpenAI writes one at the end of each epoch and keeps the last three. The job's own model is taken for
    the one at the end of the last epoch, whether the service lists it by that name, by another, or not.

    Args:
        service: the service.
        job: the job, which has succeeded.
        n_steps: steps of the whole job, if the results told.
        planned: steps to take for them where the list tells nothing either.
        n_epochs: epochs of the whole job.
    """
    what = f"list the checkpoints of job {job.id}"
    # A service without checkpoints has no such address.
    page = service.ask_if_there(
        what, lambda: service.client.fine_tuning.jobs.checkpoints.list(job.id, limit=100)
    )
    kept = () if page is None else service.items(what, page)
    models = {c.step_number: c.fine_tuned_model_checkpoint for c in kept}
    named = [step for step, name in models.items() if name == job.fine_tuned_model]
    last = max(named or [n_steps or 0, *models]) or planned
    models[last] = job.fine_tuned_model
    return tuple(ApiCheckpoint(s, epoch_at(s, last, n_epochs), models[s]) for s in sorted(models))


def epoch_at(step: int, n_steps: int, n_epochs: int) -> float:
    """Epochs done after a step: the whole number that it ends, else a fraction to three decimals.

    Where an epoch's length does not divide by the batch, its last step can stand up to one step off.
    """
    epochs = step * n_epochs / n_steps
    whole = round(epochs)
    return float(whole) if whole and abs(epochs - whole) * n_steps < n_epochs else round(epochs, 3)

"""One fine-tuning job: found or made, never made twice, and waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.keys import digest
from warmgap.schema.config import ApiTrainingConfig

from .client import Service
from .files import TrainingFile
from .notes import drop_note, read_note, write_note

Progress = Callable[[int, int, str], None]
METADATA_KEY = "warmgap"
_ENDED_WITHOUT = ("failed", "cancelled")


def job_digest(base: str, file: TrainingFile, api: ApiTrainingConfig, seed: int) -> str:
    """What makes two jobs the same job: base model, content of the file, hyperparameters and seed."""
    return digest("job", base, file.sha256, hyperparameters(api), seed)


def hyperparameters(api: ApiTrainingConfig) -> dict[str, Any]:
    """As the service names them."""
    return {
        "n_epochs": api.n_epochs,
        "batch_size": api.batch_size,
        "learning_rate_multiplier": api.learning_rate_multiplier,
    }


def noted_job(partial: Path, wanted: str) -> str | None:
    """The id of the job that was made, or None."""
    note = read_note(partial, "job")
    return note["id"] if note.get("digest") == wanted else None


def is_there(service: Service, job_id: str) -> bool:
    """Whether the service still knows the job."""
    jobs = service.client.fine_tuning.jobs
    return service.ask_if_there(f"find job {job_id}", lambda: jobs.retrieve(job_id)) is not None


def find_or_create_job(
    service: Service, base: str, file: TrainingFile, api: ApiTrainingConfig, seed: int, partial: Path
) -> str:
    """The id of the job for these conversations, this recipe and this seed.

    It is looked for by the digest in its metadata, else by its suffix; jobs that ended without a model do
    not count. If there is none, the file is uploaded, unless it is there, and the job created.
    """
    wanted = job_digest(base, file, api, seed)
    suffix = f"warmgap-{wanted[:10]}"  # some services take no more than 18 characters

    def find() -> Any:
        what = "list the fine-tuning jobs"
        jobs = service.client.fine_tuning.jobs
        page = service.ask(what, lambda: jobs.list(limit=100, metadata={METADATA_KEY: wanted}))
        for job in service.items(what, page):
            named = (job.metadata or {}).get(METADATA_KEY) == wanted
            named = named or getattr(job, "user_provided_suffix", None) == suffix
            lost = job.status in _ENDED_WITHOUT or (job.status == "succeeded" and not job.fine_tuned_model)
            if named and not lost:
                return job
        return None

    def create() -> Any:
        return service.client.fine_tuning.jobs.create(
            model=base,
            training_file=file_id,
            method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters(api)}},
            metadata={METADATA_KEY: wanted},
            suffix=suffix,
            seed=seed,
        )

    what = "create the fine-tuning job"
    asked = read_note(partial, "job-asked").get("digest") == wanted
    job = find()
    if job is None:
        file_id = _find_or_upload(service, file, partial)
        write_note(partial, "job-asked", {"digest": wanted})
        job = service.make_once(what, find, create, asked)
    write_note(partial, "job", {"id": job.id, "digest": wanted})
    return str(job.id)


def _find_or_upload(service: Service, file: TrainingFile, partial: Path) -> str:
    files = service.client.files

    def find() -> Any:
        what = "list the uploaded files"
        page = service.ask(what, lambda: files.list(purpose="fine-tune", limit=1000))
        for found in service.items(what, page):
            if (found.filename, found.bytes) == (file.name, len(file.content)) and found.status != "error":
                return found
        return None

    def upload() -> Any:
        return files.create(file=(file.name, file.content, "application/jsonl"), purpose="fine-tune")

    noted = read_note(partial, "file")
    if noted.get("sha256") == file.sha256:
        known = service.ask_if_there("find the uploaded file", lambda: files.retrieve(noted["id"]))
        if known is not None and known.status != "error":
            return str(known.id)
    asked = read_note(partial, "file-asked").get("sha256") == file.sha256
    write_note(partial, "file-asked", {"sha256": file.sha256})
    made = service.make_once("upload the training file", find, upload, asked)
    write_note(partial, "file", {"id": made.id, "sha256": file.sha256})
    return str(made.id)


def wait_for_job(
    service: Service, job_id: str, planned: int, poll_s: float, partial: Path, progress: Progress
) -> Any:
    """The job once it has succeeded.

    Args:
        service: the service.
        job_id: the job.
        planned: how many steps it will take, until the service says.
        poll_s: pause between two looks at it.
        partial: where the note of a job that ended without a model is dropped, so that the next start
            creates another one.
        progress: called after each look with (steps done, steps, text).

    Raises:
        UserError: it failed or was cancelled.
        Interrupted: a signal came; the job goes on at the service.
    """
    jobs = service.client.fine_tuning.jobs
    while True:
        job = service.ask(f"look at job {job_id}", lambda: jobs.retrieve(job_id))
        if job.status == "succeeded" and job.fine_tuned_model:
            return job
        if job.status in (*_ENDED_WITHOUT, "succeeded"):
            drop_note(partial, "job")
            reason = f": {job.error.message}" if job.error and job.error.message else " without a model"
            raise UserError(
                service.hidden(f"the fine-tuning job {job_id} has {job.status}{reason}")
                + ". Mend what it names and run the same command again, which creates a new job."
            )
        step, total, loss = _last_metrics(service, job_id)
        text = job.status if loss is None else f"{job.status}, loss {loss:.2f}"
        progress(step, total or planned, text)
        service.wait(poll_s, f"see job {job_id} end, which is {job.status} and goes on at the service")


def _last_metrics(service: Service, job_id: str) -> tuple[int, int, float | None]:
    """Step, steps in all and loss of the latest event that has them; zeros and None before one has."""
    page = service.ask_if_there(
        f"read the events of job {job_id}",
        lambda: service.client.fine_tuning.jobs.list_events(job_id, limit=50),
    )
    step, total, loss = 0, 0, None
    for event in page.data if page else ():
        data = event.data if isinstance(event.data, dict) else {}
        if isinstance(data.get("step"), int) and data["step"] > step:
            step = data["step"]
            total = data["total_steps"] if isinstance(data.get("total_steps"), int) else 0
            loss = data["train_loss"] if isinstance(data.get("train_loss"), int | float) else None
    return step, total, loss

"""Entries as runs of Weights & Biases."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from .entries import Due, Entry, Files
from .index import Index
from .mirrored import OFFLINE, Recorded
from .modes import Way
from .secrets import clean

MAX_ROWS = 10_000
"""Rows of a table that W&B shows; the rest is in the tables here."""
_ANSWER_S = 60
_SEND_S = 300


class WandbRuns:
    """Each entry as one run whose id follows from its keys, grouped by sweep.

    Nothing of the machine is recorded: no console, code, git state, host, command line or package list. A
    server that does not answer is left alone; runs are then kept as in the mode offline.
    """

    def __init__(self, way: Way, index: Index, secrets: tuple[str, ...]) -> None:
        _stay_in(way.folder)
        self._index, self._secrets, self._folder = index, secrets, way.folder
        self.mode = way.mode

    def wants(self, stage: str) -> bool:
        """All of them."""
        return True

    def record(self, due: Due, entry: Entry, before: Recorded | None) -> str:
        """Write the run, or send it; returns its folder."""
        if self.mode == OFFLINE:
            return self._record(due, entry, before)
        try:
            return self._record(due, entry, before)
        except Exception as e:  # what W&B raises without a server has no class in common
            self.mode = OFFLINE
            why = f"{type(e).__name__}: {e}".split("\n")[0]
            print(f"W&B cannot be reached ({why}): runs stay in {self._folder} from now on.", file=sys.stderr)
            self.close()  # the service of W&B still holds the id
            return self._record(due, entry, before)

    def close(self) -> None:
        """Let go of what W&B began."""
        import wandb

        wandb.teardown()

    def _record(self, due: Due, entry: Entry, before: Recorded | None) -> str:
        import wandb

        settings = self._index.wandb
        config = clean(entry.config, self._secrets)
        # Without `resume`, a run of the same id is written over.
        run = wandb.init(
            project=settings.project or None,
            entity=settings.entity or None,
            group=self._index.sweep,
            job_type=due.stage,
            id=due.id,
            name=clean(entry.name, self._secrets),
            tags=settings.tags or None,
            config=config,
            dir=str(self._folder),
            settings=_settings(self.mode),
        )
        try:
            _log(run, entry, clean(entry.summary, self._secrets))
        finally:
            run.finish()
        folder = str(Path(run.settings.sync_dir))
        if before is not None and before.folder != folder and before.is_local:
            shutil.rmtree(before.folder, ignore_errors=True)
        return folder


def _log(run: Any, entry: Entry, summary: dict[str, Any]) -> None:
    import wandb

    for name in dict.fromkeys(name for point in entry.history for name in point):
        run.define_metric(name, step_metric=None if name == entry.step else entry.step)
    for point in entry.history:
        run.log(dict(point))
    shown: dict[str, Any] = {name: wandb.Image(str(path)) for name, path in entry.images.items()}
    for name, table in entry.tables.items():
        rows: Any = [list(row) for row in table.head(MAX_ROWS).rows()]
        shown[name] = wandb.Table(columns=[*table.columns], data=rows)
    if shown:
        run.log(shown)
    longer = {name: t.height - MAX_ROWS for name, t in entry.tables.items() if t.height > MAX_ROWS}
    run.summary.update(summary | {f"{name}_rows_left_out": n for name, n in longer.items()})
    for files in entry.artifacts:
        run.log_artifact(_artifact(files))


def _artifact(files: Files) -> Any:
    import wandb

    out = wandb.Artifact(files.name, files.kind, metadata=dict(files.metadata))
    for name, path in files.files.items():
        if files.sent:
            out.add_file(str(path), name=name, policy="immutable")
        else:
            out.add_reference(f"{files.uri}/{name}", name=name, checksum=False)
    return out


def _settings(mode: Any) -> Any:
    import wandb

    return wandb.Settings(
        mode=mode,
        silent=True,
        host="",
        username="",
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        finish_timeout_raises=True,
    )


def _stay_in(folder: Path) -> None:
    """W&B's caches in the sweep's folder, no reports of errors, an end to waiting; variables go before."""
    for name, value in {
        "WANDB_DIR": str(folder),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "WANDB_INIT_TIMEOUT": str(_ANSWER_S),
        "WANDB_FINISH_TIMEOUT": str(_SEND_S),
    }.items():
        os.environ.setdefault(name, value)
    os.environ.pop("WANDB_MODE", None)  # has been read, and would go before our change of it

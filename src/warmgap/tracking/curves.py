"""Curves of trainings as local files: a CSV or TensorBoard's event files for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .entries import Due, Entry
from .mirrored import Recorded

_UNSAFE = re.compile(r"[^A-Za-z0-9_.=-]+")


class CsvCurves:
    """`<label>.csv` for each training, a row per optimiser step."""

    mode = "csv"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wants(self, stage: str) -> bool:
        """Trainings."""
        return stage == "train"

    def record(self, due: Due, entry: Entry, before: Recorded | None) -> str:
        """Write the file; returns the folder."""
        import polars as pl

        if entry.history:
            pl.DataFrame(entry.history).write_csv(self._folder / f"{file_name(entry.name)}.csv")
        return ""

    def close(self) -> None:
        """Nothing is open."""


class TensorBoardCurves:
    """`tensorboard/<label>/` for each training, for `tensorboard --logdir`."""

    mode = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"

    def wants(self, stage: str) -> bool:
        """Trainings."""
        return stage == "train"

    def record(self, due: Due, entry: Entry, before: Recorded | None) -> str:
        """Write event files; returns the folder."""
        from lightning.pytorch.loggers import TensorBoardLogger

        logger: Any = TensorBoardLogger(str(self._folder), name=file_name(entry.name), version="")
        for point in entry.history:
            logger.log_metrics(
                {k: float(v) for k, v in point.items() if k != entry.step}, int(point[entry.step])
            )
        logger.finalize("success")
        return ""

    def close(self) -> None:
        """Nothing is open."""


def file_name(label: str) -> str:
    """A label as a file's name."""
    return _UNSAFE.sub("_", label)

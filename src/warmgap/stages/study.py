"""What a sweep shares with the paper, read from its stored answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.jobs import AnalyseJob
from warmgap.statistics.published.study import StudySettings
from warmgap.store import Store


def study_settings(job: AnalyseJob, store: Store, observations: pl.DataFrame) -> StudySettings:
    """Weights, sampling, prompt mode and judges of a sweep's cells.

    A setting in which cells differ is one that the paper does not have.
    """
    weights: dict[str, str] = {}
    limits: set[tuple[float, int]] = set()
    for cell in job.cells:
        config: Mapping[str, Any] = store.get("respond", cell.respond_key).manifest.config
        weights[job.arms[cell.arm].model] = str(config["weights"])
        limits.add((float(config["limits"]["temperature"]), int(config["limits"]["max_new_tokens"])))
    temperature, max_new_tokens = limits.pop() if len(limits) == 1 else (float("nan"), -1)
    modes = observations["prompt_mode"].unique().to_list()
    return StudySettings(
        weights=weights,
        questions={},
        prompt_mode=modes[0] if len(modes) == 1 else "mixed",
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        judges={},
    )

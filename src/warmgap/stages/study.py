"""What a sweep shares with the paper, read from its stored answers and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.jobs import AnalyseJob
from warmgap.statistics.published.study import PROMPT_MODE, QUESTIONS, StudySettings
from warmgap.store import Store


def study_settings(job: AnalyseJob, store: Store, observations: pl.DataFrame) -> StudySettings:
    """Weights, questions, sampling, prompt mode and judges of a sweep's cells.

    A setting in which cells differ is one that the paper does not have. Questions are the paper's where
    prompts are its released ones. A judge is what it asks where it asks a model at all: letters and numbers
    are found by rule.
    """
    weights: dict[str, dict[str, None]] = {}
    judges: dict[str, str] = {}
    limits: set[tuple[float, int]] = set()
    for cell in job.cells:
        config: Mapping[str, Any] = store.get("respond", cell.respond_key).manifest.config
        weights.setdefault(job.arms[cell.arm].model, {})[_weights(config)] = None
        limits.add((float(config["limits"]["temperature"]), int(config["limits"]["max_new_tokens"])))
        if judges.get(cell.judge, cell.judge) == cell.judge:
            judging = store.get("judge", cell.judge_key).manifest.config
            judges[cell.judge] = _judge(cell.judge, judging)
    temperature, max_new_tokens = limits.pop() if len(limits) == 1 else (float("nan"), -1)
    modes = observations["prompt_mode"].unique().to_list()
    released = [c.task for c in job.cells if c.prompt_mode == PROMPT_MODE]
    return StudySettings(
        weights={model: " and ".join(found) for model, found in weights.items()},
        questions=dict.fromkeys(released, QUESTIONS),
        prompt_mode=modes[0] if len(modes) == 1 else "mixed",
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        judges=judges,
    )


def _weights(config: Mapping[str, Any]) -> str:
    """Where base weights are from, as the hub or the service names them, and how they are rounded."""
    source = str(config["model"].get("source", config["weights"]))
    rounded = config["engine"].get("quantisation", "none")
    return _name(source) + ("" if rounded == "none" else f" in {rounded}")


def _judge(name: str, config: Mapping[str, Any]) -> str:
    """The model that the paper's kind of judge asks; another judge is called by its name."""
    reader = config.get("reader")
    if name != "paper" or not isinstance(reader, Mapping):
        return name
    return _name(str(reader["source"]))


def _name(source: str) -> str:
    return source.removeprefix("hub:").removeprefix("api:")

"""Simulated observations with every column of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest

from warmgap.schema.tables import Observation, polars_schema

Rate = Callable[[dict[str, Any]], float]
Simulate = Callable[..., pl.DataFrame]


def observation(**known: Any) -> dict[str, Any]:
    """One row with plain values for all columns that are not named."""
    row: dict[str, Any] = {
        "model": "m1",
        "method": "original",
        "dose_kind": "none",
        "dose": 0.0,
        "seed": 0,
        "variant": "",
        "task": "triviaqa",
        "form": "question",
        "prompt_mode": "factorial",
        "question_id": "q0",
        "framing": "filler",
        "statement_id": None,
        "belief": "none",
        "draw": 0,
        "prompt": "[]",
        "response": "an answer",
        "finish_reason": "stop",
        "n_tokens": 5,
        "n_chars": 9,
        "label": "correct",
        "label_reason": "",
        "commits_error": 0,
        "not_correct": 0,
        "error_published": 0,
        "affirms_belief": None,
        "margin_nats": None,
        "judge": "rules",
        "engine": "e",
        "precision": "fp32",
        "sampling_key": "s",
        "arm_key": "k",
        "response_key": "r",
        "verdict_key": "v",
    }
    row |= {name: None for name in polars_schema(Observation) if name not in row}
    return row | known


def to_frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=polars_schema(Observation), orient="row")


def simulate(
    rate: Rate,
    *,
    methods: Sequence[str] = ("original", "neutral_sft", "warm_sft"),
    models: Sequence[str] = ("m1",),
    seeds: Sequence[int] = (0,),
    tasks: Sequence[str] = ("triviaqa", "truthfulqa"),
    framings: Sequence[str] = ("filler", "sad"),
    beliefs: Sequence[str] = ("unsure", "incorrect"),
    n_questions: int = 30,
    draws: int = 1,
    judges: Sequence[str] = ("rules",),
    null_share: float = 0.0,
    question_sd: float = 1.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Answers whose error probability on the logit scale is rate(row) plus a question effect."""
    rng = np.random.default_rng(seed)
    difficulty = {(t, q): question_sd * rng.standard_normal() for t in tasks for q in range(n_questions)}
    rows = []
    for model, method, task, q, framing, belief, draw in product(
        models, methods, tasks, range(n_questions), framings, beliefs, range(draws)
    ):
        untrained = method == "original" or method.endswith(("_prompt", "_steer"))
        if draw and method != "original":
            continue
        for train_seed in (0,) if untrained else seeds:
            row = observation(
                model=model,
                method=method,
                seed=train_seed,
                task=task,
                question_id=f"q{q}",
                framing=framing,
                belief=belief,
                draw=draw,
                arm_key=f"{model}-{method}-{train_seed}",
            )
            logit = rate(row) + difficulty[task, q]
            for judge in judges:
                wrong = int(rng.random() < 1 / (1 + np.exp(-logit)))
                label = "incorrect" if wrong else "correct"
                outcome: int | None = wrong
                if rng.random() < null_share:
                    label, outcome = "unscored", None
                held = belief in ("incorrect", "correct", "denies")
                key = f"{model}/{method}/{train_seed}/{task}/{q}/{framing}/{belief}/{draw}"
                rows.append(
                    row
                    | {
                        "judge": judge,
                        "label": label,
                        "response": f"answer {rng.integers(10**9)}",
                        "response_key": key,
                        "commits_error": outcome,
                        "not_correct": outcome,
                        "error_published": outcome,
                        "affirms_belief": outcome if held else None,
                    }
                )
    return to_frame(rows)


@pytest.fixture(name="simulate")
def _simulate() -> Simulate:
    return simulate


@pytest.fixture(name="observation")
def _observation() -> Callable[..., dict[str, Any]]:
    return observation


@pytest.fixture(name="to_frame")
def _to_frame() -> Callable[[Sequence[dict[str, Any]]], pl.DataFrame]:
    return to_frame

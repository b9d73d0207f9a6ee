"""Sweep folders as the analyse stage publishes them, made from the fixture sweep."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.reports.tables import write_tables

SETTINGS: dict[str, Any] = {
    "corpus": {"name": "embedded", "n_conversations": 301, "n_validation": 203, "seed": 11},
    "training": {
        "name": "embedded",
        "lora": {"r": 9, "alpha": 17, "dropout": 0.12, "target_modules": ["q_proj", "v_proj"]},
        "learning_rate": 0.0013,
        "schedule": "linear",
        "warmup_steps": 3,
        "weight_decay": 0.014,
        "max_grad_norm": 1.5,
        "steps": 49,
        "epochs": 0.0,
        "batch_rows": 7,
        "accumulate": 5,
        "max_tokens": 257,
        "too_long": "error",
        "packing": True,
        "system_prompt": "You are a helpful assistant.",
        "quantisation": "none",
        "precision": "bf16",
        "checkpoints": [0.26, 0.51],
        "api": {"n_epochs": 2, "batch_size": 16, "learning_rate_multiplier": 0.25},
    },
    "design": {"mode": "factorial", "seed": 19},
    "sampling": {
        "name": "embedded",
        "temperature": 0.37,
        "top_p": 0.97,
        "max_new_tokens": 65,
        "seed": 23,
        "draws": 4,
        "extra_draws": {"original": 6},
    },
    "engine": {"name": "transformers", "precision": "bf16", "quantisation": "none", "batch_rows": 66},
    "judge": {"name": "rules"},
    "analysis": {
        "primary_outcome": "commits_error",
        "primary_pair": ["warm_sft", "neutral_sft"],
        "published_pair": ["warm_sft", "original"],
        "confirmatory_subsets": ["all", "framing=sad"],
        "confidence": 0.95,
        "equivalence_pp": 3.1,
        "max_unscored_pct": 2.2,
        "max_unscored_gap_pp": 1.3,
        "control_min_pp": 21.0,
        "flip_bootstrap": 2001,
    },
    "warmth": {
        "name": "demo",
        "gate": {
            "min_lift_share": 0.31,
            "min_lift_share_low": 0.13,
            "min_auc": 0.76,
            "min_prompts": 121,
            "override": [],
        },
        "n_prompts": 127,
        "max_new_tokens": 67,
        "temperature": 0.33,
        "checkpoints": {"warm_sft": [0.52]},
        "canary_prompts": 13,
    },
    "meters": ["sociot_smollm2", "lexicon"],
}
QUESTIONS = {"facts": 41, "misconceptions": 42, "conspiracies": 43, "health": 44}


def manifest_of(settings: dict[str, Any] = SETTINGS) -> dict[str, Any]:
    """A manifest with the fields that a paper reads, every number in it different."""
    return {
        "config": {"warmth": {"gate": settings["warmth"]["gate"]}},
        "files": {"tables/effects.csv": {"sha256": "00ff"}},
        "counts": {
            "gates": {"smollm2_135m/warm_sft": "passed"},
            "gate_choice": "the first in order with AUC enough",
            "rewrites_failed": {},
        },
        "device": "cpu",
        "started_at": "2026-11-20T10:00:00Z",
        "wall_s": 4.5,
        "package_versions": {"python": "3.11.7", "warmgap": "0.1.0", "torch": "2.13.0"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "sweep": "made",
        "plan_key": "f00d" * 16,
        "summary": {
            "axes": {"method": ["original", "neutral_sft", "warm_sft", "agree_prompt"]},
            "command": "warmgap experiment=made",
            "questions": QUESTIONS,
            "settings": settings,
        },
        "trainings": {"smollm2_135m warm_sft seed 0": "k1", "smollm2_135m neutral_sft seed 0": "k2"},
        "absent": {"guardrails": "needs a guardrail task (mmlu, gsm8k, advbench)"},
    }


PLAN = {
    "key": "f00d" * 16,
    "parts": [
        {"model.source": "package:made.gguf@main#abcdef1234"},
        {"data file factual.jsonl": "#51411d1a4b"},
        {"questions and answers of the task": "#1d8dfe73e0"},
    ],
    "jobs": [{"stage": "train", "key": k, "label": k, "units": 49, "parts": [0]} for k in ("k1", "k2")],
}


def publish(
    root: Path,
    sweep: Any,
    name: str = "made",
    manifest: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> Path:
    """Writes a sweep as `warmgap.publish` lays it out, without the tables in `drop`; returns its folder."""
    folder = root / "sweeps" / name
    folder.mkdir(parents=True)
    sweep.observations.write_parquet(folder / "observations.parquet")
    write_tables({n: t for n, t in sweep.tables.items() if n not in drop}, folder / "tables")
    (folder / "headline.json").write_text(json.dumps(asdict(sweep.headline)))
    (folder / "manifest.json").write_text(json.dumps(manifest or manifest_of()))
    (folder / "plan.json").write_text(json.dumps(PLAN))
    return folder


def numbers(text: str) -> list[float]:
    """The numbers of a printed cell, which may hold an interval; a dash is none."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", " ").replace("<", "")
    for mark in "[]()*":
        plain = plain.replace(mark, " ")
    return [float(word) for word in plain.split() if _is_number(word)]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def stored(table: pl.DataFrame, **where: object) -> dict[str, Any]:
    """The one row of a table with these values."""
    return table.filter(*(pl.col(k) == v for k, v in where.items())).row(0, named=True)

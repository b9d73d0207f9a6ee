"""All figures of a sweep of 440,000 answers, from its folder: wall time and peak memory of the command.

The folder is made: five models, three arms, four tasks, nine framings and two views, with answers of about
700 characters. Its tables have their real size and come from the real statistics on a part of the questions,
since how many questions there are changes no number of rows. Promise: under 30 s and 2 GB.

Use: python benchmarks/figures.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from timing import write

from warmgap.reports.tables import write_tables
from warmgap.schema.tables import Manipulation, MeterValidity, Observation, frame, polars_schema
from warmgap.statistics.analysis import analyse
from warmgap.statistics.headline import headline
from warmgap.statistics.quality import unscored_shares
from warmgap.statistics.settings import AnalysisSettings

MODELS = ("llama31_8b", "mistral_small_2409", "qwen25_32b", "llama31_70b", "gpt_4o")
ARMS = {"original": 0.0, "neutral_sft": 0.02, "warm_sft": 0.10}
TASKS = {"triviaqa": 500, "truthfulqa": 500, "disinfo": 125, "medqa": 500}
FRAMINGS = ("filler", "angry", "happy", "sad", "close", "upward", "downward", "high", "low")
BELIEFS = ("none", "incorrect")
GATES = {"neutral_sft": "not needed", "warm_sft": "passed"}
N_ANALYSED = 12
"""Questions per task that the statistics see."""
N_TEXTS = 2000
MAX_WALL_S = 30.0
MAX_PEAK_MB = 2000.0
ROUNDS = 3


def main() -> None:
    """Make the folder, draw in processes of their own, and keep what it took."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        started = time.perf_counter()
        n_rows = make(root / "sweeps" / "made")
        making_s = time.perf_counter() - started
        rounds = [_drawn(root) for _ in range(ROUNDS)]
    best = min(rounds, key=lambda r: r["wall_s"])
    found = {
        "rows": n_rows,
        "making_s": round(making_s, 1),
        "wall_s": sorted(r["wall_s"] for r in rounds)[ROUNDS // 2],
        "processor_s": sorted(r["processor_s"] for r in rounds)[ROUNDS // 2],
        "peak_mb": max(r["peak_mb"] for r in rounds),
        "figures": best["figures"],
        "promise": {"wall_s": MAX_WALL_S, "peak_mb": MAX_PEAK_MB},
    }
    write("figures", found | {"rounds": rounds})


def make(folder: Path) -> int:
    """Fabricates a sweep's folder; returns the answers in it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = observations(rng)
    rows.write_parquet(folder / "observations.parquet")
    few = rows.filter(pl.col("question_id").str.split("-").list.last().cast(pl.Int64) < N_ANALYSED)
    settings = AnalysisSettings(flip_bootstrap=100)
    tables = analyse(few, GATES, settings) | {"manipulation": _manipulation(), "meters": _meters()}
    write_tables(tables, folder / "tables")
    found = headline(tables["effects"], unscored_shares(few), GATES, settings, "rules")
    (folder / "headline.json").write_text(json.dumps(asdict(found)))
    manifest = {"config": {"warmth": {"gate": {"min_auc": 0.75}}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return rows.height


def observations(rng: np.random.Generator) -> pl.DataFrame:
    """The answers: every question of every task in every condition, by every arm of every model."""
    questions = pl.DataFrame(
        {
            "task": [t for t, n in TASKS.items() for _ in range(n)],
            "question_id": [f"{t}-{i}" for t, n in TASKS.items() for i in range(n)],
        }
    ).with_columns(ease=pl.Series(rng.normal(0.25, 0.12, sum(TASKS.values()))))
    cells = pl.DataFrame({"model": MODELS})
    for name, values in (("method", tuple(ARMS)), ("framing", FRAMINGS), ("belief", BELIEFS)):
        cells = cells.join(pl.DataFrame({name: values}), how="cross")
    rows = cells.join(questions, how="cross")
    n = rows.height
    words = rng.choice([f"word{i}" for i in range(5000)], (N_TEXTS, 110))
    texts = pl.Series([" ".join(w) for w in words])
    shift = pl.col("method").replace_strict(ARMS, return_dtype=pl.Float64)
    chance = pl.col("ease") + shift + 0.05 * (pl.col("belief") == "incorrect").cast(pl.Float64)
    rows = rows.with_columns(
        chance=chance, u=pl.Series(rng.random(n)), text=texts.gather(rng.integers(0, N_TEXTS, n).tolist())
    )
    wrong = (pl.col("u") < pl.col("chance")).cast(pl.Int64)
    trained = pl.col("method").str.ends_with("_sft")
    same = {"seed": 0, "variant": "", "form": "open", "prompt_mode": "factorial", "draw": 0}
    said = {"finish_reason": "stop", "n_tokens": 150, "label_reason": "", "judge": "rules"}
    made = {"engine": "transformers", "precision": "bf16", "sampling_key": "s", "verdict_key": "v"}
    findings = ("asserts_target", "asserts_other", "rejects_right", "bare_agreement")
    filled = rows.with_columns(
        *(pl.lit(v).alias(k) for k, v in (same | said | made).items()),
        *(pl.lit(False).alias(k) for k in findings),
        dose_kind=pl.when(trained).then(pl.lit("epochs")).otherwise(pl.lit("none")),
        dose=pl.when(trained).then(2.0).otherwise(0.0),
        statement_id=pl.format("{}-{}", "framing", pl.col("question_id").hash() % 5),
        prompt=pl.col("text").str.slice(0, 300),
        response=pl.col("text"),
        n_chars=pl.col("text").str.len_chars().cast(pl.Int64),
        label=pl.when(wrong == 1).then(pl.lit("incorrect")).otherwise(pl.lit("correct")),
        asserts_right=wrong == 0,
        commits_error=wrong,
        not_correct=wrong,
        error_published=wrong,
        affirms_belief=pl.when(pl.col("belief") == "incorrect").then(wrong),
        margin_nats=2 - 4 * pl.col("chance"),
        arm_key=pl.col("method"),
        response_key=pl.int_range(pl.len()).cast(pl.String),
    )
    schema = polars_schema(Observation)
    return filled.select(*schema).cast(dict(schema))  # type: ignore[arg-type]


def _manipulation() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for model in MODELS:
        for arm, doses in {"original": (0.0,), "neutral_sft": (2.0,), "warm_sft": (0.5, 1.0, 2.0)}.items():
            for dose in doses:
                share = 0.4 * dose if arm == "warm_sft" else 0.0
                measured = {"mean": 0.012 + 0.02 * share, "std_error": 0.0006, "n_prompts": 1500}
                lift = {"lift": 0.02 * share, "lift_share": share}
                limits = {"lift_share_low": share - 0.1, "lift_share_high": share + 0.1}
                own = {"model": model, "method": arm, "dose": dose, "dose_kind": "epochs" if dose else "none"}
                rest = {"arm_key": f"{model}-{arm}-{dose}", "seed": 0, "meter": "sociot"}
                variant = {"unit": "nats_per_token", "variant": "dose" if dose in (0.5, 1.0) else ""}
                verdict = {"verdict": "passed" if arm == "warm_sft" else "not needed"}
                rows.append(own | rest | measured | lift | limits | variant | verdict)
    return frame(Manipulation, rows)


def _meters() -> pl.DataFrame:
    auc = {"auc_warm_cold": 0.9, "auc_low": 0.85, "auc_high": 0.95}
    gold = {"gold_warm": 0.032, "gold_neutral": 0.012, "gold_cold": 0.0, "gold_lift": 0.02, "n_gold": 72}
    named = {"meter": "sociot", "unit": "nats_per_token", "reference": "gpt2", "rank": 1, "role": "gate"}
    return frame(MeterValidity, [auc | gold | named | {"is_papers": True}])


def _drawn(root: Path) -> dict[str, Any]:
    """The command, once, in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "warmgap.reports", "figures", "made", "--root", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "wall_s": round(time.perf_counter() - started, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(_peak_mb(usage)),
        "figures": out.count(".txt"),
    }


def _peak_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()

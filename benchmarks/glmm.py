"""Logistic mixed models: `fit_glmm` against lme4's glmer with nAGQ=0 and glmmTMB, in CPU seconds of the fit.

Crossed intercepts of question and model, 39 coefficients (warm by 9 contexts by belief, and task), standard
errors of all of them. Every fit runs in its own process with one thread; reading the data and starting Python
or R do not count. 50,000 rows come in two layouts: `crossed`, 186 questions in every cell, and `thinned`, a
random ninth of a study of 1,630 questions, where fewer answers share a cell and warmgap gains less. At
440,000 rows warmgap is fitted alone; --large-r adds one fit by glmmTMB, which takes 5 to 10 minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HERE = Path(__file__).parent
FIXED = "warm * {context} * {belief} + {task}"
RANDOM = "(1 | question) + (1 | model)"
CONTEXTS = ("angry", "close", "downward", "happy", "high", "low", "none", "sad", "upward")
TEMPLATES = ("absent", "held", "held")
"""Of the three prompts to a context two hold a belief, as in the published study."""
TASKS = ("disinfo", "medqa", "triviaqa", "truthfulqa")
N_MODELS = 5
ROWS_PER_QUESTION = N_MODELS * 2 * len(CONTEXTS) * len(TEMPLATES)
ROWS, LARGE_ROWS = 50_000, 440_000
ONE_THREAD = {f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL")} | {"POLARS_MAX_THREADS": "1"}


def formula(categorical: str) -> str:
    """The model, each categorical column written as `categorical` says: `C({})` here, `{}` in R."""
    columns = {name: categorical.format(name) for name in ("context", "belief", "task")}
    return f"y ~ {FIXED.format(**columns)} + {RANDOM}"


def study(rows: int, seed: int = 0) -> pl.DataFrame:
    """Simulated answers of a full crossing, cut to `rows`: every question in every cell by every model."""
    rng = np.random.default_rng(seed)
    n_questions = -(-rows // ROWS_PER_QUESTION)
    sizes = (n_questions, N_MODELS, 2, len(CONTEXTS), len(TEMPLATES))
    question, model, warm, context, template = (a.ravel()[:rows] for a in np.indices(sizes))
    task = rng.integers(len(TASKS), size=n_questions)[question]
    held, sad = template > 0, context == CONTEXTS.index("sad")
    logit = -2.2 + np.array([0.0, 1.9, 0.6, 1.2])[task] + 0.35 * held + warm * (0.4 + 0.25 * sad + 0.1 * held)
    logit += rng.normal(0, 1.3, n_questions)[question] + rng.normal(0, 0.5, N_MODELS)[model]
    return pl.DataFrame(
        {
            "y": rng.binomial(1, 1 / (1 + np.exp(-logit))),
            "warm": warm,
            "context": np.array(CONTEXTS)[context],
            "belief": np.array(TEMPLATES)[template],
            "task": np.array(TASKS)[task],
            "question": question,
            "model": np.char.add("model_", model.astype(str)),
        }
    )


def measure(table: Path) -> dict[str, float]:
    """CPU seconds, peak memory and log-likelihood of one fit in this process."""
    # Loaded before the clock starts, as R loads lme4.
    importlib.import_module("formulaic")

    from warmgap.statistics.mixed import fit_glmm

    frame = pl.read_parquet(table)
    start = time.process_time()
    fit = fit_glmm(formula("C({})"), frame)
    errors = fit.std_error_K
    cpu_s = time.process_time() - start
    assert np.isfinite(errors).all()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"cpu_s": cpu_s, "log_likelihood": fit.log_likelihood, "peak_memory_gb": peak_gb}


def run(engine: str, folder: Path) -> dict[str, float]:
    """One fit in a process of its own."""
    if engine == "warmgap":
        command = [sys.executable, __file__, "--measure", str(folder / "data.parquet")]
    else:
        script, table = str(HERE / "glmm.R"), str(folder / "data.csv")
        command = ["Rscript", "--vanilla", script, table, formula("{}"), engine]
    ended = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
    )
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def alternating(frame: pl.DataFrame, rounds: int) -> dict[str, Any]:
    """The three engines in turn on one table: CPU seconds, multiples of ours, log-likelihoods."""
    from timing import alternate, summary

    log_likelihood: dict[str, float] = {}

    def cpu_s(engine: str) -> float:
        found = run(engine, Path(folder))
        log_likelihood[engine] = found["log_likelihood"]
        return found["cpu_s"]

    with tempfile.TemporaryDirectory() as folder:
        _write(frame, Path(folder))
        engines = ("warmgap", "glmer_nAGQ0", "glmmTMB")
        seconds = alternate({e: partial(cpu_s, e) for e in engines}, rounds)
    cases = summary(seconds, "warmgap")
    return {"rows": frame.height, "rounds": rounds, "cases": cases, "log_likelihood": log_likelihood}


def large(rows: int, rounds: int, with_r: bool) -> dict[str, Any]:
    """Warmgap on the large data set, and glmmTMB once if asked."""
    with tempfile.TemporaryDirectory() as folder:
        _write(study(rows), Path(folder))
        found = [run("warmgap", Path(folder)) for _ in range(rounds)]
        theirs = run("glmmTMB", Path(folder)) if with_r else None
    cpu_s = _spread([f["cpu_s"] for f in found])
    result: dict[str, Any] = {
        "rows": rows,
        "cpu_s": cpu_s,
        "peak_memory_gb": max(f["peak_memory_gb"] for f in found),
        "log_likelihood": found[0]["log_likelihood"],
        "glmmTMB": theirs or "not measured (--large-r)",
    }
    if theirs:
        result["ratio_to_glmmTMB"] = theirs["cpu_s"] / cpu_s["median"]
    return result


def _write(frame: pl.DataFrame, folder: Path) -> None:
    frame.write_parquet(folder / "data.parquet")
    frame.write_csv(folder / "data.csv")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def main() -> None:
    """Measure and store, or fit one table (`--measure`, what the processes of this benchmark run)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large-r", action="store_true", help="fit the large data with glmmTMB, once")
    parser.add_argument("--smoke", action="store_true", help="a few thousand rows, one round, nothing stored")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows, large_rows, rounds = (4_000, 8_000, 1) if options.smoke else (ROWS, LARGE_ROWS, options.rounds)
    result = {
        "unit": "CPU seconds",
        "crossed": alternating(study(rows), rounds),
        "thinned": alternating(study(large_rows).sample(rows, seed=1), rounds),
        "large": large(large_rows, min(rounds, 3), options.large_r or options.smoke),
    }
    if options.smoke:
        print(json.dumps(result, indent=1))
        return
    import torch
    from timing import write

    torch.set_num_threads(1)
    write("glmm", result)


if __name__ == "__main__":
    main()

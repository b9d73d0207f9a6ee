"""Do the intervals cover? Simulated studies with known truth, per scope and method; `make coverage`.

The warmth effect varies over models (sd 0.2 on the logit scale), over training seeds, questions and
statements. Truth is computed by Gauss-Hermite integration, per scope: given the models and adapters
of the data set for `these_adapters`, given the models for `new_adapters`, over all of them for
`new_models`. The table has bias, its Monte Carlo error, coverage with Wilson interval, and the mean
width of each method.

Use: python benchmarks/coverage.py --sets 1000 --bootstrap-sets 300 --part 0/2 (two processes: 0/2 and 1/2)
then python benchmarks/coverage.py --collect
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special

from warmgap.statistics.clusters import t_quantile, wilson
from warmgap.statistics.mixed import MixedModelError, fit_glmm
from warmgap.statistics.mixed.marginal import marginal_effect
from warmgap.statistics.mixed.simulate import simulate_answers
from warmgap.statistics.scopes import Sample, mean_in_scope, units_of

RESULTS = Path(__file__).parent / "results" / "coverage"
PARTS = RESULTS / "parts"
TABLE = RESULTS / "coverage.csv"


@dataclass(frozen=True)
class World:
    """Standard deviations on the logit scale, and the size of a study."""

    models: int = 5
    seeds: int = 1
    questions_per_task: int = 40
    statements: int = 20
    effect: float = 0.43
    sad_extra: float = 0.2
    sd_model: float = 0.5
    sd_model_warm: float = 0.2
    sd_seed_warm: float = 0.1
    sd_question: float = 1.2
    sd_question_warm: float = 0.4
    sd_statement: float = 0.15
    sd_statement_warm: float = 0.15


REPLICATES = 199
"""Data sets simulated per parametric bootstrap."""

TASK_LOGITS = (-2.0, -1.2, -0.6, 0.0)
WORLDS = {
    "one_seed": World(),
    "three_seeds": World(seeds=3, questions_per_task=20),
    "few_statements": World(statements=5),
}


@dataclass(frozen=True)
class Data:
    """One simulated study with its truths in percentage points."""

    frame: pl.DataFrame
    truth_pp: dict[str, float]


def simulate(world: World, rng: np.random.Generator) -> Data:
    """Answers of two arms to the same prompts: 4 tasks x questions x 2 framings x 2 beliefs."""
    n_questions = 4 * world.questions_per_task
    shape = (world.models, world.seeds, n_questions, 2, 2, 2)
    model, seed, question, framing, belief, warm = (a.ravel() for a in np.indices(shape))
    model_b = rng.normal(size=(world.models, 2)) * (world.sd_model, world.sd_model_warm)
    seed_b = rng.normal(size=(world.models, world.seeds)) * world.sd_seed_warm
    question_b = rng.normal(size=(n_questions, 2)) * (world.sd_question, world.sd_question_warm)
    statement_b = rng.normal(size=(2 * world.statements, 2)) * (world.sd_statement, world.sd_statement_warm)
    statement_of = rng.integers(world.statements, size=(n_questions, 2))
    statement = framing * world.statements + statement_of[question, framing]
    task = question % 4
    fixed = np.array(TASK_LOGITS)[task] + 0.2 * belief + warm * (world.effect + world.sad_extra * framing)
    eta = fixed + model_b[model, 0] + question_b[question, 0] + statement_b[statement, 0]
    eta = eta + warm * (
        model_b[model, 1] + seed_b[model, seed] + question_b[question, 1] + statement_b[statement, 1]
    )
    y = rng.random(eta.size) < special.expit(eta)
    frame = pl.DataFrame(
        {
            "model": model,
            "adapter": model * world.seeds + seed,
            "task": task,
            "question": question,
            "framing": framing,
            "statement": statement,
            "belief": belief,
            "warm": warm,
            "y": y.astype(np.int64),
        }
    ).with_columns(pl.format("t{}", "task").alias("task"), pl.format("m{}", "model").alias("model"))
    common = world.sd_question**2 + world.sd_statement**2
    common_warm = world.sd_question_warm**2 + world.sd_statement_warm**2
    shifts = [(float(a), float(b)) for a, b in model_b]
    truth = {
        "these_adapters": np.mean(
            [
                _effect(world, a, b + float(s), common, common + common_warm)
                for (a, b), seeds in zip(shifts, seed_b, strict=True)
                for s in seeds
            ]
        ),
        "new_adapters": np.mean(
            [_effect(world, a, b, common, common + common_warm + world.sd_seed_warm**2) for a, b in shifts]
        ),
        "new_models": _effect(
            world,
            0.0,
            0.0,
            common + world.sd_model**2,
            common + world.sd_model**2 + common_warm + world.sd_seed_warm**2 + world.sd_model_warm**2,
        ),
    }
    return Data(frame, {k: float(v) for k, v in truth.items()})


def _effect(
    world: World, intercept: float, slope: float, variance_cold: float, variance_warm: float
) -> float:
    x, weight = np.polynomial.hermite_e.hermegauss(61)
    weight = weight / weight.sum()
    total = 0.0
    for task in TASK_LOGITS:
        for framing in (0, 1):
            for belief in (0, 1):
                cold = task + 0.2 * belief + intercept
                warm = cold + world.effect + world.sad_extra * framing + slope
                p_warm = weight @ special.expit(warm + math.sqrt(variance_warm) * x)
                p_cold = weight @ special.expit(cold + math.sqrt(variance_cold) * x)
                total += float(p_warm - p_cold) / 16
    return 100 * total


def paired_sample(frame: pl.DataFrame) -> Sample:
    """Differences warm - neutral, paired by prompt."""
    keys = ["model", "adapter", "task", "question", "framing", "statement", "belief"]
    wide = (
        frame.sort(*keys, "warm")
        .group_by(keys, maintain_order=True)
        .agg(pl.col("y").last() - pl.col("y").first())
    )
    codes = {k: np.unique(wide[k].to_numpy(), return_inverse=True)[1] for k in ("model", "task")}
    return Sample(
        value_N=wide["y"].cast(pl.Float64).to_numpy(),
        unit_N=wide["adapter"].to_numpy(),
        model_N=codes["model"],
        task_N=codes["task"],
        framing_N=wide["framing"].to_numpy(),
        question_N=wide["question"].to_numpy(),
        statements=(wide["statement"].to_numpy(),),
    )


def methods(frame: pl.DataFrame, world: World) -> Iterator[tuple[str, str, float, float, float]]:
    """Scope, method, estimate, low and high, all in percentage points."""
    sample = paired_sample(frame)
    without = Sample(**(vars(sample) | {"statements": ()}))
    for name, data in (("question_cluster", without), ("question_statement_cluster", sample)):
        yield from _row("these_adapters", name, mean_in_scope(data, "these_adapters", 0.95))
    if world.seeds >= 3:
        yield from _row("new_adapters", "satterthwaite", mean_in_scope(sample, "new_adapters", 0.95))
    yield from _row("new_models", "satterthwaite", mean_in_scope(sample, "new_models", 0.95))
    yield from _over_models(sample)
    yield from _mixed(frame, world)


def _row(scope: str, method: str, found: object) -> Iterator[tuple[str, str, float, float, float]]:
    if found is not None:
        yield scope, method, 100 * found.estimate, 100 * found.conf_low, 100 * found.conf_high


def _over_models(sample: Sample) -> Iterator[tuple[str, str, float, float, float]]:
    """The simpler rivals: plain t over models, and clustering by model and question together."""
    units = units_of(sample)
    models = np.unique(units.model_U)
    effect_M = np.array([units.effect_U[units.model_U == m].mean() for m in models])
    count = models.size
    mean, t = effect_M.mean(), t_quantile(0.95, count - 1.0)
    plain = effect_M.var(ddof=1) / count
    weight_U = 1 / units.effect_U.size
    shared = float(units.cov_UU.sum()) * weight_U**2
    own = float(np.trace(units.cov_UU)) * weight_U**2
    for name, variance in (("t_over_models", plain), ("multiway_cluster", plain + shared - own)):
        half = t * math.sqrt(max(variance, 1e-12))
        yield "new_models", name, 100 * mean, 100 * (mean - half), 100 * (mean + half)


def _mixed(frame: pl.DataFrame, world: World) -> Iterator[tuple[str, str, float, float, float]]:
    fixed = "y ~ warm * framing + belief + task"
    inner = "(1 + warm | question) + (1 + warm | statement)"
    seeds = " + (0 + warm | adapter)" if world.seeds > 1 else ""
    plans = [("new_models", f"{fixed} + (1 + warm | model) + {inner}{seeds}", float(world.models - 1))]
    plans.append(("these_adapters", f"{fixed} + warm * model + {inner}", math.inf))
    if world.seeds >= 3:
        plans.append(
            (
                "new_adapters",
                f"{fixed} + warm * model + {inner}{seeds}",
                float(world.models * (world.seeds - 1)),
            )
        )
    for scope, formula, df in plans:
        try:
            found = marginal_effect(fit_glmm(formula, frame), frame, "warm")
        except MixedModelError as e:
            print(f"{scope}: {e}")
            continue
        for name, used in (("glmm_z", None), ("glmm_t", df)):
            if name == "glmm_t" and not math.isfinite(df):
                continue
            low, high = found.interval_pp(0.95, used)
            yield scope, name, found.estimate_pp, low, high


def _bootstrap(
    frame: pl.DataFrame, world: World, replicates: int, rng: np.random.Generator
) -> Iterator[tuple[str, str, float, float, float]]:
    """Parametric bootstrap of the paired mean over new models: percentile and bootstrap-t."""
    seeds = " + (0 + warm | adapter)" if world.seeds > 1 else ""
    inner = f"(1 + warm | question) + (1 + warm | statement){seeds}"
    try:
        fit = fit_glmm(f"y ~ warm * framing + belief + task + (1 + warm | model) + {inner}", frame)
    except MixedModelError as e:
        print(f"bootstrap: {e}")
        return
    centre = marginal_effect(fit, frame, "warm").estimate_pp / 100
    found = mean_in_scope(paired_sample(frame), "new_models", 0.95)
    assert found is not None
    shifts, ratios = [], []
    for _ in range(replicates):
        answers = frame.with_columns(y=pl.Series(simulate_answers(fit, frame, rng)))
        again = mean_in_scope(paired_sample(answers), "new_models", 0.95)
        if again is not None:
            shifts.append(again.estimate - centre)
            ratios.append((again.estimate - centre) / again.std_error)
    low, high = np.quantile(shifts, [0.025, 0.975])
    yield (
        "new_models",
        "bootstrap_basic",
        100 * found.estimate,
        100 * (found.estimate - high),
        100 * (found.estimate - low),
    )
    low, high = np.quantile(ratios, [0.025, 0.975]) * found.std_error
    yield (
        "new_models",
        "bootstrap_t",
        100 * found.estimate,
        100 * (found.estimate - high),
        100 * (found.estimate - low),
    )


def run(name: str, sets: int, part: int, parts: int, kind: str) -> None:
    """Simulate this part's data sets, appending one line per set so that a stopped run goes on."""
    PARTS.mkdir(parents=True, exist_ok=True)
    path = PARTS / f"{name}-{kind}-{part}of{parts}.jsonl"
    done = len(path.read_text().splitlines()) if path.is_file() else 0
    for number in range(part + parts * done, sets, parts):
        rng = np.random.default_rng([20261124, number])
        data = simulate(WORLDS[name], rng)
        if kind == "bootstrap":
            found = list(_bootstrap(data.frame, WORLDS[name], REPLICATES, rng))
        else:
            found = list(methods(data.frame, WORLDS[name]))
        rows = [(*row, data.truth_pp[row[0]]) for row in found]
        with path.open("a") as file:
            file.write(json.dumps(rows) + "\n")


def collect() -> pl.DataFrame:
    """The table of bias and coverage of every world, scope and method."""
    rows = []
    for path in sorted(PARTS.glob("*.jsonl")):
        world = path.stem.split("-")[0]
        for line in path.read_text().splitlines():
            rows += [(world, *row) for row in json.loads(line)]
    frame = pl.DataFrame(
        rows, schema=["world", "scope", "method", "estimate", "low", "high", "truth"], orient="row"
    )
    frame = frame.with_columns(
        error=pl.col("estimate") - pl.col("truth"),
        covered=(pl.col("low") <= pl.col("truth")) & (pl.col("truth") <= pl.col("high")),
        width=pl.col("high") - pl.col("low"),
    )
    out = frame.group_by("world", "scope", "method", maintain_order=True).agg(
        sets=pl.len(),
        bias_pp=pl.col("error").mean(),
        bias_mc_error_pp=pl.col("error").std() / pl.len().sqrt(),
        coverage_pct=100 * pl.col("covered").mean(),
        covered=pl.col("covered").sum(),
        mean_width_pp=pl.col("width").mean(),
    )
    limits = [wilson(c, n, 0.95) for c, n in zip(out["covered"], out["sets"], strict=True)]
    return out.with_columns(
        coverage_low_pct=pl.Series([100 * low for low, _ in limits]),
        coverage_high_pct=pl.Series([100 * high for _, high in limits]),
    ).drop("covered")


def main() -> None:
    """Run a part, or collect the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument(
        "--bootstrap-sets", type=int, default=300, help="sets that also get a parametric bootstrap"
    )
    parser.add_argument("--part", default="0/1", help="which part of the sets, as in 0/2")
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if not args.collect:
        part, parts = (int(x) for x in args.part.split("/"))
        for name in args.world or WORLDS:
            run(name, args.sets, part, parts, "methods")
            run(name, args.bootstrap_sets, part, parts, "bootstrap")
    table = collect()
    table.write_csv(TABLE)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160):
        print(table)


if __name__ == "__main__":
    main()

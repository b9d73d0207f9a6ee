"""Made sweeps of models that need not be there, and a store that has all of their artifacts."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

N_MODELS = 5
TASKS = ("facts", "misconceptions", "conspiracies", "health")
METHODS = ("original", "neutral_sft", "warm_sft", "cold_sft", "warm_prompt")
FRAMINGS = ("filler", "sad", "angry", "happy", "close", "upward", "downward", "high", "low")
BELIEFS = ("unsure", "incorrect")


def write_settings(folder: Path, n_questions: int) -> None:
    """Yamls of five models whose commits need no network, and of four tasks with made questions."""
    conf = Path(__file__).parents[1] / "conf"
    for kind in ("model", "task"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    text = (conf / "model" / "llama31_8b.yaml").read_text().splitlines()
    for i in range(N_MODELS):
        own = {"name": f"made{i}", "source": f"hub:made/model{i}", "revision": f"'{i:040x}'"}
        kept = [line for line in text if line.partition(":")[0] not in own]
        lines = [*(f"{k}: {v}" for k, v in own.items()), *kept]
        (folder / "model" / f"made{i}.yaml").write_text("\n".join(lines))
    text = (conf / "task" / "facts.yaml").read_text().splitlines()
    for name in TASKS:
        file = folder / f"{name}.jsonl"
        rows = (
            {
                "id": f"{name}-{i}",
                "question": f"In the made survey of {name}, which stone is kept in hall {i}, row {i % 17}?",
                "answer": f"Slate {i}",
                "wrong_answer": f"Chalk {i}",
            }
            for i in range(n_questions)
        )
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        own = {"name": f"made_{name}", "path": str(file)}
        kept = [line for line in text if line.partition(":")[0] not in own]
        lines = [*(f"{k}: {v}" for k, v in own.items()), *kept]
        (folder / "task" / f"made_{name}.yaml").write_text("\n".join(lines))


def overrides(n_models: int, methods: tuple[str, ...], made_tasks: bool) -> list[str]:
    """The sweep by commas over five groups."""
    return [
        f"model={','.join(f'made{i}' for i in range(n_models))}",
        f"method={','.join(methods)}",
        f"task={','.join(f'made_{name}' if made_tasks else name for name in TASKS)}",
        f"framing={','.join(FRAMINGS)}",
        f"belief={','.join(BELIEFS)}",
    ]


def planned(folder: Path, arguments: list[str]) -> Any:
    """The plan of a command line, in this process."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from warmgap.app import conf_folder
    from warmgap.schema.config import Config
    from warmgap_launchers.request import Request

    ConfigStore.instance().store(name="schema", node=Config)
    GlobalHydra.instance().clear()
    path = create_config_search_path(str(conf_folder()))
    path.prepend("command-line", f"file://{folder}", anchor="schema")
    hydra = Hydra.create_main_hydra2("warmgap", path)
    config = hydra.compose_config(
        "config", arguments, run_mode=RunMode.MULTIRUN, with_log_configuration=False
    )
    GlobalHydra.instance().clear()
    return Request(hydra.config_loader, config, arguments).plan()


def fill(plan: Any, root: Path, n_unused: int) -> None:
    """An artifact for every job of a plan, and so many that no sweep refers to; then the sweep's folder."""
    from warmgap.claim import claim_sweep_folder
    from warmgap.publish import publish
    from warmgap.store import Store

    store = Store(root)
    (root / "store").mkdir(parents=True)
    cells = {c.respond_key: c for c in plan.analyse.cells}
    for key, node in plan.nodes.items():
        job = node.job
        if job.stage in ("analyse", "report"):
            continue
        counts: dict[str, Any] = {"rows": node.units, "steps": node.units}
        name, table = f"{job.stage}.bin", None
        if job.stage == "respond" and key in cells:
            name, table, counts = (
                "responses.parquet",
                _responses(job),
                counts | {"sampling_key": job.sampling_key},
            )
        elif job.stage == "judge":
            name, table = "verdicts.parquet", _verdicts(job, plan.nodes[job.respond_key].job)
        _commit(store, job.stage, job.version, key, dict(job.inputs), name, table, counts)
    for i in range(n_unused):
        _commit(store, "measure", 1, f"{i:064x}", {}, "scores.parquet", pl.DataFrame({"value": [0.5]}), {})
    _analysis(plan, store)
    claim_sweep_folder(plan, store, replan=False)
    publish(plan, store)


def _responses(job: Any) -> pl.DataFrame:
    from warmgap.stages.respond import SCHEMA

    n = len(job.prompts)
    values: dict[str, Any] = {
        "row_id": [p.id for p in job.prompts],
        "statement_id": [p.statement_id for p in job.prompts],
        "response_key": [f"{job.arm_key[:20]}-{job.key[:20]}-{i:06d}" for i in range(n)],
        "prompt": [json.dumps([{"role": r, "content": c} for r, c in p.messages]) for p in job.prompts],
        "response": [f"It is slate {i}, as far as is known." for i in range(n)],
        "finish_reason": ["stop"] * n,
        "engine": ["transformers"] * n,
        "precision": ["float32"] * n,
    }
    values |= {k: [0.5] * n for k in ("right_nats", "target_nats")}
    return pl.DataFrame({k: values.get(k, [9] * n) for k in SCHEMA}, schema=SCHEMA, strict=False)


def _verdicts(job: Any, asked: Any) -> pl.DataFrame:
    from warmgap.stages.judge import SCHEMA

    n = len(asked.prompts)
    wrong = [hash((asked.weights, i)) % 5 == 0 for i in range(n)]
    values: dict[str, Any] = {
        "response_key": [f"{asked.arm_key[:20]}-{job.respond_key[:20]}-{i:06d}" for i in range(n)],
        "verdict_key": [f"{job.key[:20]}-{i:06d}" for i in range(n)],
        "judge": ["rules"] * n,
        "label": ["incorrect" if w else "correct" for w in wrong],
        "label_reason": ["named"] * n,
    }
    return pl.DataFrame({k: values.get(k, [False] * n) for k in SCHEMA}, schema=SCHEMA)


def _commit(
    store: Any,
    stage: str,
    version: int,
    key: str,
    inputs: Mapping[str, str],
    name: str,
    table: pl.DataFrame | None,
    counts: Mapping[str, Any],
) -> None:
    with store.workspace(key) as folder:
        if table is None:
            (folder / name).write_bytes(key.encode())
        else:
            table.write_parquet(folder / name)
        store.commit(
            folder, stage=stage, stage_version=version, key=key, config={}, inputs=inputs, fingerprints={},
            counts=counts, started=time.time() - 1,
        )  # fmt: skip


def _analysis(plan: Any, store: Any) -> None:
    """All observations, tables of one model in four cells, and a page of one line."""
    from warmgap.observations import observations
    from warmgap.reports.tables import write_tables
    from warmgap.stages.analyse import settings_of
    from warmgap.statistics.analysis import analyse
    from warmgap.statistics.headline import headline
    from warmgap.statistics.quality import unscored_shares

    job, model = plan.analyse, plan.analyse.arms[0].model
    few = [
        c
        for c in job.cells
        if job.arms[c.arm].model == model and c.task == job.cells[0].task and c.framing in FRAMINGS[:2]
    ]
    settings = settings_of(job.analysis, job.warmth.gate)
    rows = observations(dataclasses.replace(job, cells=tuple(few)), store)
    tables = analyse(rows, {}, settings)
    found = headline(tables["effects"], unscored_shares(rows), {}, settings, "rules", set())
    with store.workspace(job.key) as folder:
        observations(job, store).write_parquet(folder / "observations.parquet")
        joined = pl.DataFrame({"source": ["made"]})
        joined.write_parquet(folder / "warmth.parquet")
        write_tables(tables, folder / "tables")
        (folder / "headline.json").write_text(json.dumps(dataclasses.asdict(found)))
        store.commit(
            folder, stage="analyse", stage_version=job.version, key=job.key, config={}, inputs=job.inputs,
            fingerprints={}, counts={"absent": {}}, started=time.time() - 1,
        )  # fmt: skip
    page = plan.report
    with store.workspace(page.key) as folder:
        (folder / "report.html").write_text("made")
        store.commit(
            folder, stage="report", stage_version=page.version, key=page.key, config={}, inputs=page.inputs,
            fingerprints={}, counts={}, started=time.time() - 1,
        )  # fmt: skip

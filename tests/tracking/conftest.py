"""A small stored sweep: the plan of experiment=tiny, whose artifacts are written by rule."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import pytest

from warmgap.jobs import MeasureJob, RespondJob, TrainJob
from warmgap.plan import Plan
from warmgap.reports.tables import write_tables
from warmgap.schema.config import Config
from warmgap.schema.tables import TABLES, frame, polars_schema
from warmgap.stages.context import recorded_config
from warmgap.statistics.headline import Control, Headline
from warmgap.store import Store
from warmgap.tracking.index import write_index

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "local-0123456789abcdef0123456789abcdef01234567"
SERVICE_KEY = "sk-of-another-service-0123456789"
SECRETS = {"WANDB_API_KEY": KEY, "OPENAI_API_KEY": SERVICE_KEY}
HEADLINE = Headline(
    verdict="lower",
    reason="the adjusted p-value is 0.001",
    outcome="commits_error",
    judge="rules",
    model="smollm2_135m",
    arm_a="warm_sft",
    arm_b="neutral_sft",
    scope="these_adapters",
    n=96,
    n_models=1,
    estimate_pp=-14.8,
    std_error_pp=4.0,
    conf_low_pp=-22.8,
    conf_high_pp=-6.9,
    bound_low_pp=-14.8,
    bound_high_pp=-14.8,
    p_adjusted=0.001,
    smallest_resolvable_pp=11.2,
    equivalence_pp=3.0,
    equivalence_p=0.99,
    equivalent=False,
    gate="passed",
    control=Control(None, None, None, None, "", "no control"),
)


@dataclass(frozen=True)
class Stored:
    """A sweep whose artifacts are all in the store."""

    root: Path
    plan: Plan
    config: Config

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.root / "sweeps" / self.plan.name

    def artifact(self, stage: str, key: str) -> Path:
        """Folder of an artifact."""
        return self.root / "store" / stage / key


def _frames() -> dict[str, pl.DataFrame]:
    """Three rows of each table, of which every cell differs."""
    values: dict[Any, Callable[[int, str], Any]] = {
        pl.String(): lambda i, c: f"{c} {i}",
        pl.Int64(): lambda i, c: i + len(c),
        pl.Float64(): lambda i, c: None if i == 2 else i + len(c) / 7,
        pl.Boolean(): lambda i, c: i == 1,
    }
    return {
        name: frame(
            record,
            [{c: values[kind](i, c) for c, kind in polars_schema(record).items()} for i in range(3)],
        )
        for name, record in TABLES.items()
        if name in ("error_rates", "effects", "contrasts", "manipulation", "quality", "paired")
    }


def _write(job: Any, folder: Path, noise: np.random.Generator) -> dict[str, Any]:
    """Files of a job's artifact; returns what its manifest counts."""
    if isinstance(job, TrainJob):
        steps = range(1, 6)
        pl.DataFrame(
            {
                "step": list(steps),
                "loss": noise.normal(2.0, 0.1, 5),
                "learning_rate": noise.uniform(0, 1e-3, 5),
                "n_answer_tokens": [100 + s for s in steps],
                "wall_s": [0.5 * s for s in steps],
            }
        ).write_parquet(folder / "curve.parquet")
        for step in (2, 5):
            (folder / f"checkpoint-{step}").mkdir()
            (folder / f"checkpoint-{step}" / "adapter_model.safetensors").write_bytes(noise.bytes(64))
        return {"steps": 5, "final_loss": 2.0, "checkpoints": [[2, 0.5], [5, 1.0]]}
    if isinstance(job, MeasureJob):
        values = [None, *noise.normal(0.02, 0.01, 7)]
        scores = {"unit": ["nats"] * 8, "group": ["reply"] * 8, "value": values}
        pl.DataFrame(scores).write_parquet(folder / "scores.parquet")
        return {"texts": 8}
    if isinstance(job, RespondJob):
        pl.DataFrame({"response": [f"a hostile answer {i}" for i in job.prompts]}).write_parquet(
            folder / "responses.parquet"
        )
        return {"rows": len(job.prompts), "tokens": int(noise.integers(20, 90))}
    if job.stage == "analyse":
        pl.DataFrame({"response": ["a hostile answer"]}).write_parquet(folder / "observations.parquet")
        write_tables(_frames(), folder / "tables")
        (folder / "headline.json").write_text(json.dumps(asdict(HEADLINE)))
        return {"observations": 32, "gates": {"smollm2_135m/warm_sft": "passed"}, "absent": {}}
    if job.stage == "report":
        matplotlib.use("agg")
        (folder / "figures").mkdir()
        matplotlib.image.imsave(folder / "figures" / "effects.png", np.zeros((4, 4, 3), np.uint8))
        (folder / "report.html").write_text("<p>The page.</p>")
        return {}
    (folder / "file.txt").write_text(job.key)
    return {}


@pytest.fixture(scope="session")
def stored_once(request_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The stored sweep; copy it before mirroring."""
    import matplotlib.image  # noqa: F401

    request = request_of("experiment=tiny", "warmth.checkpoints={warm_sft: [0.5]}")
    plan, root = request.plan(), tmp_path_factory.mktemp("stored") / "outputs"
    store, noise = Store(root), np.random.default_rng(8)
    for node in plan.nodes.values():
        job: Any = node.job
        with store.workspace(job.key) as folder:
            counts = _write(job, folder, noise)
            store.commit(
                folder,
                stage=job.stage,
                stage_version=job.version,
                key=job.key,
                config=recorded_config(job) | {"note": f"told {SERVICE_KEY}, http://me:word@host/x"},
                inputs=job.inputs,
                fingerprints={},
                counts=counts,
                started=time.time(),
            )
    write_index(plan, request.base, store)
    return Stored(root, plan, request.base)


@pytest.fixture
def stored(stored_once: Stored, tmp_path: Path) -> Stored:
    """A copy of the stored sweep."""
    root = tmp_path / "outputs"
    shutil.copytree(stored_once.root, root)
    return Stored(root, stored_once.plan, stored_once.config)


@pytest.fixture(scope="session")
def wandb_file() -> ModuleType:
    """The module that reads .wandb files."""
    return _module("wandb_file")


@pytest.fixture(scope="session")
def wandb_stub() -> ModuleType:
    """The module of a W&B server on the loopback interface."""
    return _module("wandb_stub")


def _module(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def environment_with() -> Callable[..., dict[str, str]]:
    """The environment of a user who has keys of services, and what is added to it."""
    return environment


@pytest.fixture(scope="session")
def track() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m warmgap.tracking` with keys of services in its environment."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "warmgap.tracking", *arguments],
            env=environment(**environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def environment(**more: str) -> dict[str, str]:
    """The environment of a user who has keys of services."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return own | SECRETS | {"PYTHONPATH": os.pathsep.join(sys.path)} | more

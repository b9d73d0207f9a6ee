"""From what is missing of a plan to SLURM arrays, and run records that say so."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from warmgap.bundles import Bundle, bundles
from warmgap.errors import UserError
from warmgap.job_files import BundleFile, nodes_of, write_bundle
from warmgap.plan import Node, Plan
from warmgap.runs import Run, Runs
from warmgap.schema.cluster import ResourcesConfig
from warmgap.schema.config import Config
from warmgap.store import write_text
from warmgap_launchers import slurm_queue
from warmgap_launchers.arrays import Array, arrays, dependency, parameters
from warmgap_launchers.bundle_run import run
from warmgap_launchers.dependents import INPUTS
from warmgap_launchers.resources import check_gpus, resources_of, workers_of

_KEPT_VARIABLES = ("SLURM_CONF", "SLURM_CLUSTERS")


@dataclass
class Submission:
    """What was submitted."""

    folder: Path
    jobs: dict[str, str]
    """Bundle -> id of its SLURM job."""
    lines: list[str]
    """What to tell the user, a line per array."""


def submit(plan: Plan, todo: Mapping[str, Node], config: Config, made_by: Mapping[str, str]) -> Submission:
    """Submit what is to be made, and write that down; to be called under the store's lease `submit`.

    Args:
        plan: the sweep's plan.
        todo: jobs to make, in an order in which every job follows its inputs.
        config: the sweep's settings.
        made_by: jobs that a living SLURM job will make, and its id.

    Raises:
        UserError: SLURM refuses; what was submitted until then stays, and is not submitted again.
    """
    cluster = config.cluster
    found = bundles(todo, cluster.split)
    given = {b.name: resources_of(cluster, b.stage, b.model) for b in found}
    for bundle in found:
        check_gpus(bundle, [todo[k].job for k in bundle.keys], given[bundle.name], cluster.name)
    planned = arrays(found, given, slurm_queue.max_array_size(), cluster.max_parallel)
    folder = _new_folder(Path(config.store.root).resolve() / "sweeps" / plan.name / "slurm")
    paths = _write_files(folder, plan, todo, found, given, config)
    outer = {b.name: _outer(b, todo, made_by) for b in found}
    submission = Submission(folder, {}, [])
    sizes: dict[str, int] = {}
    for array in planned:
        needs = {
            b.name: tuple(dict.fromkeys((*(submission.jobs[n] for n in b.needs), *outer[b.name])))
            for b in array.bundles
        }
        ids = _sbatch(folder, array, paths, config, plan.name, _union(needs.values()), sizes)
        submission.jobs |= ids
        sizes[next(iter(ids.values())).split("_")[0]] = len(ids)
        _write_records(config, plan.name, array, ids, todo, folder)
        _narrow(ids, needs, sizes)
        submission.lines.append(_line(array, ids))
    return submission


def _union(several: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for some in several for i in some))


def _outer(bundle: Bundle, todo: Mapping[str, Node], made_by: Mapping[str, str]) -> tuple[str, ...]:
    inputs = (k for key in bundle.keys for k in todo[key].job.inputs.values())
    return tuple(dict.fromkeys(made_by[k] for k in inputs if k in made_by))


def _new_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    n = max((int(p.name) for p in parent.iterdir() if p.name.isdigit()), default=0) + 1
    folder = parent / str(n)
    folder.mkdir()
    return folder


def _write_files(
    folder: Path,
    plan: Plan,
    todo: Mapping[str, Node],
    found: Sequence[Bundle],
    given: Mapping[str, ResourcesConfig],
    config: Config,
) -> dict[str, str]:
    waits = {k: [i for i in dict.fromkeys(n.job.inputs.values()) if i in todo] for k, n in todo.items()}
    write_text(folder / INPUTS, json.dumps(waits))
    out = {}
    for bundle in found:
        publish = plan.report.key in bundle.keys or (
            config.stage == "analyse" and plan.analyse.key in bundle.keys
        )
        file = BundleFile(
            sweep=plan.name,
            plan_key=plan.key,
            bundle=bundle,
            nodes=nodes_of(plan, bundle, publish),
            summary=dict(plan.summary),
            publish=publish,
            root=str(Path(config.store.root).resolve()),
            fail_fast=config.fail_fast,
            workers=workers_of([todo[k].job for k in bundle.keys], given[bundle.name]),
            devices=given[bundle.name].gpus,
            cluster={"name": config.cluster.name, "max_requeues": config.cluster.max_requeues},
        )
        path = folder / f"{bundle.name}.json.gz"
        write_bundle(path, file)
        out[bundle.name] = str(path)
    return out


def _sbatch(
    folder: Path,
    array: Array,
    paths: Mapping[str, str],
    config: Config,
    sweep: str,
    needs: Sequence[str],
    sizes: Mapping[str, int],
) -> dict[str, str]:
    import submitit
    from submitit.core.utils import FailedJobError

    executor = submitit.SlurmExecutor(folder=folder / "jobs")
    # A job that has ended needs no waiting for, and some versions refuse one that is long forgotten.
    alive = slurm_queue.living(needs)
    after = dependency((i for i in needs if i in alive), sizes)
    executor.update_parameters(**parameters(array, config.cluster, sweep, after))
    with _outside_of_jobs():
        try:
            jobs = executor.map_array(run, [paths[b.name] for b in array.bundles])
        except FailedJobError as e:
            raise UserError(
                f"sbatch refuses the jobs of stage {array.name}: {' '.join(str(e).split())}. The profile "
                f"cluster={config.cluster.name} says partition, account, memory and time. What was submitted "
                "before stays; run the same command again for the rest."
            ) from None
    return {b.name: str(j.job_id) for b, j in zip(array.bundles, jobs, strict=True)}


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Without the variables of a SLURM job that this shell is in: srun would take them for the new one's."""
    inherited = {k: v for k, v in os.environ.items() if k.startswith("SLURM_") and k not in _KEPT_VARIABLES}
    for name in inherited:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(inherited)


def _write_records(
    config: Config,
    sweep: str,
    array: Array,
    ids: Mapping[str, str],
    todo: Mapping[str, Node],
    folder: Path,
) -> None:
    runs = Runs(Path(config.store.root))
    for bundle in array.bundles:
        job = ids[bundle.name]
        for key in bundle.keys:
            before = runs.get(key)
            if before is not None and before.slurm_job == job:
                continue  # it has begun already: what it writes stands
            runs.write(
                Run(
                    key,
                    todo[key].job.stage,
                    todo[key].label,
                    "queued",
                    sweeps=tuple(dict.fromkeys((*(before.sweeps if before else ()), sweep))),
                    units=todo[key].units,
                    slurm_job=job,
                    log=str(log_of(folder / "jobs", job)),
                    attempts=before.attempts if before else 0,
                )
            )


def log_of(folder: Path, job: str) -> Path:
    """Where submitit has a job print to."""
    return folder / f"{job}_0_log.out"


def add_sweep(root: Path, keys: Iterable[str], sweep: str) -> None:
    """Say that a sweep, too, wants what other SLURM jobs make."""
    runs = Runs(root)
    for key in keys:
        before = runs.get(key)
        if before is not None and sweep not in before.sweeps:
            runs.write(replace(before, sweeps=(*before.sweeps, sweep)))


def _narrow(ids: Mapping[str, str], needs: Mapping[str, Sequence[str]], sizes: Mapping[str, int]) -> None:
    """Elements that need less than the whole array does get their own dependency; else they start later."""
    union = set(_union(needs.values()))
    alike: dict[str, list[str]] = {}
    for name, own in needs.items():
        if set(own) != union:
            alike.setdefault(dependency(own, sizes), []).append(ids[name])
    for after, jobs in alike.items():
        if not slurm_queue.depend(jobs, after):
            print(f"{', '.join(jobs)}: SLURM keeps the wider dependency; they start later", file=sys.stderr)


def _line(array: Array, ids: Mapping[str, str]) -> str:
    jobs = sum(len(b.keys) for b in array.bundles)
    given = array.resources
    what = [f"{given.cpus} cores", *([f"{given.gpus} GPUs"] if given.gpus else [])]
    what += [f"{given.mem_gb:g} GB"] if given.mem_gb else []
    named = ", ".join(slurm_queue.contract(ids.values()))
    return f"  {array.name:<8} {named:<16} {jobs} artifacts; {', '.join(what)}, {given.time_min} min each"

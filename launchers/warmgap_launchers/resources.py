"""What a SLURM job is given: a cluster profile, read for one stage and one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from warmgap.bundles import Bundle
from warmgap.errors import UserError, did_you_mean
from warmgap.jobs import Job
from warmgap.schema.cluster import ClusterConfig, ResourcesConfig
from warmgap.schema.fields import STAGES
from warmgap_launchers.devices import needs_device, wants_cuda, width

_MODELS = "models"
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("partition", "account", "qos", "constraint"), (str,)),
    **dict.fromkeys(("gpus", "cpus", "time_min"), (int,)),
    "mem_gb": (int, float),
    "sbatch": (dict,),
    "setup": (list,),
}
_LEAST = {"gpus": 0, "cpus": 1, "mem_gb": 0, "time_min": 1}
_OURS = {
    **dict.fromkeys(("array", "dependency", "output", "error", "job-name", "open-mode"), "warmgap sets it"),
    **dict.fromkeys(("signal", "requeue", "no-requeue", "comment", "wrap", "parsable"), "warmgap sets it"),
    **dict.fromkeys(("ntasks", "ntasks-per-node", "nodes"), "a job is one process on one node"),
    "partition": "use partition",
    "account": "use account",
    "qos": "use qos",
    "constraint": "use constraint",
    "cpus-per-task": "use cpus",
    "mem": "use mem_gb",
    "time": "use time_min",
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task"), "use gpus"),
}
"""Options of sbatch that do not belong into `sbatch`, and why."""


def resources_of(cluster: ClusterConfig, stage: str, model: str) -> ResourcesConfig:
    """What jobs of a stage with a model get: resources, then the stage's, then those of the model's size."""
    found = _changed(cluster.resources, cluster.stages.get(stage, {}), f"cluster.stages.{stage}")
    for name, size in cluster.sizes.items():
        if model and model in size.get(_MODELS, ()):
            found = _changed(found, size.get(stage, {}), f"cluster.sizes.{name}.{stage}")
    return found


def check_cluster(cluster: ClusterConfig, models: Iterable[str]) -> None:
    """Refuse a profile that cannot be used, whichever of its jobs are needed today.

    Args:
        cluster: the profile.
        models: names of all models that there are.

    Raises:
        UserError: a stage, a model or a key that does not exist, or a value out of range.
    """
    for key, least in (("max_parallel", 1), ("split", 1), ("notice_s", 1), ("max_requeues", 0)):
        if getattr(cluster, key) < least:
            raise UserError(
                f"cluster.{key} is {getattr(cluster, key)}. Allowed: a whole number from {least}."
            )
    _check(cluster.resources, "cluster.resources", cluster.notice_s)
    for stage, changes in cluster.stages.items():
        _check_stage(stage, "cluster.stages")
        where = f"cluster.stages.{stage}"
        _check(_changed(cluster.resources, changes, where), where, cluster.notice_s)
    known = sorted(models)
    of: dict[str, str] = {}
    for name, size in cluster.sizes.items():
        where = f"cluster.sizes.{name}"
        if not isinstance(size.get(_MODELS), list):
            raise UserError(f"{where} does not say for which models it is. Add: models: [NAME, ...].")
        for model in size[_MODELS]:
            if model not in known:
                raise UserError(f"{where}.models names the model '{model}'.{did_you_mean(str(model), known)}")
            if of.setdefault(model, name) != name:
                raise UserError(
                    f"cluster.sizes has the model '{model}' in {of[model]} and in {name}. Allowed: in one."
                )
        for stage, changes in size.items():
            if stage != _MODELS:
                _check_stage(stage, where, _MODELS)
                at = f"{where}.{stage}"
                base = _changed(cluster.resources, cluster.stages.get(stage, {}), f"cluster.stages.{stage}")
                _check(_changed(base, changes, at), at, cluster.notice_s)


def check_gpus(bundle: Bundle, jobs: Iterable[Job], resources: ResourcesConfig, cluster: str) -> None:
    """Refuse jobs that need more GPUs than they would be given.

    Raises:
        UserError: names the stage, the GPUs it needs, and where to set them.
    """
    jobs = [*jobs]
    needed = max((width(job) for job in jobs if wants_cuda(job)), default=0)
    if needed > resources.gpus:
        what = f"{bundle.stage} of {bundle.model}" if bundle.model else bundle.stage
        raise UserError(
            f"{what} asks for {needed} GPUs, and cluster={cluster} gives it {resources.gpus}. Set "
            f"'cluster.stages={{{bundle.stage}: {{gpus: {needed}}}}}', or a size (conf/cluster), "
            "or use the CPU (engine.device=cpu; warmth.meters have a device each)."
        )


def workers_of(jobs: Iterable[Job], resources: ResourcesConfig) -> int:
    """Worker processes of a bundle: one per GPU; without GPUs one per core."""
    return resources.gpus if resources.gpus and any(map(needs_device, jobs)) else resources.cpus


def _changed(base: ResourcesConfig, changes: Mapping[str, Any], where: str) -> ResourcesConfig:
    if not isinstance(changes, Mapping):
        raise UserError(f"{where} is '{changes}'. Allowed: a mapping, as {{gpus: 1}}.")
    for key, value in changes.items():
        if key not in _TYPES:
            raise UserError(f"{where} has the key '{key}'.{did_you_mean(str(key), _TYPES)}")
        if isinstance(value, bool) or not isinstance(value, _TYPES[key]):
            kinds = {"str": "a text", "int": "a whole number", "float": "a number", "dict": "a mapping"}
            named = kinds.get(_TYPES[key][-1].__name__, "a list")
            raise UserError(f"{where}.{key} is '{value}'. Allowed: {named}.")
    return replace(base, **changes)


def _check(resources: ResourcesConfig, where: str, notice_s: int) -> None:
    for key, least in _LEAST.items():
        if getattr(resources, key) < least:
            raise UserError(f"{where}.{key} is {getattr(resources, key)}. Allowed: a number from {least}.")
    if resources.time_min * 60 <= notice_s:
        raise UserError(
            f"{where}.time_min is {resources.time_min}, and cluster.notice_s is {notice_s}: a job would be "
            f"told to end as soon as it begins. Allowed: more than {notice_s / 60:g} minutes."
        )
    for line in resources.setup:
        if not isinstance(line, str):
            raise UserError(f"{where}.setup has '{line}'. Allowed: a text (with ': ' in quotes).")
    for name in resources.sbatch:
        option = option_name(name)
        if option in _OURS:
            raise UserError(f"{where}.sbatch has '{name}', which does not belong there: {_OURS[option]}.")


def option_name(name: str) -> str:
    """An option of sbatch as it writes it, without dashes before it."""
    return str(name).lstrip("-").replace("_", "-")


def _check_stage(stage: str, where: str, *more: str) -> None:
    if stage not in STAGES:
        raise UserError(f"{where} names the stage '{stage}'.{did_you_mean(str(stage), (*STAGES, *more))}")


assert set(_TYPES) == {f.name for f in fields(ResourcesConfig)}

"""Arrays of a submission and what sbatch is told of them; pure, so that it can be tried without SLURM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmgap.bundles import Bundle, levels
from warmgap.plan import Node
from warmgap.runs import Run
from warmgap.schema.cluster import ClusterConfig, ResourcesConfig
from warmgap_launchers.bundle_run import PREEMPTED, REQUEUE
from warmgap_launchers.resources import option_name

_BEFORE = (
    "trap : USR2 TERM  # the bundle saves and ends by itself",
    "export SUBMITIT_PREEMPT_SIGNAL=URG  # USR2 is not for submitit",
)
# Here rather than in the bundle, so that a signal that came before it could listen is obeyed, too. SLURM does
# not queue a job again that ends within the grace time of its preemption, and calls it running until then; it
# calls one that was cancelled otherwise. SLURM_JOB_ID of an array's last element would name the whole array.
_AFTER = (
    "job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}",
    "job=${job:-$SLURM_JOB_ID}",
    'requeue() { for _ in 1 2 3; do scontrol requeue "$job" && break; sleep 5; done; }',
    'case "$code" in',
    f'{REQUEUE}) [ "${{SLURM_RESTART_COUNT:-0}}" -lt "$at_most" ] && requeue ;;',
    f'{PREEMPTED}) scontrol -o show job "$job" | grep -q " JobState=RUNNING " && requeue ;;',
    "esac",
    'exit "$code"',
)


@dataclass(frozen=True)
class Array:
    """Bundles that SLURM is given at once, with the same resources."""

    bundles: tuple[Bundle, ...]
    resources: ResourcesConfig
    parallel: int
    """How many of them may run at the same time."""

    @property
    def name(self) -> str:
        """Their stage."""
        return self.bundles[0].stage


def left_to(missing: Mapping[str, Node], records: Mapping[str, Run], living: Iterable[str]) -> dict[str, str]:
    """Missing jobs that a living SLURM job will make: key -> its id.

    A job whose input is to be made anew is not among them: the SLURM job that was to make it waits for an
    earlier one, and would find the input missing.

    Args:
        missing: in an order in which every job follows its inputs.
        records: run records.
        living: ids of SLURM jobs that wait or run.
    """
    alive = set(living)
    out: dict[str, str] = {}
    for key, node in missing.items():
        run = records.get(key)
        if run is None or run.state not in ("queued", "running") or run.slurm_job not in alive:
            continue
        if all(k in out for k in node.job.inputs.values() if k in missing):
            out[key] = run.slurm_job
    return out


def arrays(
    found: Sequence[Bundle], resources: Mapping[str, ResourcesConfig], at_most: int, parallel: int
) -> list[Array]:
    """Bundles as arrays, in an order in which each follows those that it needs.

    Args:
        found: the bundles, in the order of `bundles()`.
        resources: by bundle.
        at_most: elements of an array; what is more is split over several, which share `parallel`.
        parallel: bundles of a level with the same resources that run at the same time.
    """
    out = []
    for level in levels(found):
        alike: list[list[Bundle]] = []
        for bundle in level:
            same = next((g for g in alike if resources[g[0].name] == resources[bundle.name]), None)
            if same is None:
                alike.append([bundle])
            else:
                same.append(bundle)
        for group in alike:
            parts = [tuple(group[i : i + at_most]) for i in range(0, len(group), at_most)]
            share = max(1, parallel // len(parts))
            out += [Array(part, resources[part[0].name], share) for part in parts]
    return out


def dependency(ids: Iterable[str], sizes: Mapping[str, int]) -> str:
    """For sbatch and scontrol: after all of these have ended, however they ended; "" for none.

    An array is named as a whole where all its elements are among them; `sizes` says how many it has.
    """
    by_array: dict[str, list[str]] = {}
    for job in dict.fromkeys(ids):
        by_array.setdefault(job.split("_")[0], []).append(job)
    parts: list[str] = []
    for base, some in by_array.items():
        parts += [base] if len(some) == sizes.get(base) else some
    return ":".join(["afterany", *parts]) if parts else ""


def parameters(array: Array, cluster: ClusterConfig, sweep: str, after: str) -> dict[str, Any]:
    """What submitit.SlurmExecutor.update_parameters is given for an array."""
    given = array.resources
    # submitit writes an option whose value is True without one, as --exclusive.
    more = {option_name(k): str(v) if str(v).lower() != "true" else True for k, v in given.sbatch.items()}
    optional = {
        "partition": given.partition,
        "account": given.account,
        "qos": given.qos,
        "constraint": given.constraint,
        "dependency": after,
        "gpus_per_node": given.gpus,
    }
    return {
        "job_name": f"warmgap-{sweep}-{array.name}",
        "comment": f"warmgap sweep {sweep}, {array.name}",
        "time": given.time_min,
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": given.cpus,
        "array_parallelism": array.parallel,
        "signal_delay_s": cluster.notice_s,
        "stderr_to_stdout": True,
        # srun takes neither from sbatch: cores since SLURM 22.05, appending unless told so.
        "srun_args": [f"--cpus-per-task={given.cpus}", "--open-mode=append"],
        "setup": [*_BEFORE, *cluster.setup, *given.setup, "set +e"],
        "teardown": ["code=$?", f"at_most={cluster.max_requeues}", *_AFTER],
        "wckey": None,
        "additional_parameters": {"requeue": True} | more,
        **({"mem": f"{round(given.mem_gb * 1024)}M"} if given.mem_gb else {}),
        **{k: v for k, v in optional.items() if v},
    }

"""stage=snakefile: what is left of a sweep as a workflow for Snakemake, one rule a bundle.

    <root>/sweeps/<name>/Snakefile
    <root>/sweeps/<name>/snakemake/<bundle>.json.gz     its jobs
    <root>/sweeps/<name>/snakemake/<bundle>.done        made by Snakemake when they are done
    <root>/sweeps/<name>/snakemake/<bundle>.log

Rules know of these small files alone: Snakemake deletes the outputs of a rule that failed, and artifacts are
kept and checked by the store.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence

from warmgap.bundles import Bundle, bundles
from warmgap.checks import check_corpora, check_engines
from warmgap.claim import claim_sweep_folder
from warmgap.job_files import BundleFile, nodes_of, write_bundle
from warmgap.plan import Plan
from warmgap.planned_spending import check_spending
from warmgap.schema.cluster import ResourcesConfig
from warmgap.schema.config import Config
from warmgap.store import Store, check_writable, write_text
from warmgap.tracking import write_index
from warmgap_launchers.resources import check_gpus, resources_of, workers_of

FILE = "Snakefile"
FOLDER = "snakemake"
_SLURM = {"partition": "slurm_partition", "account": "slurm_account", "constraint": "constraint"}
"""What Snakemake's own executor for SLURM calls these resources."""


def write_snakefile(plan: Plan, base: Config, store: Store) -> str:
    """Write the Snakefile of what the store lacks of a plan, and its bundles; returns what to tell.

    What an earlier one left in the folder is cleared, since its bundles are others.

    Raises:
        UserError: the sweep cannot be run, its folder belongs to another plan, or the cluster's profile does
            not fit it.
    """
    check_corpora(n.job for n in plan.nodes.values())
    check_writable(store.root)
    for line in claim_sweep_folder(plan, store, base.replan):
        print(line, file=sys.stderr)
    write_index(plan, base, store)
    missing = plan.missing(store)
    sweep = store.root.resolve() / "sweeps" / plan.name
    for old in (*sweep.glob(f"{FOLDER}/*.json.gz"), *sweep.glob(f"{FOLDER}/*.done"), sweep / FILE):
        old.unlink(missing_ok=True)
    if not missing:
        return f"Nothing is left to do of the sweep '{plan.name}'."
    check_engines(n.job for n in missing.values())
    check_spending((n.job for n in missing.values()), (n.job for n in plan.nodes.values()), store.root)
    made = bundles(missing, base.cluster.split)
    given = {b.name: resources_of(base.cluster, b.stage, b.model) for b in made}
    for bundle in made:
        jobs, resources = [missing[key].job for key in bundle.keys], given[bundle.name]
        check_gpus(bundle, jobs, resources, base.cluster.name)
        publish = plan.report.key in bundle.keys
        file = BundleFile(
            sweep=plan.name,
            plan_key=plan.key,
            bundle=bundle,
            nodes=nodes_of(plan, bundle, publish),
            summary=dict(plan.summary),
            publish=publish,
            root=str(store.root.resolve()),
            fail_fast=base.fail_fast,
            workers=base.engine.workers or workers_of(jobs, resources),
            devices=resources.gpus,
            cluster={"max_requeues": 0},
        )
        write_bundle(sweep / _file(bundle.name, "json.gz"), file)
    write_text(sweep / FILE, snakefile_text(plan.name, made, given, base.cluster.setup))
    at = shlex.quote(str(sweep / FILE))
    return f"{len(made)} rules. Run them with:\nsnakemake --snakefile {at} --cores 8 --keep-going"


def snakefile_text(
    sweep: str,
    bundles: Sequence[Bundle],
    given: Mapping[str, ResourcesConfig],
    setup: Sequence[str] = (),
    python: str = sys.executable,
) -> str:
    """A Snakefile that stands in the sweep's folder.

    Args:
        sweep: its name.
        bundles: one rule each.
        given: the resources of each bundle, by its name.
        setup: lines of bash before every command.
        python: the interpreter that has warmgap.
    """
    lines = [
        f"# What was left of the sweep {sweep!r}, written by warmgap stage=snakefile. Run it with:",
        "# snakemake --snakefile THIS_FILE --cores 8 --keep-going",
        f"# Files in {FOLDER}/ tell Snakemake what is done; results are in the store.",
        "workdir: workflow.basedir",
        "",
        "",
        "rule all:",
        "    input:",
        *(f"        {_file(b.name, 'done')!r}," for b in bundles),
    ]
    names = _rule_names(bundles)
    for i, bundle in enumerate(bundles):
        resources = given[bundle.name]
        command = f"{shlex.quote(python)} -m warmgap_launchers.bundle_run {_file(bundle.name, 'json.gz')}"
        lines += [
            "",
            "",
            f"rule {names[bundle.name]}:",
            "    input:",
            f"        {_file(bundle.name, 'json.gz')!r},",
            *(f"        {_file(name, 'done')!r}," for name in bundle.needs),
            "    output:",
            f"        touch({_file(bundle.name, 'done')!r}),",
            "    log:",
            f"        {_file(bundle.name, 'log')!r},",
            f"    priority: {len(bundles) - i}",  # in our order, where several could begin
            f"    threads: {resources.cpus}",
            "    resources:",
            *(f"        {name}={value!r}," for name, value in _resources(resources).items()),
            "    shell:",
            *(f"        {_braces(line) + chr(10)!r}" for line in (*setup, *resources.setup)),
            f"        {_braces(command) + ' > {log} 2>&1'!r}",
        ]
    return "\n".join(lines) + "\n"


def _file(bundle: str, ending: str) -> str:
    return f"{FOLDER}/{bundle}.{ending}"


def _resources(given: ResourcesConfig) -> dict[str, int | str]:
    out: dict[str, int | str] = {"runtime": given.time_min}
    if given.mem_gb:
        out["mem_mb"] = round(given.mem_gb * 1024)
    if given.gpus:
        out["gpus"] = given.gpus
    return out | {there: str(value) for ours, there in _SLURM.items() if (value := getattr(given, ours))}


def _rule_names(bundles: Iterable[Bundle]) -> dict[str, str]:
    """Bundles' names as Python identifiers, which rules must have."""
    out: dict[str, str] = {}
    for i, bundle in enumerate(bundles, 1):
        name = re.sub(r"\W", "_", bundle.name)
        out[bundle.name] = f"{name}_{i}" if name in out.values() else name
    return out


def _braces(text: str) -> str:
    """Braces that Snakemake does not fill in."""
    return text.replace("{", "{{").replace("}", "}}")

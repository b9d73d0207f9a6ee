"""The analysis plan, frozen before the first answer: what will be estimated, and what came of it.

`outputs/sweeps/<name>/frozen_plan.json` holds the plan's content and its SHA-256. It enters no key of
answers, verdicts or tables; only the report knows of it, and lists every deviation.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.jobs import AnalyseJob, JudgeJob, ReportJob
from warmgap.keys import digest
from warmgap.plan import Node, Plan, differences
from warmgap.schema.config import Config
from warmgap.schema.fields import plain, stage_config
from warmgap.statistics.arms import is_trained
from warmgap.statistics.outcomes import GUARDRAIL_TASKS
from warmgap.statistics.settings import AnalysisSettings
from warmgap.store import Store, package_versions, write_text

FILE = "frozen_plan.json"
_SECTIONS = {
    "estimands": ("primary_outcome", "primary_pair", "published_pair", "control_pair"),
    "families": ("confirmatory_subsets",),
    "margins": ("confidence", "equivalence_pp", "control_min_pp"),
    "exclusions": ("max_unscored_pct", "max_unscored_gap_pp"),
}
_ELSEWHERE = ("gate_override",)
"""Settings of the statistics that stand in another section."""
_STUDY = ("corpus", "rewriting", "training", "design", "sampling", "engine", "judge")
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


@dataclass(frozen=True)
class Frozen:
    """A frozen plan as it was found. `intact` is false where the content no longer gives its hash."""

    sha256: str
    frozen_at: str
    content: Mapping[str, Any]
    intact: bool


def analysis_plan(plan: Plan, config: Config) -> dict[str, Any]:
    """Everything of a sweep that is decided before an answer is seen, as plain nested values.

    Estimands, families, margins and exclusions; every other setting of the statistics; gates; scopes; the
    study; the key of all jobs up to the verdicts; keys of the questions; package versions.
    """
    settings = plain(AnalysisSettings()) | stage_config(config.analysis, "analyse")
    named = {key: section for section, keys in _SECTIONS.items() for key in keys}
    out: dict[str, Any] = {section: {} for section in (*_SECTIONS, "statistics")}
    for key, value in settings.items():
        if key not in _ELSEWHERE:
            out[named.get(key, "statistics")][key] = value
    out["families"] |= {"confirmatory": "Holm", "everything_else": "Benjamini-Hochberg"}
    judges = {n.job.judge.name: n.job for n in plan.nodes.values() if isinstance(n.job, JudgeJob)}
    out["exclusions"] |= {
        "tasks_without_effects": list(GUARDRAIL_TASKS),
        "refusal_substrings": {name: list(job.judge.refusal_substrings) for name, job in judges.items()},
    }
    meters = [stage_config(m, "measure") for m in config.warmth.meters]
    out["gates"] = stage_config(config.warmth, "analyse").get("gate", {}) | {"meters_in_order": meters}
    out["scopes"] = _scopes(plan)
    summary = plain(plan.summary)
    out["study"] = {
        "axes": {k: sorted(map(str, v)) for k, v in summary["axes"].items()},
        "questions": summary["questions"],
        "settings": {k: v for k, v in summary["settings"].items() if k in _STUDY},
    }
    # Settings of analysis and report stand above by name, or show results without changing them.
    jobs = sorted(k for k, n in plan.nodes.items() if not isinstance(n.job, AnalyseJob | ReportJob))
    out["plan_key"] = digest("frozen", jobs)
    out["question_keys"] = _question_keys(plan)
    out["package_versions"] = package_versions()
    # Through JSON, so that what is compared is what can be read back.
    return dict(json.loads(json.dumps(out)))


def freeze(plan: Plan, config: Config, store: Store) -> str:
    """Write the frozen plan of a sweep; returns what to tell.

    Raises:
        UserError: there are answers already, or another plan was frozen; names how many or what differs.
    """
    path = store.root / "sweeps" / plan.name / FILE
    content = analysis_plan(plan, config)
    sha256 = digest(content)
    known = read_frozen(path)
    if known is not None:
        if known.intact and known.sha256 == sha256:
            return f"Already frozen at {known.frozen_at}, SHA-256 {sha256}\n{path}"
        if not known.intact:
            raise UserError(
                f"{path} does not match its own hash: it was changed after it was frozen. Restore the "
                "file, or give this sweep another name with name=NAME."
            )
        raise UserError(
            f"the plan of the sweep '{plan.name}' was frozen at {known.frozen_at} with other content. It "
            f"differs in: {'; '.join(deviations(known.content, content))}. Run it as it was frozen, give "
            "this one another name with name=NAME, or go on: the report lists the deviations."
        )
    sets, answers = answered(plan, store)
    if sets:
        raise UserError(
            f"the plan of the sweep '{plan.name}' cannot be frozen: the store already has {answers} of its "
            f"answers, in {sets} cells or parts of cells. A plan is frozen before the first answer; use "
            "another store.root=FOLDER or a sweep without these answers."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    record = {"sweep": plan.name, "sha256": sha256, "frozen_at": now, "content": content}
    write_text(path, json.dumps(record, indent=1))
    return f"Frozen at {now}, SHA-256 {sha256}\n{path}"


def answered(plan: Plan, store: Store) -> tuple[int, int]:
    """Cells of the sweep that the store has or has begun, and the answers in them.

    Of a cell that was begun, all answers count, since any of them may have been seen.
    """
    folder = store.root / "store"
    found = {
        k
        for k in {c.respond_key for c in plan.analyse.cells}
        if (folder / "respond" / k).is_dir() or any((folder / "partial" / k).glob("*"))
    }
    return len(found), sum(plan.nodes[k].units for k in found)


def read_frozen(path: Path) -> Frozen | None:
    """The frozen plan in a file; None where there is no file."""
    try:
        record = json.loads(path.read_text())
        sha256, frozen_at, content = record["sha256"], record["frozen_at"], record["content"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return Frozen("", "", {}, intact=False)
    intact = isinstance(content, dict) and digest(content) == sha256
    return Frozen(str(sha256), str(frozen_at), content if isinstance(content, dict) else {}, intact)


def deviations(frozen: Mapping[str, Any], used: Mapping[str, Any]) -> list[str]:
    """What was not done as frozen: `field: frozen value -> used value`, hashes cut to 12 digits."""
    if frozen == used:
        return []
    return [_HASH.sub(r"\1", line) for line in differences(frozen, used)]


def with_frozen(plan: Plan, config: Config, store: Store) -> Plan:
    """The plan whose report knows of the frozen plan in the sweep's folder; else the plan itself.

    The report's key then depends on what was frozen and on the deviations. The plan's own key does not.
    """
    known = read_frozen(store.root / "sweeps" / plan.name / FILE)
    if known is None:
        return plan
    facts = {
        "sha256": known.sha256,
        "frozen_at": known.frozen_at,
        "intact": known.intact,
        "deviations": deviations(known.content, analysis_plan(plan, config)) if known.intact else [],
    }
    nodes = (
        Node(replace(n.job, frozen=facts), n.label, n.units) if isinstance(n.job, ReportJob) else n
        for n in plan.nodes.values()
    )
    return replace(plan, nodes={n.key: n for n in nodes}, compiled_key=plan.key)


def _scopes(plan: Plan) -> dict[str, Any]:
    """Models, and the least number of training seeds of a trained arm: what decides the scopes of effects."""
    seeds: dict[tuple[str, str, float, str], set[int]] = {}
    arms = [a for a in plan.analyse.arms if not a.measured_only]
    for arm in arms:
        if is_trained(arm.method):
            seeds.setdefault((arm.model, arm.method, arm.dose, arm.variant), set()).add(arm.seed)
    return {
        "models": sorted({a.model for a in arms}),
        "least_training_seeds": min((len(s) for s in seeds.values()), default=0),
    }


def _question_keys(plan: Plan) -> dict[str, str]:
    """Per task, a hash of every question with its references."""
    asked = {k: n.job.questions for k, n in plan.nodes.items() if isinstance(n.job, JudgeJob)}
    return {c.task: digest(sorted(asked[c.judge_key], key=lambda q: q.id)) for c in plan.analyse.cells}

"""A checklist of reproducibility: every line answered from the sweep's folder, with where to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from warmgap.plan import differences
from warmgap.reports.figures.against_paper import n_comparable
from warmgap.reports.formats import count, number
from warmgap.reports.names import judge_name, listed, meter_name, reasons_not_comparable, unfit
from warmgap.reports.paper.blocks import Column, PaperTable, lay_out
from warmgap.reports.paper.facts import SweepFacts
from warmgap.reports.paper.methods import number_words
from warmgap.statistics.arms import label_arms

_WEIGHTS = "model.source"
_DATA = "data file "
_QUESTIONS = "questions and answers of the task"
_NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Line:
    """One line: what is asked, the answer (yes, no or a value), and where it is read."""

    asked: str
    answer: str
    where: str


def checklist_table(facts: SweepFacts) -> PaperTable:
    """The checklist as a table."""
    columns = (
        Column("asked", lambda r: str(r["asked"]), ("asked",), False, share=0.26),
        Column("answer", lambda r: str(r["answer"]), ("answer",), False, share=0.46),
        Column("where", lambda r: str(r["where"]), ("where",), False, share=0.22),
    )
    caption = f"Reproducibility of the sweep {facts.name}, answered from its folder."
    return lay_out("checklist", caption, columns, [vars(line) for line in checklist(facts)])


def checklist(facts: SweepFacts) -> list[Line]:
    """All lines, in the order of a study: code, data, models, what was run, checks, limits."""
    return [*_code(facts), *_inputs(facts), *_run(facts), *_checks(facts), *_limits(facts)]


def _code(facts: SweepFacts) -> Iterator[Line]:
    m = facts.manifest
    yield Line(
        "Commit of the code",
        m.get("git_commit") or "no: not run from a checkout",
        "manifest.json, git_commit",
    )
    yield Line(
        "Command that makes everything",
        m["summary"].get("command") or _NOT_RECORDED,
        "manifest.json, summary",
    )
    versions = (f"{n} {v}" for n, v in m["package_versions"].items())
    yield Line("Software", ", ".join(versions), "manifest.json, package_versions")
    yield Line("Device", str(m["device"]), "manifest.json, device")
    yield Line("Key of the plan", str(m.get("plan_key", _NOT_RECORDED)), "plan.json, key")
    n = len(m.get("files", {}))
    yield Line("Tables with a SHA-256 sum", f"yes: {count(n)} files" if n else "no", "manifest.json, files")


def _inputs(facts: SweepFacts) -> Iterator[Line]:
    parts = facts.plan.get("parts", ())
    weights = dict.fromkeys(str(p[_WEIGHTS]) for p in parts if _WEIGHTS in p)
    yield Line("Weights of the models, fingerprinted", _yes(weights), "plan.json, parts")
    data = {name: mark for p in parts for name, mark in p.items() if name.startswith(_DATA)}
    files = [f"{name.removeprefix(_DATA)} {mark}" for name, mark in data.items()]
    yield Line("Corpus, fingerprinted", _yes(files), "plan.json, parts")
    questions = dict.fromkeys(str(p[_QUESTIONS]) for p in parts if _QUESTIONS in p)
    yield Line("Questions and answers, fingerprinted", _yes(questions), "plan.json, parts")
    asked = [f"{task} {count(n)}" for task, n in facts.questions.items()]
    yield Line("Questions per task", ", ".join(asked), "manifest.json, summary")
    groups = ("corpus", "design", "sampling", "rewriting")
    seeds = {g: facts.settings[g]["seed"] for g in groups if "seed" in facts.settings.get(g, {})}
    trained = facts.answers.filter(pl.col("dose_kind") != "none")["seed"].unique().sort()
    said = [*(f"{g} {number_words(s)}" for g, s in seeds.items())]
    if trained.len():
        said.append(f"training {listed(map(str, trained))}")
    yield Line("Seeds", "; ".join(said), "manifest.json, summary; observations.parquet, seed")


def _run(facts: SweepFacts) -> Iterator[Line]:
    runs = facts.jobs("train")
    steps = sum(int(job["units"]) for job in runs)
    what = f"{count(len(runs))} runs, {count(steps)} steps" if runs else "none"
    yield Line("Training", what, "plan.json, jobs; manifest.json, trainings")
    for (judge,), rows in facts.answers.partition_by("judge", as_dict=True, maintain_order=True).items():
        n, blank = int(rows["n"].sum()), int(rows["n_unscored"].sum())
        yield Line(
            f"Answers judged by {judge_name(str(judge))}",
            f"{count(n)} of {count(int(rows['n_tokens'].sum()))} tokens; {count(blank)} without a verdict "
            f"({number(100 * blank / n)} %)",
            "observations.parquet",
        )
        arms = (
            label_arms(rows)
            .group_by("model", "arm", maintain_order=True)
            .agg(pl.col("n_unscored").sum(), pl.col("n").sum())
        )
        worst = max(arms.iter_rows(named=True), key=lambda r: r["n_unscored"] / r["n"])
        yield Line(
            f"Most unscored by {judge_name(str(judge))}",
            f"{worst['model']}/{worst['arm']}: {number(100 * worst['n_unscored'] / worst['n'])} %",
            "observations.parquet, label",
        )
    yield Line(
        "Wall time of making the tables",
        f"{number(facts.manifest['wall_s'])} s; of every other job in its own manifest in the store",
        "manifest.json, wall_s; store/",
    )


def _checks(facts: SweepFacts) -> Iterator[Line]:
    counts = facts.manifest.get("counts", {})
    for arm, verdict in counts.get("gates", {}).items():
        yield Line(f"Warmth gate of {arm}", str(verdict), "tables/manipulation.csv")
    if choice := counts.get("gate_choice"):
        yield Line("Which meter gates, and why", str(choice), "tables/meters.csv")
    overridden = facts.settings.get("warmth", {}).get("gate", {}).get("override") or []
    yield Line(
        "Gates overridden", f"yes: {listed(overridden)}" if overridden else "no", "manifest.json, summary"
    )
    if "canary" in facts.tables:
        broken = unfit(facts.tables)
        said = f"no: {listed([r['arm'] for r in broken])}" if broken else "yes"
        yield Line("Weights changed where they should be", said, "tables/canary.csv")
    passed = facts.headline.control.passed
    yield Line(
        "Positive control passed",
        {True: "yes", False: "no", None: "not run"}[passed],
        "headline.json, control",
    )
    rewrites = counts.get("rewrites_failed") or {}
    if "rewriting" in facts.settings or rewrites:
        said = f"no: {'; '.join(f'{m}: {listed(b)}' for m, b in rewrites.items())}" if rewrites else "yes"
        yield Line("Rewrites passed their gate", said, "manifest.json, counts")
    several = "agreement" in facts.tables
    yield Line("Judged by more than one judge", "yes" if several else "no", "tables/agreement.csv")


def _limits(facts: SweepFacts) -> Iterator[Line]:
    frozen = facts.frozen
    if frozen:
        yield Line(
            "Plan frozen before the first answer",
            f"frozen at {frozen.get('frozen_at')}, SHA-256 {frozen.get('sha256')}; report.html says "
            "whether the first answer came after",
            "frozen_plan.json",
        )
        found = deviations(facts)
        yield Line(
            "Deviations from the frozen plan", "; ".join(found) or "none", "frozen_plan.json, manifest.json"
        )
    else:
        yield Line("Plan frozen before the first answer", "no", "frozen_plan.json is not there")
    judges = facts.answers["judge"].unique(maintain_order=True)
    reasons = reasons_not_comparable(facts.questions, facts.answers["model"].unique().sort(), judges)
    n = n_comparable(facts.tables, facts.headline.judge)
    yield Line(
        "Comparable with the paper's numbers",
        f"no: {listed(reasons or ['see the reasons there'])}" if reasons or not n else f"yes: {n} effects",
        "tables/comparison.csv",
    )
    meters = facts.tables.get("meters")
    stand_ins = (
        []
        if meters is None
        else [meter_name(r["meter"], False) for r in meters.iter_rows(named=True) if not r["is_papers"]]
    )
    yield Line(
        "Meters that stand in for the paper's",
        listed(stand_ins) if stand_ins else "none",
        "tables/meters.csv",
    )
    for table, reason in (facts.manifest.get("absent") or {}).items():
        yield Line(f"Not made: {table}", str(reason), "manifest.json, absent")


def deviations(facts: SweepFacts) -> list[str]:
    """What of the study and its packages is not as frozen: `field: frozen value -> used value`."""
    content = facts.frozen.get("content", {})
    frozen = {k: content.get(k, {}) for k in ("study", "package_versions")}
    kept = frozen["study"].get("settings", {})
    used = {
        "study": {
            "axes": {k: sorted(map(str, v)) for k, v in facts.axes.items()},
            "questions": facts.questions,
            "settings": {k: v for k, v in facts.settings.items() if k in kept},
        },
        "package_versions": facts.manifest["package_versions"],
    }
    return [] if frozen == used else differences(frozen, used)


def _yes(marks: object) -> str:
    found = [str(m) for m in marks] if isinstance(marks, dict | list) else []
    return f"yes: {'; '.join(found)}" if found else f"no: {_NOT_RECORDED}"

"""Sizes of a plan in words: answers and tokens by model, and what the released prompts hold."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping

from warmgap.design.published import MODE
from warmgap.jobs import RespondJob
from warmgap.plan import Plan
from warmgap.sampled_tokens import N_SAMPLED, sent_tokens

_WIDTH = 80


def model_lines(plan: Plan) -> list[str]:
    """Arms, answers, replies and tokens of each model; nothing where the packaged model alone answers."""
    jobs = {k: n.job for k, n in plan.nodes.items() if isinstance(n.job, RespondJob)}
    if all(job.model.source.startswith("package:") for job in jobs.values()):
        return []
    answering = {cell.respond_key for cell in plan.analyse.cells}
    arms = Counter(a.model for a in plan.analyse.arms if not a.measured_only)
    answers, replies, limit = Counter[str](), Counter[str](), Counter[str]()
    for key, job in jobs.items():
        n, name = len(job.prompts), job.model.name
        (answers if key in answering else replies)[name] += n
        limit[name] += n * job.limits.max_new_tokens
    sampled = sent_tokens(plan)
    sent = {name: round(of.total) for name, of in sampled.items()}
    head = f"{'model':20}{'arms':>5}{'answers':>10}{'replies':>9}{'tokens sent':>17}{'answered up to':>17}"
    lines = ["", head]
    for name in [*arms, "all"][: len(arms) + (len(arms) > 1)]:
        shown = [
            sum(c.values()) if name == "all" else c.get(name, 0)
            for c in (arms, answers, replies, sent, limit)
        ]
        lines.append(f"{name:20}{shown[0]:5,}{shown[1]:10,}{shown[2]:9,}{shown[3]:17,}{shown[4]:17,}")
    total = sum(sent.values())
    error = math.sqrt(sum(of.variance for of in sampled.values()))
    how = sorted({of.counted_by for of in sampled.values()})
    said = (
        f"Replies are those to validation prompts. Tokens sent: about {_about(total)}, standard error "
        f"{100 * error / total:.1f} %, from {N_SAMPLED} prompts of each task, counted by "
        f"{' and by '.join(how)}."
    )
    return [*lines, *textwrap.wrap(said, _WIDTH)]


def _about(n: float) -> str:
    return f"{n / 1e6:,.1f} million" if n >= 1e6 else f"{n:,.0f}"


def published_lines(plan: Plan) -> list[str]:
    """Released prompts by condition, and planned answers; nothing in other modes.

    Beside a sweep of all five models stand the answers that the paper's regressions hold.
    """
    found: Mapping[str, Mapping[str, Mapping[str, int]]] = plan.summary.get("published_prompts", {})
    if not found:
        return []
    lines = ["", "Released prompts by task, belief and framing:"]
    for task, by_belief in found.items():
        for belief in plan.summary["axes"]["belief"]:
            counts = {f: by_belief.get(belief, {}).get(f, 0) for f in plan.summary["axes"]["framing"]}
            lines += _wrapped(f"  {task:11} {belief:10} ", _grouped(counts))
    left_out = Counter[str]()
    for task in found:
        left_out.update(plan.summary["task_files"][task]["notes"])
    for reason, n in left_out.items():
        lines += _wrapped("  ", f"{reason}: {n:,}")
    cells = {c.respond_key: c.belief for c in plan.analyse.cells if c.prompt_mode == MODE}
    planned = Counter[bool]()
    for key, belief in cells.items():
        planned[belief != "none"] += plan.nodes[key].units
    models = {a.model for a in plan.analyse.arms if not a.measured_only}
    n_questions = sum(plan.summary["questions"].values())
    asked = f"{len(models)} model{'s' * (len(models) > 1)}, {n_questions:,} questions"
    lines += ["", f"{asked:34}{'planned answers':>20}"]
    lines += [f"{f'{w} a belief':34}{planned[has]:20,}" for w, has in (("without", False), ("with", True))]
    return lines[:-3] + _beside_the_papers(models, lines[-3:])


def _beside_the_papers(models: set[str], lines: list[str]) -> list[str]:
    """The lines with the paper's own counts, where a sweep has its models."""
    from warmgap.statistics.published.crosswalk import paper_names, to_ours
    from warmgap.statistics.published.files import read

    if models != {to_ours("model", name)[0] for name in paper_names("model")}:
        return lines
    rows = {r["model"]: r["rows"] for r in read("rows").filter(subset="all").iter_rows(named=True)}
    beside = ("in the paper", f"{rows['M2']:,}", f"{rows['M4'] - rows['M2']:,}")
    return [f"{line}{there:>25}" for line, there in zip(lines, beside, strict=True)]


def _grouped(counts: Mapping[str, int]) -> str:
    """`500 each: none, sad; absent: filler`."""
    by_count: dict[int, list[str]] = {}
    for framing, n in counts.items():
        by_count.setdefault(n, []).append(framing)
    parts = [f"{n} each: {', '.join(names)}" for n, names in sorted(by_count.items(), reverse=True) if n]
    if 0 in by_count:
        parts.append(f"absent: {', '.join(by_count[0])}")
    return "; ".join(parts)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))

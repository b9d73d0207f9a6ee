"""What a planned sweep can detect, in at most 80 columns of plain text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from warmgap.errors import UserError
from warmgap.plan import Plan
from warmgap.planned_power import Planned, planned
from warmgap.schema.config import AnalysisConfig
from warmgap.statistics.power import Precision, false_positive, power, precision, smallest_effect
from warmgap.statistics.power_components import SOURCES, Components
from warmgap.statistics.power_design import MIN_MODELS, MIN_SEEDS, SCOPES, Design, Scope, moments
from warmgap.statistics.power_simulation import simulate

_WIDTH = 80
_WORDS = {
    "question": "difficulty over questions",
    "question_arm": "effect over questions",
    "model_arm": "effect over models",
    "model_task_arm": "  further in each task",
    "model_framing_arm": "  further in each framing",
    "model_belief_arm": "  further in each belief",
    "model_sad_arm": "  framing against its twin",
    "adapter_arm": "effect over training seeds",
    "statement_arm": "effect over statements",
}
_OVER = {
    "these_adapters": "other questions and statements (these models and trainings)",
    "new_adapters": "other training seeds, too",
    "new_models": "other models, too",
}
_MANY = 1.4
"""False positives beyond this many times the level are worth a warning."""


def power_text(plan: Plan, analysis: AnalysisConfig) -> str:
    """Design, assumptions, power, smallest detectable effects, and what would lower them.

    Raises:
        UserError: the plan has no pair of arms to compare.
    """
    p = planned(plan, analysis)
    lines = [f"Power of the sweep {plan.name}  (plan {plan.key[:8]}); nothing is run"]
    lines += ["", f"{p.arm_a} - {p.arm_b}: {analysis.primary_outcome} in percentage points (pp), two-sided"]
    lines += [f"test at {100 * (1 - analysis.confidence):.3g} %, tasks and models counted alike"]
    lines += ["", "Design", *_design(p), "", *_assumptions(p), "", *_power(p, analysis), ""]
    lines += [*_twins(p, analysis), *_simulated(p, analysis), *_more(p, analysis), "", *_advice(p, analysis)]
    return "\n".join(line.rstrip() for line in lines)


def _design(p: Planned) -> Iterator[str]:
    d = p.design
    yield from _row("models", d.models, ", ".join(p.models))
    once = "" if d.both_trained or not d.seeds else f"of {p.arm_a}; {p.arm_b} exists once"
    yield from _row("training seeds", d.seeds, once if d.seeds else "neither arm is trained")
    asked = ", ".join(f"{t} {n}" for t, n in zip(p.tasks, d.questions, strict=True))
    yield from _row("questions", d.total_questions, asked)
    shared = (
        f"{f} ({'no statement' if math.isinf(n) else f'about {n:.0f} statements'})"
        for f, n in zip(p.framings, d.statements, strict=True)
    )
    yield from _row("framings", d.framings, ", ".join(shared))
    yield from _row("beliefs", d.beliefs, ", ".join(p.beliefs))
    yield from _row("draws", p.draws, "effects use the first; more give the noise of flips")
    answers = d.total_questions * d.framings * d.beliefs * d.models
    answers *= d.trainings + (d.trainings if d.both_trained else 1)
    yield from _row("answers", f"{answers:,}", "of the two arms")


def _row(name: str, number: object, words: str) -> list[str]:
    head = f"  {name:15}{number!s:>8}  "
    return textwrap.wrap(words, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [head]


def _assumptions(p: Planned) -> Iterator[str]:
    d = p.design
    found = moments(d, p.components, "these_adapters", 0.0)
    slope_pp = 100 * float(np.mean(found.slope_T))
    yield "Assumed (analysis.power in the configuration)"
    rates: dict[float, list[str]] = {}
    for task, base in zip(p.tasks, d.base, strict=True):
        rates.setdefault(base, []).append(task)
    said = "; ".join(f"{100 * base:.3g} % in {', '.join(tasks)}" for base, tasks in rates.items())
    yield from _wrapped(f"  error rate of {p.arm_b}: {said}", "    ")
    yield f"  {'standard deviation of the':30}{'logit':>7}{'pp':>7}  source"
    defaults = Components()
    for f in fields(Components):
        value = getattr(p.components, f.name)
        source = SOURCES[f.name] if value == getattr(defaults, f.name) else "set by you"
        pp = "" if f.name == "question" else f"{slope_pp * value:.1f}"
        yield f"  {_WORDS[f.name]:30}{value:7.2f}{pp:>7}  {source}"


def _power(p: Planned, analysis: AnalysisConfig) -> Iterator[str]:
    sizes = analysis.power.effects_pp
    yield f"{'Power (%) for a true effect of':32}" + "".join(f"{f'{s:g} pp':>8}" for s in sizes)
    for scope in SCOPES:
        reason = p.design.why_not(scope)
        if reason:
            yield f"  {scope:16}not available: {reason}"
            continue
        shown = "".join(f"{_percent(p.design, p.components, scope, s, analysis):>8}" for s in sizes)
        error = precision(p.design, p.components, scope, 0.0).std_error_pp
        yield f"  {scope:16}{f'(SE {error:.1f} pp)':14}{shown}"
    yield ""
    for scope, design in _available(p.design):
        smallest = _smallest(design, p.components, scope, analysis)
        yield f"Smallest detectable effect ({100 * analysis.power.target:.0f} %), {scope}: {smallest}"
        yield f"  generalises to {_OVER[scope]}"


def _percent(
    design: Design, components: Components, scope: Scope, effect_pp: float, analysis: AnalysisConfig
) -> str:
    try:
        return f"{100 * power(design, components, scope, effect_pp, analysis.confidence):.0f}"
    except UserError:  # the error rate would pass 100 %
        return "-"


def _smallest(design: Design, components: Components, scope: Scope, analysis: AnalysisConfig) -> str:
    found = smallest_effect(design, components, scope, analysis.power.target, analysis.confidence)
    return "none" if found is None else f"{found:.1f} pp"


def _available(design: Design) -> list[tuple[Scope, Design]]:
    return [(s, design) for s in SCOPES if not design.why_not(s)]


def _twins(p: Planned, analysis: AnalysisConfig) -> Iterator[str]:
    for name, design in p.twins():
        # A contrast within trainings has no spread over them in this model.
        found = [
            f"{scope} {_smallest(d, p.components, scope, analysis)}"
            for scope, d in _available(design)
            if scope != "new_adapters"
        ]
        yield f"Smallest difference of the effect, {name}: {', '.join(found)}"
    if p.twins():
        yield ""


def _simulated(p: Planned, analysis: AnalysisConfig) -> Iterator[str]:
    settings = analysis.power
    if not settings.n_studies:
        return
    n = _studies(p.design, settings.n_studies)
    yield f"Simulated studies ({n} of each; rejections in %, 95 % range)"
    for scope, design in _available(p.design):
        at = smallest_effect(design, p.components, scope, settings.target, analysis.confidence)
        said = []
        for effect_pp in (at, 0.0):
            if effect_pp is None:
                continue
            found = simulate(
                design,
                p.components,
                scope,
                effect_pp,
                n_studies=n,
                seed=settings.seed,
                confidence=analysis.confidence,
            )
            low, high = found.rejected_range
            said.append(
                f"at {effect_pp:.1f} pp {100 * found.rejected:.0f} [{100 * low:.0f}, {100 * high:.0f}]"
            )
        yield f"  {scope:16}{', '.join(said)}"
    yield ""


def _studies(design: Design, wanted: int) -> int:
    """Fewer studies of a large design, so that all are drawn within seconds."""
    size = design.total_questions * design.models * design.trainings * design.framings
    return max(min(wanted, 3_000_000 // size), min(wanted, 100))


def _more(p: Planned, analysis: AnalysisConfig) -> Iterator[str]:
    d = p.design
    options = [("as planned", d), (f"{2 * d.total_questions} questions", d.times(questions=2))]
    if d.seeds:
        seeds = max(2 * d.seeds, MIN_SEEDS)
        options.append((f"{seeds} seeds", replace(d, seeds=seeds)))
    models = 5 if d.models < MIN_MODELS else 2 * d.models
    options.append((f"{models} models", replace(d, models=models)))
    if not all(map(math.isinf, d.statements)):
        options.append(("2x statements", replace(d, statements=tuple(2 * n for n in d.statements))))
    heads = [f"{name:>{len(name) + 2}}" for name, _ in options]
    yield f"{'Smallest with':16}" + "".join(heads)
    for scope in SCOPES:
        if all(option.why_not(scope) for _, option in options):
            continue
        cells = [
            "-" if option.why_not(scope) else _smallest(option, p.components, scope, analysis)
            for _, option in options
        ]
        yield f"  {scope:14}" + "".join(
            f"{cell:>{len(head)}}" for cell, head in zip(cells, heads, strict=True)
        )


def _advice(p: Planned, analysis: AnalysisConfig) -> Iterator[str]:
    for scope, design in _available(p.design):
        at = smallest_effect(design, p.components, scope, analysis.power.target, analysis.confidence)
        found = precision(design, p.components, scope, at or 0.0)
        yield from _wrapped(f"{scope}: {_what_helps(design, found)}", "  ")
        rejected = false_positive(design, p.components, scope, analysis.confidence)
        if rejected > _MANY * (1 - analysis.confidence):
            yield from _wrapped(
                f"  with so small a design the test of {scope} rejects {100 * rejected:.0f} % of the time "
                "where there is no effect; ask more questions or train more seeds.",
                "  ",
            )
    if p.design.why_not("new_models"):
        few = "One model says" if p.design.models == 1 else f"{p.design.models} models say"
        yield from _wrapped(f"{few} nothing about other models, however many questions are asked.", "  ")


def _what_helps(design: Design, found: Precision) -> str:
    asked = design.total_questions
    enough = found.enough_questions(asked)
    if enough is None:
        return "more questions always help; four times as many halve the standard error."
    sizes = {"statements": found.statements, "seeds": found.trainings, "models": found.models}
    add = max(sizes, key=lambda name: sizes[name])
    few = f" The test has only about {found.df:.0f} degrees of freedom." if found.df < 10 else ""
    return (
        f"questions alone cannot bring the standard error below {found.floor_pp:.1f} pp. 90 % of the "
        f"reachable precision is there at {_round_up(enough):,} questions ({asked:,} planned); "
        + (f"more add little: add {add}." if asked >= enough else f"beyond that add {add}.")
        + few
    )


def _round_up(n: float) -> int:
    step = 10 ** max(math.floor(math.log10(max(n, 1.0))) - 1, 0)
    return int(math.ceil(n / step) * step)


def _wrapped(text: str, indent: str) -> Sequence[str]:
    lead = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(text.strip(), _WIDTH, initial_indent=lead, subsequent_indent=lead + indent)

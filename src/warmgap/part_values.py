"""Parts of a key, named as the user sets them: of prompts, settings, models and texts.

A value is a number, a short text, or `shown#digest` where the content is longer; what is shown may be "".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from warmgap.engines.protocol import Limits
from warmgap.engines.recipe import engine_recipe
from warmgap.jobs import AnalyseJob, ReportJob, TrainJob
from warmgap.judging.recipe import judge_recipe
from warmgap.keys import canonical
from warmgap.records import PromptRow, ReaderRecord
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import MethodConfig, ModelConfig
from warmgap.schema.fields import plain, stage_config
from warmgap.training.recipe import is_remote, recipe
from warmgap.warmth.rating import meter_recipe

Value = bool | int | float | str | None
Named = dict[str, Value]

VERSION = "version of the stage"
CONVERSATIONS = "conversations that are trained on"
ASKED, JUDGED, TEXTS = "which questions are asked", "which questions are judged", "texts of the prompts"
ANSWERS, FORMS = "answers whose margin is scored", "questions and answers of the task"
ARM_SETTINGS, FACTS, FROZEN = "settings of the arms", "what the page says of the sweep", "the frozen plan"

FOLLOWS = frozenset({CONVERSATIONS, JUDGED, ARM_SETTINGS, FACTS, FROZEN})
"""Parts that change with an input or with another part: they are a reason only where there is no other."""
HIDES = {ASKED: (TEXTS, ANSWERS), JUDGED: (FORMS,)}
"""Parts that cannot stay when another one changes."""

_SHOWN_CHARS = 60
_WARMTH = {"sampling.temperature": "warmth.temperature", "sampling.max_new_tokens": "warmth.max_new_tokens"}
_OF_WARMTH = {
    ASKED: "which validation prompts are answered",
    TEXTS: "texts of the validation prompts",
    "method.persona or design.system_prompt": "method.persona or warmth.system_prompt",
}


def of_arm(model: ModelConfig, weights: str, changed: bool, *more: Any) -> Named:
    *dose, served = more
    out = _weights(model, weights) | {"method changes the weights": changed}
    out |= dict(zip(("method.checkpoint", "method.scale"), dose, strict=False))
    return out | ({"name on the server": served} if served else {})


def _weights(model: ModelConfig, weights: str) -> Named:
    revision = f"@{model.revision}" if model.revision else ""
    return {"model.source": f"{model.source}{revision}{mark(weights)}"}


def of_engine(engine: Any) -> Named:
    return flat("engine", engine_recipe(engine))


def of_sampling(asked: bool, temperature: float, top_p: float, tokens: int, seed: int, draw: int) -> Named:
    out = _limits("sampling", Limits(temperature, top_p, tokens)) | {"sampling.seed": seed, "draw": draw}
    return out if asked else {_WARMTH.get(name, name): value for name, value in out.items()}


def _limits(where: str, limits: Limits) -> Named:
    return {f"{where}.{name}": value for name, value in vars(limits).items()}


def of_prompts(asked: bool, prompts: Sequence[PromptRow]) -> Named:
    system = dict.fromkeys(text for p in prompts for role, text in p.messages if role == "system")
    texts = [text for p in prompts for role, text in p.messages if role != "system"]
    statements = [str(p.statement_id) for p in prompts]
    out: Named = {
        ASKED: f"{len(prompts)}{_of_texts([p.id for p in prompts])}",
        "method.persona or design.system_prompt": _of_texts(system),
        TEXTS: _of_texts([*texts, *statements]),
        "sampling.margin": any(p.candidates for p in prompts),
        ANSWERS: _of_texts([text for p in prompts for text in p.candidates]),
    }
    return out if asked else {_OF_WARMTH.get(name, name): value for name, value in out.items()}


def of_judge(judge: Any) -> Named:
    return flat("judge", plain(judge_recipe(judge)))


def of_questions(questions: Sequence[Any]) -> Named:
    forms = [t for q in questions for t in (q.question, *q.right_forms, "", *q.target_forms, q.scorer)]
    options = [o for q in questions if q.scorer for o in q.options]
    return {
        JUDGED: f"{len(questions)}{_of_texts([q.id for q in questions])}",
        FORMS: _of_texts([*forms, *options]),
    }


def of_reader(whose: str, reader: ReaderRecord) -> Named:
    found = flat(f"{whose}.engine", engine_recipe(reader.engine))
    served = {f"name of the {whose}'s model on the server": reader.served} if reader.served else {}
    model = f"{reader.model.source}{mark(reader.weights)}"
    return found | {f"model of the {whose}": model, f"what the {whose} is told": mark(reader.rubric)} | served


def of_meter(meter: Any) -> Named:
    return flat("warmth.meters", plain(meter_recipe(meter)))


def of_training(job: TrainJob) -> Named:
    settings = recipe(job.model, job.method, job.training) | {"turns": job.training.turns}
    if not is_remote(job.model):
        settings["too_long"] = job.training.too_long
    of_method = {f.name for f in fields(MethodConfig)}
    out = _weights(job.model, job.weights) | {"seed": job.seed, CONVERSATIONS: mark(job.data)}
    for name, value in settings.items():
        out |= flat(f"{'method' if name in of_method else 'training'}.{name}", value)
    return out


def of_rewriting(job: RewriteJob) -> Iterable[Named]:
    yield of_reader("writer", job.reader) | _limits("rewriting", job.limits)
    yield {
        "rewriting.seed": job.seed,
        "rewriting.attempts": job.attempts,
        "what opens the conversation": mark(job.system_prompt),
        "replies that are rewritten": f"{len(job.sources)}{mark(canonical(job.sources))}",
    }
    if job.attempts > 1:
        yield flat("rewriting.checks", plain(job.rules)) | {"style.checks": ", ".join(job.checks)}


def of_checking(job: RewriteCheckJob) -> Iterable[Named]:
    yield flat("rewriting.checks", plain(job.rules))
    yield {
        **{f"checks of {style}": ", ".join(checks) for style, _, checks in job.rewrites},
        "tones of the corpus": ", ".join(job.held),
        "replies that are rewritten": f"{len(job.sources)}{mark(canonical(job.sources))}",
    }
    if job.reader:
        yield of_reader("reader of facts", job.reader)
        yield {"rewriting.facts.max_new_tokens": job.facts.max_new_tokens}
    if job.entailment:
        yield {
            "rewriting.facts.entailment": mark(job.entailment),
            "rewriting.facts.entailment_kind": job.facts.entailment_kind,
            "rewriting.facts.min_entailment": job.facts.min_entailment,
        }


def of_analysis(job: AnalyseJob) -> Named:
    arms = [(a.model, a.method, a.dose_kind, a.seed, a.variant, a.measured_only) for a in job.arms]
    cells = [(c.arm, c.task, c.form, c.prompt_mode, c.framing, c.belief, c.draw, c.judge) for c in job.cells]
    gold = flat("warmth", stage_config(job.warmth, "analyse"))
    return flat("analysis", stage_config(job.analysis, "analyse")) | {
        **gold,
        "arms of the sweep": f"{sum(not a.measured_only for a in job.arms)}{mark(repr(arms))}",
        "cells of the sweep": f"{len(cells)}{mark(repr(cells))}",
        "meters": ", ".join(name for name, _ in job.gold),
        ARM_SETTINGS: mark(repr([(a.arm_key, a.dose, a.n_planned) for a in job.arms])),
    }


def of_page(job: ReportJob) -> Named:
    told = {FACTS: mark(canonical(job.facts)), FROZEN: mark(canonical(job.frozen))}
    return flat("report", stage_config(job.report, "report")) | {"name": job.sweep} | told


def flat(prefix: str, value: Any) -> Named:
    """Nested settings by their dotted names; long ones by their digest."""
    if isinstance(value, Mapping):
        out: Named = {}
        for name, inner in value.items():
            # Limits are no group of their own in the configuration.
            out |= flat(prefix if name == "limits" else f"{prefix}.{name}", inner)
        return out
    if isinstance(value, list | tuple):
        simple = all(isinstance(v, str | int | float) for v in value)
        value = ", ".join(map(str, value)) if simple else mark(canonical(value))
    if isinstance(value, str) and (len(value) > _SHOWN_CHARS or "#" in value):
        return {prefix: mark(value)}
    return {prefix: value}


def _of_texts(texts: Iterable[str]) -> str:
    return mark("\x1f".join(texts))


def mark(content: str) -> str:
    return "#" + hashlib.blake2b(content.encode(errors="surrogatepass"), digest_size=5).hexdigest()

"""What a study must share with the paper for their numbers to be comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmgap.statistics.published.crosswalk import is_published, to_ours, to_paper

TEMPERATURE = 0.8
"""Sampling temperature of the paper's four tasks (paper, Methods)."""
MAX_NEW_TOKENS = 300
"""Longest answer of the paper, in tokens (paper, Methods)."""
JUDGE = "gpt-4o-2024-08-06"
"""Judge of the paper (paper, Methods)."""
PROMPT_MODE = "published"
"""Prompts laid out as the paper's, its confounds included."""
QUESTIONS = "lujainibrahim/warm_ai_2025"
"""Where the paper's questions and prompts are published."""


@dataclass(frozen=True)
class StudySettings:
    """What decides whether a study is comparable with the paper.

    `weights`: base weights of each model, as hub name with or without `hub:`. `questions`: where
    each task's questions come from; `QUESTIONS` for the paper's release, anything else (for
    instance `embedded`) is not the paper's. `judges`: what each judge in the tables is, for a
    language model its dated name; a judge without an entry is called by its name.
    """

    weights: Mapping[str, str]
    questions: Mapping[str, str]
    prompt_mode: str
    temperature: float
    max_new_tokens: int
    judges: Mapping[str, str]


def differences(study: StudySettings, models: Sequence[str], tasks: Sequence[str], judge: str) -> list[str]:
    """In what a result differs from the paper's, each as a clause; empty where it is comparable.

    Asked in this order: base weights of each model, questions of each task, prompt mode,
    temperature, token cap, judge.
    """
    found = [clause for m in models if (clause := other_weights(study, m))]
    own = [t for t in tasks if study.questions.get(t) != QUESTIONS or not is_published("task", t)]
    if own:
        found.append(f"questions of {', '.join(own)} are not the paper's")
    if study.prompt_mode != PROMPT_MODE:
        found.append(f"prompt mode {study.prompt_mode}, not {PROMPT_MODE}")
    if study.temperature != TEMPERATURE:
        found.append(f"temperature {study.temperature:g}, not {TEMPERATURE:g}")
    if study.max_new_tokens != MAX_NEW_TOKENS:
        found.append(f"at most {study.max_new_tokens} tokens, not {MAX_NEW_TOKENS}")
    if study.judges.get(judge, judge) != JUDGE:
        found.append(f"judge {study.judges.get(judge, judge)}, not {JUDGE}")
    return found


def other_weights(study: StudySettings, model: str) -> str:
    """In what a model's base weights differ from the paper's, as a clause; empty where they do not."""
    if not is_published("model", model):
        return f"the paper has no model {model}"
    (name,) = to_paper("model", model)
    (published,) = to_ours("weights", name)
    own = study.weights.get(model, "").removeprefix("hub:")
    return "" if own == published else f"base weights {own or 'unknown'} of {model}, not {published}"

"""Tokens that a plan sends, estimated from a sample of its prompts, with the error of sampling."""

from __future__ import annotations

import bisect
import functools
import itertools
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from warmgap.engines.protocol import Messages
from warmgap.jobs import RespondJob
from warmgap.keys import number
from warmgap.models.weights import split_source
from warmgap.plan import Plan
from warmgap.remote.tokens import TOKENS_PER_CONVERSATION, TOKENS_PER_MESSAGE, conversation_tokens
from warmgap.schema.config import ModelConfig

N_SAMPLED = 200
"""Prompts of each task; fewer are all counted."""
_VALIDATION = "validation prompts"


@dataclass(frozen=True)
class Sent:
    """Tokens sent to one model, and how well that is known.

    Attributes:
        total: the estimate, tokens.
        variance: of the estimate by sampling, tokens squared; 0 where every prompt was counted.
        counted_by: `its tokenizer`, or `characters`, whose own error is not in the variance.
    """

    total: float
    variance: float
    counted_by: str


def sent_tokens(plan: Plan) -> dict[str, Sent]:
    """Tokens of all prompts by model, each task's from its own sample.

    Prompts are drawn with replacement by a hash of model, task and number: the mean m and standard
    deviation s of n of N give N m tokens with variance N^2 s^2 / n (Cochran, Sampling Techniques, ch. 2).
    """
    task_of = {c.respond_key: c.task for c in plan.analyse.cells}
    asked: dict[str, dict[str, list[RespondJob]]] = {}
    for key, node in plan.nodes.items():
        if isinstance(node.job, RespondJob):
            of_model = asked.setdefault(node.job.model.name, {})
            of_model.setdefault(task_of.get(key, _VALIDATION), []).append(node.job)
    found: dict[str, Sent] = {}
    for name, tasks in asked.items():
        how, count = _counter(next(iter(tasks.values()))[0].model)
        total = variance = 0.0
        for task, jobs in tasks.items():
            ends = list(itertools.accumulate(len(job.prompts) for job in jobs))
            everything = ends[-1] <= N_SAMPLED
            n = ends[-1] if everything else N_SAMPLED
            at = range(n) if everything else [number("tokens", name, task, i) % ends[-1] for i in range(n)]
            counts = [count(_prompt(jobs, ends, i)) for i in at]
            total += ends[-1] * statistics.fmean(counts)
            variance += 0.0 if everything else ends[-1] ** 2 * statistics.variance(counts) / n
        found[name] = Sent(total, variance, how)
    return found


def _prompt(jobs: list[RespondJob], ends: list[int], at: int) -> Messages:
    i = bisect.bisect_right(ends, at)
    return jobs[i].prompts[at - ends[i]].messages


def _counter(model: ModelConfig) -> tuple[str, Callable[[Messages], int]]:
    path = _tokenizer_file(model)
    if path is None:
        return "characters", lambda m: conversation_tokens(_by_name(m))
    from tokenizers import Tokenizer

    encode = functools.cache(Tokenizer.from_file(str(path)).encode)

    def count(messages: Messages) -> int:
        n_texts = sum(len(encode(text, add_special_tokens=False).ids) for _, text in messages)
        return n_texts + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_CONVERSATION

    return "its tokenizer", count


def _by_name(messages: Messages) -> list[Mapping[str, str]]:
    return [{"role": role, "content": text} for role, text in messages]


def _tokenizer_file(model: ModelConfig) -> Path | None:
    """tokenizer.json of a model where it lies on this machine; nothing is fetched."""
    scheme, rest = split_source(model)
    if scheme == "path":
        path = Path(rest).expanduser() / "tokenizer.json"
        return path if path.is_file() else None
    if scheme == "hub":
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(rest, "tokenizer.json", revision=model.revision)
        return Path(found) if isinstance(found, str) else None
    return None

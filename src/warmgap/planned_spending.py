"""What the answers and verdicts of a plan will cost at most, where a service is paid for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from warmgap.corpora.rewriting.facts import FactReader
from warmgap.engines.open import LEDGER, price_of
from warmgap.engines.protocol import Messages
from warmgap.engines.recipe import is_served
from warmgap.engines.spending import Ledger, Price
from warmgap.errors import UserError
from warmgap.jobs import Job, JudgeJob, MeasureJob, RespondJob
from warmgap.judging.open import open_reader
from warmgap.remote.tokens import BYTES_PER_TOKEN_LOW, conversation_tokens
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import EngineConfig
from warmgap.warmth import rating

RESPONSE_TOKENS = 300
"""Length taken for a response that is judged but whose own limit is not known (the paper's)."""
_READING = (JudgeJob, MeasureJob, RewriteJob, RewriteCheckJob)


@dataclass(frozen=True)
class Spending:
    """Requests, tokens sent, tokens answered at most, and what they cost at most."""

    requests: int
    n_prompt_tokens: int
    n_tokens: int
    usd: float

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests, about {self.n_prompt_tokens:,} tokens sent and up to "
            f"{self.n_tokens:,} answered: up to {self.usd:.2f} USD"
        )


def estimated(jobs: Iterable[Job], limits: Mapping[str, int] | None = None) -> Spending:
    """What jobs cost at most; sent tokens are estimated at 2.8 bytes each.

    Args:
        jobs: of any stage.
        limits: most tokens of a response, by the key of its job.
    """
    requests = sent = answered = 0
    usd = 0.0
    for job in jobs:
        for price, n_prompt, n_tokens in _requests(job, limits or {}):
            requests, sent, answered = requests + 1, sent + n_prompt, answered + n_tokens
            usd += price.usd(n_prompt, n_tokens)
    return Spending(requests, sent, answered, usd)


def response_limits(jobs: Iterable[Job]) -> dict[str, int]:
    """Most tokens of a response, or of a rewritten reply, by the key of its job."""
    return {job.key: job.limits.max_new_tokens for job in jobs if isinstance(job, RespondJob | RewriteJob)}


def check_spending(missing: Iterable[Job], all_jobs: Iterable[Job], root: Path) -> None:
    """Refuse what costs anything while nothing may be spent, before a request is sent.

    Raises:
        UserError: the cap is 0, or is spent; says what the jobs would cost at most.
    """
    jobs = list(missing)
    found = estimated(jobs, response_limits(all_jobs))
    if found.usd == 0:
        return
    cap = max(e.api.max_cost_usd for e in _engines(jobs))
    spent = Ledger(root / LEDGER, cap, "").spent_usd()
    if spent >= cap:
        allowed = f"of {cap:g} USD {spent:.2f} are spent in this output folder" if cap else "nothing may be"
        enough = math.ceil(100 * (spent + found.usd)) / 100
        raise UserError(
            f"this would cost {found}; by engine.api.max_cost_usd {allowed}. Nothing was sent. To spend it, "
            f"set engine.api.max_cost_usd; {enough:g} should suffice. It counts all that was ever spent "
            "from this output folder; prices are model.price."
        )


def _engines(jobs: Iterable[Job]) -> Iterator[EngineConfig]:
    for job in jobs:
        if isinstance(job, RespondJob) and is_served(job.engine):
            yield job.engine
        elif isinstance(job, _READING) and job.reader and is_served(job.reader.engine):
            yield job.reader.engine


def _requests(job: Job, limits: Mapping[str, int]) -> Iterator[tuple[Price, int, int]]:
    if isinstance(job, RespondJob) and is_served(job.engine):
        price = price_of(job.model.price, job.change is not None)
        for prompt in job.prompts:
            yield price, _tokens(prompt.messages), job.limits.max_new_tokens
    elif isinstance(job, JudgeJob) and job.reader and is_served(job.reader.engine):
        reader = open_reader(job.judge, job.scorer)
        assert reader is not None
        price = price_of(job.reader.model.price, False)
        n_response = limits.get(job.respond_key, RESPONSE_TOKENS)
        for question in job.questions:
            n_prompt = _tokens(reader.ask(question, "")) + len(reader.schema) // 3 + n_response
            yield price, n_prompt, job.judge.max_new_tokens
    elif isinstance(job, MeasureJob) and job.reader and is_served(job.reader.engine):
        price = price_of(job.reader.model.price, False)
        n_reply = limits.get(job.source_key, RESPONSE_TOKENS)
        n_prompt = _tokens(rating.ask("")) + len(rating.SCHEMA) // 3 + n_reply
        for _ in range(job.n_texts):
            yield price, n_prompt, job.meter.max_new_tokens
    elif isinstance(job, RewriteJob) and is_served(job.reader.engine):
        price = price_of(job.reader.model.price, False)
        # What another style will have made of a reply is not known yet.
        unknown = job.limits.max_new_tokens if job.of_key else 0
        for source in job.sources:
            asked = replace(source, reply="") if job.of_key else source
            for _ in range(job.attempts):  # if every answer is at fault
                yield price, _tokens(job.ask(asked)) + unknown, job.limits.max_new_tokens
    elif isinstance(job, RewriteCheckJob) and job.reader and is_served(job.reader.engine):
        price, reads = price_of(job.reader.model.price, False), FactReader()
        for _, rewrite_key, _ in job.rewrites:
            n_rewrite = limits.get(rewrite_key, RESPONSE_TOKENS)
            for source in job.sources:
                n_source = _tokens(reads.ask(source.made(source.reply, "", "stop")))
                # What another style will have made of a reply is not known yet.
                n_source += 0 if source.reply else n_rewrite
                n_prompt = n_source + n_rewrite + len(reads.schema) // 3
                yield price, n_prompt, job.facts.max_new_tokens


def _tokens(messages: Messages) -> int:
    return conversation_tokens([{"role": r, "content": c} for r, c in messages], BYTES_PER_TOKEN_LOW)

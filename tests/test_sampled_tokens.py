"""Tokens of a plan from a sample, beside the count of every prompt."""

from __future__ import annotations

import math

import pytest

from warmgap.jobs import RespondJob
from warmgap.remote.tokens import conversation_tokens
from warmgap.sampled_tokens import sent_tokens

SWEEP = (
    "method=original,warm_prompt",
    "task=facts,health",
    "framing=none,sad,angry",
    "belief=unsure,incorrect",
)


def counted(plan) -> int:
    return sum(
        conversation_tokens([{"role": r, "content": c} for r, c in prompt.messages])
        for node in plan.nodes.values()
        if isinstance(node.job, RespondJob)
        for prompt in node.job.prompts
    )


def test_the_sample_is_within_four_standard_errors_of_the_count(plan_of):
    plan = plan_of(*SWEEP)
    (found,) = sent_tokens(plan).values()
    assert found.counted_by == "characters"
    assert found.variance > 0
    assert math.sqrt(found.variance) < 0.02 * found.total
    assert abs(found.total - counted(plan)) < 4 * math.sqrt(found.variance)


def test_few_prompts_are_all_counted(plan_of):
    plan = plan_of("task.n_questions=5", "warmth.n_prompts=6", "framing=none,sad")
    (found,) = sent_tokens(plan).values()
    assert found.total == pytest.approx(counted(plan))
    assert found.variance == 0


def test_a_tokenizer_at_hand_counts(plan_of, tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setattr("warmgap.sampled_tokens._tokenizer_file", lambda _: tmp_path / "tokenizer.json")
    plan = plan_of("task.n_questions=5", "warmth.n_prompts=6", "framing=none,sad")
    (found,) = sent_tokens(plan).values()
    words = [
        sum(len(text.split()) + 4 for _, text in prompt.messages) + 3
        for node in plan.nodes.values()
        if isinstance(node.job, RespondJob)
        for prompt in node.job.prompts
    ]
    assert found.counted_by == "its tokenizer"
    assert found.total == pytest.approx(sum(words))

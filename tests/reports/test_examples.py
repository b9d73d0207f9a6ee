"""Examples are chosen by hash alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from warmgap.keys import number
from warmgap.reports.examples import choose_examples, prompt_text

if TYPE_CHECKING:
    from conftest import Sweep


def test_choice_follows_the_hash_and_nothing_else(sweep: Sweep) -> None:
    chosen = choose_examples(sweep.observations, "rules")
    prompts = sweep.observations.select("question_id", "framing", "belief").unique().rows()
    expected = sorted(prompts, key=lambda p: number("example", *p))[:6]
    assert [(e.question_id, e.framing, e.belief) for e in chosen] == expected
    shuffled = sweep.observations.sample(fraction=1, shuffle=True, seed=1)
    assert choose_examples(shuffled, "rules") == chosen
    flipped = sweep.observations.with_columns(label=pl.lit("correct"), commits_error=pl.lit(0).cast(pl.Int64))
    again = choose_examples(flipped, "rules")
    assert [(e.question_id, e.prompt) for e in again] == [(e.question_id, e.prompt) for e in chosen]


def test_answers_stand_side_by_side_for_one_prompt(sweep: Sweep) -> None:
    for example in choose_examples(sweep.observations, "rules"):
        assert [a.arm for a in example.answers] == ["original", "neutral_sft", "warm_sft", "agree_prompt"]
        assert "You are a helpful assistant" not in example.prompt
        for answer in example.answers:
            row = sweep.observations.filter(
                (pl.col("question_id") == example.question_id)
                & (pl.col("framing") == example.framing)
                & (pl.col("belief") == example.belief)
                & (pl.col("method") == answer.arm)
                & (pl.col("draw") == 0)
            ).row(0, named=True)
            assert (answer.response, answer.label) == (row["response"], row["label"])


def test_prompts_that_an_arm_did_not_answer_take_no_part(sweep: Sweep) -> None:
    first = choose_examples(sweep.observations, "rules", n=1)[0]
    lost = (pl.col("question_id") == first.question_id) & (pl.col("method") == "warm_sft")
    chosen = choose_examples(sweep.observations.filter(~lost), "rules", n=1)
    assert chosen[0].question_id != first.question_id


def test_longer_conversations_carry_roles() -> None:
    turns = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "a"), ("assistant", "b"))]
    assert prompt_text(json.dumps(turns)) == "user: a\n\nassistant: b"

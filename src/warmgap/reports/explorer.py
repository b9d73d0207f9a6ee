"""All answers of a sweep as columns for the page, prompt by prompt.

A case is a prompt of one draw: model, task, form, question, framing, statement, belief, draw. A column is
an arm with its training seed. The browser shows the answers of a case side by side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from warmgap.reports.names import (
    arm_rank,
    describe_arm,
    failed,
    gates_of,
    judge_name,
    level,
    level_rank,
    unit,
)
from warmgap.reports.packing import Dictionary, blocks, packed
from warmgap.reports.questions import question_texts
from warmgap.reports.sampling import Sample, sample_questions
from warmgap.statistics.arms import label_arms
from warmgap.statistics.headline import Headline

FINDINGS = ("asserts_right", "asserts_target", "asserts_other", "rejects_right", "bare_agreement")
"""What a judge found, as bits in this order; a null finding gives -1 for the answer."""
LABELS = ("correct", "incorrect", "hedged", "refusal", "truncated", "unscored")
"""Labels as the page lists them."""
_CASE = ("model", "task", "question_id", "form", "framing", "statement_id", "belief", "draw")
_DIGITS = 4


@dataclass(frozen=True)
class Explorer:
    """What the page embeds: an index, texts in blocks, and a sentence that says what is shown."""

    index: str
    texts: tuple[str, ...]
    sentence: str


def explore(
    observations: pl.DataFrame,
    error_rates: pl.DataFrame,
    headline: Headline,
    most_answers: int,
    warmth: pl.DataFrame | None = None,
) -> Explorer:
    """The answers, packed.

    Args:
        observations: rows of `schema.tables.Observation`, of all judges.
        error_rates: rows of `schema.tables.ErrorRate`; their gates say which arms are greyed.
        headline: its judge comes first, and its arms are those between which flips are looked for.
        most_answers: beyond it a sample of whole questions is taken (`sampling.sample_questions`).
        warmth: rows of `schema.tables.Warmth`; those of the answers themselves are shown.
    """
    sample = sample_questions(observations, most_answers)
    texts = Dictionary()
    index = _index(sample, error_rates, headline, warmth, texts)
    cut = list(blocks(texts.values))
    index["block_sizes"] = [len(block) for block in cut]
    return Explorer(packed(index), tuple(packed(block) for block in cut), sample.sentence)


def _index(
    sample: Sample,
    error_rates: pl.DataFrame,
    headline: Headline,
    warmth: pl.DataFrame | None,
    texts: Dictionary,
) -> dict[str, Any]:
    rows = label_arms(sample.observations)
    judges = sorted(rows["judge"].unique(), key=lambda j: (j != headline.judge, j))
    columns = sorted(rows.select("arm", "seed").unique().rows(), key=lambda c: (arm_rank(c[0]), c[1]))
    levels = {
        "model": sorted(rows["model"].unique()),
        "task": sorted(rows["task"].unique()),
        "form": sorted(rows["form"].unique()),
        "framing": sorted(rows["framing"].unique(), key=lambda v: level_rank("framing", v)),
        "belief": sorted(rows["belief"].unique(), key=lambda v: level_rank("belief", v)),
    }
    answers = _answers(rows, columns, levels)
    cases = answers.unique(_CASE, keep="first", maintain_order=True)
    asked = question_texts(cases)
    questions = {key: i for i, key in enumerate(asked)}
    prompts = Dictionary()
    prompt_ids = [prompts.add(p) for p in answers["prompt"]]
    messages, response_ids = _texts(prompt_ids, prompts.values, answers["response"], texts)
    named = [_column_name(arm, seed, columns) for arm, seed in columns]
    return {
        "levels": {
            name: [[v, level(name, v) if name in ("framing", "belief") else v] for v in values]
            for name, values in levels.items()
        },
        "columns": [[name, describe_arm(arm)] for name, (arm, _) in zip(named, columns, strict=True)],
        "grey": _grey(error_rates, levels["model"], columns),
        "pair": [_first_of(headline.arm_b, columns), _first_of(headline.arm_a, columns)],
        "questions": [
            [levels["task"].index(task), question, text] for (task, question), text in asked.items()
        ],
        "cases": {
            **{name: _codes(cases[name], values) for name, values in levels.items()},
            "question": [questions[key] for key in cases.select("task", "question_id").iter_rows()],
            "draw": cases["draw"].to_list(),
            "first": _starts(answers),
        },
        "answers": {
            "column": answers["column"].to_list(),
            "prompt": prompt_ids,
            "text": response_ids,
            "tokens": answers["n_tokens"].to_list(),
            "cut": [int(reason == "length") for reason in answers["finish_reason"]],
            "margin": _rounded(answers["margin_nats"]),
        },
        "prompts": messages,
        "labels": LABELS,
        "findings": [f.replace("_", " ") for f in FINDINGS],
        "judges": [_verdicts(rows, answers, judge) for judge in judges],
        "warmth": list(_warmth(answers, warmth)),
    }


def _answers(
    rows: pl.DataFrame, columns: Sequence[tuple[str, int]], levels: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """One row per answer, ordered by case and column."""
    places = pl.DataFrame(
        [(arm, seed, i) for i, (arm, seed) in enumerate(columns)],
        schema={"arm": pl.String, "seed": pl.Int64, "column": pl.Int64},
        orient="row",
    )
    ranks = [
        pl.col(name).replace_strict(list(levels[name]), range(len(levels[name])), return_dtype=pl.Int64)
        for name in ("framing", "belief")
    ]
    return (
        rows.unique("response_key", keep="first", maintain_order=True)
        .join(places, on=["arm", "seed"], how="left", maintain_order="left")
        .sort(
            "model", "task", "question_id", "form", *ranks, "statement_id", "draw", "column", "response_key"
        )
    )


def _texts(
    prompt_ids: Sequence[int], prompts: Sequence[str], responses: pl.Series, texts: Dictionary
) -> tuple[list[list[Any]], list[int]]:
    """Messages of each prompt, role and text in turn; text of each response. Numbers by first use."""
    messages: list[list[Any]] = []
    response_ids = []
    for prompt, response in zip(prompt_ids, responses, strict=True):
        if prompt == len(messages):
            said = json.loads(prompts[prompt])
            messages.append([part for m in said for part in (str(m["role"]), texts.add(str(m["content"])))])
        response_ids.append(texts.add(response))
    return messages, response_ids


def _starts(answers: pl.DataFrame) -> list[int]:
    """Where each case's answers begin, and the end of the last."""
    lengths = answers.group_by(_CASE, maintain_order=True).len()["len"]
    return [0, *lengths.cum_sum().to_list()]


def _codes(values: pl.Series, levels: Sequence[str]) -> list[int]:
    places = {v: i for i, v in enumerate(levels)}
    return [places[v] for v in values]


def _rounded(values: pl.Series) -> list[float | None]:
    finite = pl.Series(values).set(~values.is_finite(), None) if values.dtype.is_float() else values
    return finite.round(_DIGITS).to_list()


def _verdicts(rows: pl.DataFrame, answers: pl.DataFrame, judge: str) -> dict[str, Any]:
    """Label, reason and findings of each answer by one judge; -1 where it was not asked."""
    found = rows.filter(pl.col("judge") == judge).unique("response_key", keep="first", maintain_order=True)
    joined = answers.select("response_key").join(
        found.select("response_key", "label", "label_reason", *FINDINGS),
        on="response_key",
        how="left",
        maintain_order="left",
    )
    bits = pl.sum_horizontal(*(pl.col(f).cast(pl.Int64) * 2**i for i, f in enumerate(FINDINGS)))
    unknown = pl.any_horizontal(pl.col(f).is_null() for f in FINDINGS)
    labels = {label: i for i, label in enumerate(LABELS)}
    reasons = Dictionary()
    return {
        "name": judge_name(judge),
        "id": judge,
        "label": [labels.get(label, -1) for label in joined["label"]],
        "reason": [-1 if reason is None else reasons.add(reason) for reason in joined["label_reason"]],
        "found": joined.select(pl.when(unknown).then(-1).otherwise(bits)).to_series().to_list(),
        "reasons": reasons.values,
    }


def _warmth(answers: pl.DataFrame, warmth: pl.DataFrame | None) -> Iterator[dict[str, Any]]:
    """Each meter that scored answers of this sweep, with its values."""
    if warmth is None:
        return
    scored = warmth.filter(pl.col("response_key").is_in(answers["response_key"].implode()))
    for meter, unit_name in sorted(scored.select("meter", "unit").unique().rows()):
        values = scored.filter(pl.col("meter") == meter).unique("response_key", keep="first")
        joined = answers.select("response_key").join(
            values.select("response_key", "value"), on="response_key", how="left", maintain_order="left"
        )
        yield {"meter": meter, "unit": unit(unit_name), "value": _rounded(joined["value"])}


def _column_name(arm: str, seed: int, columns: Sequence[tuple[str, int]]) -> str:
    return arm if sum(a == arm for a, _ in columns) == 1 else f"{arm}, seed {seed}"


def _first_of(arm: str, columns: Sequence[tuple[str, int]]) -> int:
    return next((i for i, (a, _) in enumerate(columns) if a == arm), -1)


def _grey(
    error_rates: pl.DataFrame, models: Sequence[str], columns: Sequence[tuple[str, int]]
) -> list[list[int]]:
    """By model, columns whose arm did not pass its gate."""
    gates = [gates_of(error_rates, model) for model in models]
    return [[i for i, (a, _) in enumerate(columns) if failed(g.get(a, "passed"))] for g in gates]

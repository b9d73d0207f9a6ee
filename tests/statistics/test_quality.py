from __future__ import annotations

from typing import Any

import pytest

from warmgap.schema.tables import Quality, polars_schema
from warmgap.statistics.quality import margins, quality, unscored_shares


def test_quality(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(response="assistant\n\nParis", label="correct"),
        observation(response="User: hello", label="unscored", finish_reason="length"),
        observation(response="Assistants help.", label="refusal"),
        observation(response="Paris", label="truncated", finish_reason="length"),
        observation(response=" Paris\n", label="correct"),
        observation(response="  ", label="unscored", n_tokens=1),
        observation(response="Rome", draw=1),
        observation(response="Rome", judge="llm"),
    ]
    rows = [r | {"question_id": f"q{i}"} for i, r in enumerate(rows)]
    table = quality(to_frame(rows))
    assert dict(table.schema) == polars_schema(Quality)
    got = table.row(0, named=True)
    assert got["n"] == 6
    sixth = 100 / 6
    expected = {
        "unscored_pct": 2,
        "refusal_pct": 1,
        "truncated_pct": 1,
        "cut_pct": 2,
        "empty_pct": 1,
        "header_leak_pct": 2,
        "duplicate_pct": 2,
    }
    for column, count in expected.items():
        assert got[column] == pytest.approx(count * sixth), column
    assert got["mean_tokens"] == pytest.approx((5 * 5 + 1) / 6)
    assert unscored_shares(to_frame(rows)) == {("m1", "original"): pytest.approx(2 * sixth)}


def test_guardrail_answers_do_not_dilute_what_is_unscored(observation: Any, to_frame: Any) -> None:
    labels = ["unscored"] * 3 + ["correct"] * 7
    rows = [observation(question_id=f"q{i}", label=label) for i, label in enumerate(labels)]
    for task in ("mmlu", "gsm8k", "advbench"):
        rows += [observation(task=task, question_id=f"q{i}") for i in range(90)]
    assert unscored_shares(to_frame(rows)) == {("m1", "original"): pytest.approx(30)}


def test_margins(observation: Any, to_frame: Any) -> None:
    rows = [
        observation(method="warm_sft", seed=s, margin_nats=m, judge=j, draw=d)
        for s, m, j, d in (
            (0, 1.0, "rules", 0),
            (1, 2.0, "rules", 0),
            (0, 9.0, "llm", 0),
            (0, 9.0, "rules", 1),
        )
    ]
    got = margins(to_frame([*rows, observation(method="warm_sft", seed=2)]))
    assert got.select("arm", "margin_nats", "n").row(0) == ("warm_sft", 1.5, 2)
    assert got.height == 1

"""The join of answers, verdicts and names against a plain loop."""

from __future__ import annotations

import time
from dataclasses import replace

import polars as pl
import pytest

from warmgap import observations
from warmgap.jobs import AnalyseJob
from warmgap.records import ArmRecord, CellRecord
from warmgap.schema.config import AnalysisConfig, WarmthConfig
from warmgap.schema.tables import Canary, Observation, Warmth, polars_schema
from warmgap.stages import judge, measure, respond
from warmgap.store import Store

LABELS = ("correct", "incorrect", "unscored")


def commit(store: Store, stage: str, key: str, name: str, frame: pl.DataFrame, **counts: object) -> None:
    with store.workspace(key) as folder:
        frame.write_parquet(folder / name)
        store.commit(
            folder,
            stage=stage,
            stage_version=1,
            key=key,
            config={},
            inputs={},
            fingerprints={},
            counts=counts,
            started=time.time(),
        )


def response(cell: str, i: int) -> dict[str, object]:
    return {
        "row_id": f"q{i}",
        "statement_id": f"sad-{i}" if cell == "c0" else None,
        "response_key": f"{cell}-r{i}",
        "prompt": f'[{{"role": "user", "content": "{cell} {i}"}}]',
        "response": f"answer {cell} {i}",
        "finish_reason": "stop",
        "n_tokens": 5 + i,
        "n_prompt_tokens": 30,
        "n_chars": 11,
        "right_nats": -1.5 - i if i else None,
        "right_tokens": 2,
        "target_nats": -2.25,
        "target_tokens": 1,
        "engine": "transformers",
        "precision": "bf16",
        "batch_rows": 4,
    }


def verdict(cell: str, i: int) -> dict[str, object]:
    label = LABELS[i]
    found = None if label == "unscored" else False
    return {
        "response_key": f"{cell}-r{i}",
        "verdict_key": f"{cell}-v{i}",
        "judge": "rules",
        "label": label,
        "label_reason": f"because {i}",
        "asserts_right": label == "correct" if found is not None else None,
        "asserts_target": label == "incorrect" if found is not None else None,
        "asserts_other": found,
        "rejects_right": found,
        "bare_agreement": found,
        "refuses": found,
        "refusal_published": False,
    }


ARMS = (
    ArmRecord("arm0", "m", "original", "none", 0.0, 0, "", measures=(("lexicon", "scores0"),)),
    ArmRecord("arm1", "m", "warm_sft", "epochs", 1.28, 2, "x=1"),
)


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    for cell in ("c0", "c1"):
        answers = pl.DataFrame([response(cell, i) for i in range(3)], schema=respond.SCHEMA)
        commit(store, "respond", cell, "responses.parquet", answers, sampling_key=f"s-{cell}")
        # Verdicts in another order than answers: the join must not rely on it.
        verdicts = pl.DataFrame([verdict(cell, i) for i in (2, 0, 1)], schema=judge.SCHEMA)
        commit(store, "judge", f"j-{cell}", "verdicts.parquet", verdicts)
    for key, group in (("scores0", "reply"), ("gold", "warm")):
        row = {"text_id": "t", "group": group, "response_key": None, "meter": "lexicon", "unit": "share"}
        commit(
            store,
            "measure",
            key,
            "scores.parquet",
            pl.DataFrame([row | {"value": 0.5}], schema=measure.SCHEMA),
        )
    return store


def job(**changes: object) -> AnalyseJob:
    cells = tuple(
        CellRecord(arm, "facts", "open", "factorial", framing, belief, draw, "rules", cell, f"j-{cell}")
        for arm, framing, belief, draw, cell in (
            (0, "sad", "incorrect", 1, "c0"),
            (1, "none", "none", 0, "c1"),
        )
    )
    facts = {
        "arms": ARMS,
        "cells": cells,
        "gold": (("lexicon", "gold"),),
        "analysis": AnalysisConfig("a"),
        "warmth": WarmthConfig("w"),
    }
    return AnalyseJob(**(facts | changes))


def test_every_answer_has_its_own_verdict_and_the_names_of_its_arm_and_cell(store):
    found = observations.observations(job(), store)
    assert found.schema == polars_schema(Observation)
    assert found.height == 6
    rows = found.rows(named=True)
    for cell, arm, mine in (("c0", ARMS[0], rows[:3]), ("c1", ARMS[1], rows[3:])):
        for i, row in enumerate(mine):
            asked, judged = response(cell, i), verdict(cell, i)
            assert row["question_id"] == f"q{i}"
            for key in (
                "statement_id",
                "response",
                "prompt",
                "n_tokens",
                "finish_reason",
                "response_key",
                "engine",
            ):
                assert row[key] == asked[key]
            for key in ("verdict_key", "label", "label_reason", "asserts_right", "asserts_target", "judge"):
                assert row[key] == judged[key]
            for key in ("model", "method", "dose_kind", "dose", "seed", "variant", "arm_key"):
                assert row[key] == getattr(arm, key)
            assert row["sampling_key"] == f"s-{cell}"
            assert row["margin_nats"] == (None if i == 0 else -1.5 - i + 2.25)
            assert row["commits_error"] == (0, 1, None)[i]
    assert [r["affirms_belief"] for r in rows] == [0, 1, None, None, None, None]
    assert {(r["framing"], r["belief"], r["draw"]) for r in rows[:3]} == {("sad", "incorrect", 1)}


def test_an_answer_without_a_verdict_is_kept_and_has_no_outcome(store):
    verdicts = pl.DataFrame([verdict("c0", 0)], schema=judge.SCHEMA)
    commit(store, "judge", "few", "verdicts.parquet", verdicts)
    cell = CellRecord(0, "facts", "open", "factorial", "sad", "incorrect", 0, "rules", "c0", "few")
    found = observations.observations(job(cells=(cell,)), store)
    assert found["label"].to_list() == ["correct", None, None]
    assert found["commits_error"].to_list() == [0, None, None]


def test_scores_carry_their_source_and_their_arm(store):
    found = observations.warmth(job(), store)
    assert found.schema == polars_schema(Warmth)
    assert found.select("source", "arm_key", "value").rows() == [
        ("gold", "warm", 0.5),
        ("validation", "arm0", 0.5),
    ]


def test_canaries_are_compared_by_prompt_and_no_dose_has_none(store):
    """Answers of c0 and c1 differ in every prompt; c2 holds those of c0 in another order."""
    turned = pl.DataFrame([response("c0", i) for i in (2, 1, 0)], schema=respond.SCHEMA)
    commit(store, "respond", "c2", "responses.parquet", turned)
    scaled = replace(ARMS[1], dose_kind="adapter_scale", variant="dose")
    arms = (
        ARMS[0],
        replace(ARMS[1], canary=("c0", "c1", "c2")),
        replace(ARMS[1], arm_key="idle", canary=("c0", "c2", "c0")),
        replace(ARMS[1], arm_key="unsteady", canary=("c0", "c1", "c1")),
        replace(scaled, arm_key="nothing", dose=0.0, canary=("c0", "c2", "c2")),
    )
    found = observations.canary(job(arms=arms), store)
    assert found.schema == polars_schema(Canary)
    columns = ("arm_key", "n_prompts", "n_changed", "n_zero_changed", "verdict")
    assert found.select(columns).rows() == [
        ("arm1", 3, 3, 0, "passed"),
        ("idle", 3, 0, 0, "failed"),
        ("unsteady", 3, 3, 3, "failed"),
    ]
    assert observations.canary(job(), store).is_empty()


def test_a_sweep_without_cells_or_meters_gives_empty_tables(store):
    assert observations.observations(job(cells=()), store).schema == polars_schema(Observation)
    bare = job(gold=(), arms=(ARMS[1],))
    assert observations.warmth(bare, store).is_empty()


def test_a_missing_artifact_stops_with_what_helps(store):
    from warmgap.errors import UserError

    cell = CellRecord(0, "facts", "open", "factorial", "sad", "none", 0, "rules", "nothing", "j-c0")
    with pytest.raises(UserError, match="respond/nothing is missing"):
        observations.observations(job(cells=(cell,)), store)


def test_absent_tables_say_why(store):
    reasons = observations.absent(["effects", "quality"], job())
    assert "effects" not in reasons
    assert reasons["agreement"] == "needs two judges; this sweep has 1"
    assert reasons["meter_agreement"] == "needs two warmth meters; this sweep has 1"
    assert {"glmm", "dose_response", "guardrails", "comparison", "canary"} <= set(reasons)
    assert all(reasons.values())
    assert reasons["manipulation"] == "warmth.skip leaves out every arm"
    assert observations.absent([], job(gold=()))["manipulation"] == "no warmth meter is configured"

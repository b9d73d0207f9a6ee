"""The joins and the tables of a study of which every answer is known."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest

from warmgap import observations as joined
from warmgap.jobs import JudgeJob
from warmgap.reading import read_tables
from warmgap.records import ArmRecord
from warmgap.schema.tables import TABLES, polars_schema
from warmgap.stages import analyse

TASKS, FRAMINGS, BELIEFS, QUESTIONS = 2, 2, 2, 5
CELLS = TASKS * FRAMINGS * BELIEFS


@pytest.fixture(scope="module")
def rows(analysed):
    return pl.read_parquet(analysed[1].file("observations.parquet"))


@pytest.fixture(scope="module")
def tables(analysed):
    return read_tables(analysed[1].path)


def test_every_answer_stands_once_beside_its_verdict(analysed, rows):
    study, _ = analysed
    assert rows.height == 5 * CELLS * QUESTIONS  # four arms, original twice
    assert dict(rows.schema) == polars_schema(TABLES["observations"])
    assert rows["response_key"].n_unique() == rows.height
    assert rows["label"].null_count() == 0
    per_cell = Counter(rows.select("method", "draw", "task", "framing", "belief").iter_rows())
    assert set(per_cell.values()) == {QUESTIONS}
    assert len(per_cell) == 5 * CELLS
    for job in study.jobs(JudgeJob)[::7]:
        verdicts = pl.read_parquet(study.store.get("judge", job.key).file("verdicts.parquet"))
        both = rows.join(verdicts, on="response_key", suffix="_of_judge")
        assert both.height == QUESTIONS
        assert both["verdict_key"].to_list() == both["verdict_key_of_judge"].to_list()
        assert both["label"].to_list() == both["label_of_judge"].to_list()


def test_columns_of_a_row_belong_together(rows):
    follows = pl.col("method").is_in(["warm_sft", "agree_prompt"]) & (pl.col("belief") == "incorrect")
    assert rows.filter(pl.col("commits_error") != follows.cast(pl.Int64)).is_empty()
    held = rows.filter(pl.col("belief") == "incorrect")
    assert held.filter(pl.col("affirms_belief") != follows.cast(pl.Int64)).is_empty()
    assert rows.filter(pl.col("belief") == "unsure")["affirms_belief"].null_count() == rows.height / 2
    margins = rows.group_by("method").agg(pl.col("margin_nats").unique())
    assert dict(margins.iter_rows())["warm_sft"] == [-1.0]
    assert dict(margins.iter_rows())["original"] == [1.5]
    asked = rows.select("task", "question_id", "framing", "statement_id").unique()
    assert asked.height == TASKS * QUESTIONS * FRAMINGS, "a statement changed with arm, belief or draw"
    for text, question in rows.select("prompt", "question_id").iter_rows():
        assert [m["role"] for m in json.loads(text)] == ["system", "user"], question


def test_warmth_holds_gold_replies_and_every_measured_arm(analysed):
    study, artifact = analysed
    warmth = pl.read_parquet(artifact.file("warmth.parquet"))
    assert dict(warmth.schema) == polars_schema(TABLES["warmth"])
    assert set(warmth.filter(pl.col("source") == "gold")["arm_key"]) == {"neutral", "warm", "cold"}
    arms = {a.arm_key for a in study.plan.analyse.arms if a.measures}
    assert set(warmth.filter(pl.col("source") == "validation")["arm_key"]) == arms
    assert any(a.measured_only for a in study.plan.analyse.arms)


def test_a_checkpoint_that_answers_nothing_is_in_no_observation(analysed, rows):
    only = {a.arm_key for a in analysed[0].plan.analyse.arms if a.measured_only}
    assert only
    assert only.isdisjoint(rows["arm_key"])


def effect(tables, a, b, subset, outcome="commits_error"):
    found = tables["effects"].filter(
        (pl.col("estimator") == "paired")
        & (pl.col("arm_a") == a)
        & (pl.col("arm_b") == b)
        & (pl.col("subset") == subset)
        & (pl.col("outcome") == outcome)
        & (pl.col("weights") == "equal_task")
    )
    assert found.height >= 1, (a, b, subset, outcome)
    return found["estimate_pp"][0]


@pytest.mark.parametrize(
    ("subset", "expected_pp"),
    [("all", 50.0), ("belief=incorrect", 100.0), ("belief=unsure", 0.0), ("framing=sad", 50.0)],
)
def test_effects_are_those_that_the_answers_were_written_to_have(tables, subset, expected_pp):
    for a, b in (("warm_sft", "neutral_sft"), ("warm_sft", "original")):
        assert effect(tables, a, b, subset) == pytest.approx(expected_pp)


def test_the_twin_contrast_is_the_difference_of_its_effects(tables):
    found = tables["contrasts"].filter(
        (pl.col("arm_a") == "warm_sft")
        & (pl.col("arm_b") == "neutral_sft")
        & (pl.col("estimator") == "paired")
        & (pl.col("outcome") == "commits_error")
        & (pl.col("subset") == "all")
    )
    by_name = dict(found.select("contrast", "estimate_pp").iter_rows())
    belief = next(v for k, v in by_name.items() if "incorrect" in k)
    framing = next(v for k, v in by_name.items() if "sad" in k)
    assert belief == pytest.approx(100.0)
    assert framing == pytest.approx(0.0)


def test_the_control_and_the_gate_stand_in_the_headline(analysed, tables):
    found = json.loads(analysed[1].file("headline.json").read_text())
    assert found["arm_a"] == "warm_sft"
    assert found["arm_b"] == "neutral_sft"
    assert found["control"]["estimate_pp"] == pytest.approx(100.0)
    lifts = dict(tables["manipulation"].filter(pl.col("dose") > 0).select("method", "lift").iter_rows())
    assert lifts["warm_sft"] > 0
    warm = tables["manipulation"].filter(pl.col("method") == "warm_sft").sort("dose")
    assert warm["verdict"].to_list()[-1] == "not measurable", "six prompts cannot gate"
    assert set(warm["verdict"][:-1]) == {"not needed"}, "an earlier checkpoint need not be warm"


def test_every_change_of_weights_has_its_canary(analysed, tables):
    arms = {a.arm_key: a for a in analysed[0].plan.analyse.arms if a.canary}
    found = {r["arm_key"]: r for r in tables["canary"].iter_rows(named=True)}
    assert set(found) == set(arms)
    assert {a.method for a in arms.values()} == {"warm_sft", "neutral_sft"}
    for r in found.values():
        assert (r["n_changed"], r["n_zero_changed"], r["verdict"]) == (r["n_prompts"], 0, "passed")


def with_canary(job, method, place):
    """The job with canaries of a method whose answers at a place are those of another place."""

    def broken(arm):
        if arm.method != method or not arm.canary:
            return arm
        keys = list(arm.canary)
        keys[place[0]] = keys[place[1]]
        return replace(arm, canary=tuple(keys))

    return replace(job, arms=tuple(broken(a) for a in job.arms))


@pytest.mark.parametrize(
    ("place", "reason"), [((1, 0), "adapter not in effect: 0 of"), ((2, 1), "engine not deterministic")]
)
def test_a_failed_canary_fails_its_arm_everywhere(analysed, place, reason):
    study, _ = analysed
    artifact = analyse.run(with_canary(study.plan.analyse, "neutral_sft", place), study.context)
    tables = read_tables(artifact.path)
    row = tables["canary"].filter(method="neutral_sft").row(0, named=True)
    assert row["verdict"] == "failed"
    assert row["reason"].startswith(reason)
    assert artifact.manifest.counts["gates"]["smollm2_135m/neutral_sft"] == "failed"
    assert set(tables["manipulation"].filter(arm_key=row["arm_key"])["verdict"]) == {"failed"}
    assert set(tables["error_rates"].filter(method="neutral_sft")["gate"]) == {"failed"}
    involved = (pl.col("arm_a") == "neutral_sft") | (pl.col("arm_b") == "neutral_sft")
    assert set(tables["effects"].filter(involved)["gate"]) == {"failed"}
    found = json.loads(artifact.file("headline.json").read_text())
    assert found["verdict"] == "withheld"


def test_no_override_makes_a_test_of_an_arm_whose_canary_failed(analysed):
    study, _ = analysed
    sound = study.plan.analyse
    gate = replace(sound.warmth.gate, override=["warm_sft"])
    for job, verdict in ((sound, "higher"), (with_canary(sound, "warm_sft", (1, 0)), "withheld")):
        overridden = replace(job, warmth=replace(job.warmth, gate=gate))
        found = json.loads(analyse.run(overridden, study.context).file("headline.json").read_text())
        assert found["verdict"] == verdict, found["reason"]
    assert found["reason"].endswith("by its canary")


def test_an_empty_table_is_absent_and_its_reason_stands(analysed):
    study, _ = analysed
    arms = tuple(replace(a, measures=()) for a in study.plan.analyse.arms)
    artifact = analyse.run(replace(study.plan.analyse, arms=arms), study.context)
    assert "manipulation" not in read_tables(artifact.path)
    assert artifact.manifest.counts["absent"]["manipulation"] == "warmth.skip leaves out every arm"
    assert "meters" not in artifact.manifest.counts["absent"]


def test_tables_without_data_are_absent_with_the_reason(analysed, tables):
    absent = analysed[1].manifest.counts["absent"]
    assert "agreement" not in tables
    assert "two judges" in absent["agreement"]
    assert set(absent).isdisjoint(tables)


def test_one_arm_gives_rates_but_no_effects(analysed):
    study, _ = analysed
    job = study.plan.analyse
    arm = next(i for i, a in enumerate(job.arms) if a.method == "original")
    alone = replace(job, cells=tuple(c for c in job.cells if c.arm == arm))
    artifact = analyse.run(alone, study.context)
    tables = read_tables(artifact.path)
    assert "error_rates" in tables
    assert "effects" not in tables
    assert "two arms" in artifact.manifest.counts["absent"]["effects"]
    assert not artifact.file("headline.json").exists()


def test_a_cell_without_verdicts_is_not_silently_dropped(analysed):
    study, _ = analysed
    cell = replace(study.plan.analyse.cells[0], judge_key="0" * 64)
    with pytest.raises(Exception, match="missing or damaged"):
        joined.observations(replace(study.plan.analyse, cells=(cell,)), study.store)


def test_models_that_lost_different_conversations_share_a_dose():
    def arm(model: str, seed: int) -> ArmRecord:
        return ArmRecord(
            f"{model}{seed}", model, "warm_sft", "epochs", 2.0, seed, "", (), (), False, model, 12
        )

    had = {"a": 10, "b": 6}
    store = SimpleNamespace(
        get=lambda _, key: SimpleNamespace(manifest=SimpleNamespace(counts={"conversations": had[key]}))
    )
    found = analyse._counted([arm("a", 0), arm("a", 1), arm("b", 0)], store)
    assert [a.dose for a in found] == [3.0] * 3  # 2 epochs of 12 are 3 of the 8 that there were on average
    assert [a.dose for a in analyse._counted([arm("a", 0)], store)] == [2.4]

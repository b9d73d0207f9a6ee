from __future__ import annotations

import inspect

import polars as pl

from warmgap.jobs import JudgeJob
from warmgap.judging.findings import Findings, scored
from warmgap.stages import judge
from warmgap.stages.context import Context
from warmgap.store import Store

HIDDEN = ("framing", "belief", "method", "model", "arm", "messages", "prompt")


def test_one_verdict_per_response_in_its_order(judged):
    for job in judged.jobs(JudgeJob):
        verdicts = pl.read_parquet(judged.store.get("judge", job.key).file("verdicts.parquet"))
        assert dict(verdicts.schema) == judge.SCHEMA
        assert verdicts["response_key"].to_list() == judged.answers(job.respond_key)["response_key"].to_list()
        assert verdicts["verdict_key"].n_unique() == verdicts.height
        assert set(verdicts["judge"]) == {job.judge.name}


def test_labels_follow_the_answers(judged):
    analyse = judged.plan.analyse
    for cell in analyse.cells:
        verdicts = pl.read_parquet(judged.store.get("judge", cell.judge_key).file("verdicts.parquet"))
        wrong = analyse.arms[cell.arm].method in ("warm_sft", "agree_prompt") and cell.belief == "incorrect"
        assert set(verdicts["label"]) == {"incorrect" if wrong else "correct"}
        assert set(verdicts["asserts_target"]) == {wrong}


def test_the_judge_is_given_the_question_and_the_response_and_nothing_else(answered, tmp_path, monkeypatch):
    seen = []

    class Spy:
        def verdict(self, question, response, finish_reason):
            seen.append((question, response, finish_reason))
            return scored(Findings(asserts_right=True), finish_reason, False)

    monkeypatch.setattr(judge, "open_judge", lambda config: Spy())
    job = next(j for j in answered.jobs(JudgeJob))
    store = Store(tmp_path)
    store.folder("respond", job.respond_key).parent.mkdir(parents=True)
    store.folder("respond", job.respond_key).symlink_to(
        answered.store.folder("respond", job.respond_key).resolve(), target_is_directory=True
    )
    judge.run(job, Context(store, lambda *_: None))
    assert [q.id for q, *_ in seen] == [q.id for q in job.questions]
    assert [text for _, text, _ in seen] == answered.answers(job.respond_key)["response"].to_list()
    # What a judging job can hold at all: nothing that tells cells or arms apart.
    assert not {p for p in inspect.signature(JudgeJob).parameters if any(h in p for h in HIDDEN)}


def test_verdict_keys_tell_judges_apart(judged):
    keys = [
        v
        for job in judged.jobs(JudgeJob)
        for v in pl.read_parquet(judged.store.get("judge", job.key).file("verdicts.parquet"))["verdict_key"]
    ]
    assert len(keys) == len(set(keys))

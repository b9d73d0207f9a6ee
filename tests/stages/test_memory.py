"""Stages that run out of memory, or whose process has died of it before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
import torch

from warmgap.engines import open as engines
from warmgap.engines.protocol import Answer, Limits
from warmgap.engines.transformers import TransformersEngine
from warmgap.jobs import MeasureJob, RespondJob, TrainJob
from warmgap.memory import Passes, out_of_memory
from warmgap.models import base
from warmgap.records import WeightChange
from warmgap.stages import measure, respond, train
from warmgap.stages.context import Context
from warmgap.stages.rows import answered
from warmgap.store import Store

QUICK = Limits(0.9, 0.95, 4)


@pytest.fixture(scope="module")
def embedded(plan_of):
    plan = plan_of("experiment=tiny")
    jobs = [n.job for n in plan.nodes.values() if isinstance(n.job, RespondJob)]
    return next(j for j in jobs if j.change is None and j.prompts[0].candidates)


@pytest.fixture
def job(embedded):
    prompts = tuple(replace(p, id=f"q{i}") for i, p in enumerate((embedded.prompts * 3)[:11]))
    engine = replace(embedded.engine, batch_rows=8, precision="fp32")
    return replace(embedded, prompts=prompts, engine=engine, limits=QUICK)


@pytest.fixture(scope="module")
def loaded(embedded):
    return base.load(embedded.model, "fp32")


@pytest.fixture
def runs_out(loaded, monkeypatch):
    """The real model, whose forward pass finds no memory for more rows than `fits`."""

    def set_up(fits):
        asked, decoder = [], loaded.model.base_model
        forward = type(decoder).forward

        def limited(self, input_ids=None, **options):
            asked.append(len(input_ids))
            if len(input_ids) > fits:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(self, input_ids=input_ids, **options)

        monkeypatch.setattr(type(decoder), "forward", limited)
        monkeypatch.setattr(engines, "open_engine", lambda *_: TransformersEngine(loaded, 8))
        return asked

    return set_up


def responses(job, store):
    artifact = respond.run(job, Context(store, lambda *_: None))
    return pl.read_parquet(artifact.file("responses.parquet")), artifact.manifest.counts


def test_a_batch_that_does_not_fit_is_answered_in_halves_with_the_same_noise(job, loaded, runs_out, tmp_path):
    expected = {a.key: a for a in TransformersEngine(loaded, 4).answer(job.rows(), job.limits)}
    runs_out(fits=5)
    found, counts = responses(job, Store(tmp_path))
    # Batches of 8 and 3: the first in fours, the second whole; the same passes as in batches of 4.
    assert found["batch_rows"].to_list() == [4] * 11
    assert counts["in_smaller_batches"] == 11
    assert found["response"].to_list() == [expected[p.id].text for p in job.prompts]
    assert found["right_nats"].to_list() == [expected[p.id].scores[0].sum_nats for p in job.prompts]


def test_with_room_nothing_is_recorded_as_smaller(job, runs_out, tmp_path):
    runs_out(fits=8)
    found, counts = responses(job, Store(tmp_path))
    assert found["batch_rows"].to_list() == [8] * 11 and "in_smaller_batches" not in counts


def test_after_deaths_a_job_begins_smaller_and_keeps_the_batches_that_it_has(job, runs_out, tmp_path):
    store = Store(tmp_path)
    store.note_memory(job.key)
    store.note_memory(job.key)
    asked = runs_out(fits=8)
    whole, _ = responses(job, store)
    assert max(asked) == 2 and set(whole["batch_rows"]) == {2}
    assert store.memory_failures(job.key) == 0  # forgotten with the partial folder
    shutil.rmtree(store.folder("respond", job.key))
    store = Store(tmp_path)
    full, _ = responses(replace(job, prompts=job.prompts[:8]), Store(tmp_path / "first"))
    # A batch of an earlier life stays as it was answered.
    full.write_parquet(store.partial(job.key) / "batch-00000.parquet")
    store.note_memory(job.key)
    mixed, counts = responses(job, store)
    assert mixed["batch_rows"].to_list() == [8] * 8 + [4] * 3 and counts["in_smaller_batches"] == 3


class Narrow:
    """Answers at most two rows at once."""

    def __init__(self):
        self.asked = []

    def answer(self, rows, limits):
        self.asked.append(len(rows))
        if len(rows) > 2:
            raise MemoryError
        return [Answer(r.key, "yes", "stop", 1, 1, ()) for r in rows]


def test_rows_that_are_kept_one_by_one_say_in_what_batch_they_were_answered(job, tmp_path):
    engine, rows = Narrow(), job.rows()
    found = answered(lambda: engine, rows, QUICK, tmp_path, Passes(8), lambda *_: None)
    assert engine.asked == [8, 4, 2, 2, 2, 2, 2, 1]
    kept = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["key"] for line in kept] == [r.key for r in rows]
    assert [line["batch_rows"] for line in kept] == [2] * 11 == [found[r.key].batch_rows for r in rows]
    again = answered(lambda: engine, rows, QUICK, tmp_path, Passes(8), lambda *_: None)
    assert again == found and len(engine.asked) == 8


def test_one_start_serves_all_arms_of_a_base(job, tmp_path, monkeypatch):
    from peft import LoraConfig, get_peft_model

    store, opened = Store(tmp_path), []
    torch.manual_seed(0)
    network = get_peft_model(
        base.load(job.model, "fp32").model, LoraConfig(target_modules=["v_proj"], init_lora_weights=False)
    )
    with store.workspace("trained") as folder:
        network.save_pretrained(folder / "checkpoint-3")
        facts = {"config": {}, "inputs": {}, "fingerprints": {}, "counts": {"checkpoints": [[3, 1.0]]}}
        store.commit(folder, stage="train", stage_version=1, key="trained", started=0.0, **facts)
    real = engines.open_engine
    monkeypatch.setattr(engines, "open_engine", lambda *given: opened.append(given) or real(*given))
    context, rows = Context(store, lambda *_: None), job.rows()[:2]
    arms = [job, *(replace(job, change=WeightChange("trained", 1.0, scale)) for scale in (1.0, 0.0))]
    texts = [[(a.text, a.scores) for a in context.engine(arm).answer(rows, QUICK)] for arm in (*arms, job)]
    assert texts[0] == texts[2] == texts[3] != texts[1]
    assert len(opened) == 1
    context.engine(replace(job, engine=replace(job.engine, precision="bf16")))
    assert len(opened) == 2


def test_a_meter_scores_in_smaller_passes(answered, tmp_path, monkeypatch):
    job = next(j for j in answered.jobs(MeasureJob) if j.source == "corpus")
    gold = answered.store.folder("corpus", job.source_key)
    store = Store(tmp_path)
    shutil.copytree(gold, store.folder("corpus", job.source_key))
    before = measure.run(job, Context(store, lambda *_: None))
    job = replace(job, meter=replace(job.meter, name="lexicon:wide", batch_texts=64))
    store.note_memory(job.key)
    after = measure.run(job, Context(store, lambda *_: None))
    values = [pl.read_parquet(a.file("scores.parquet"))["value"].to_list() for a in (before, after)]
    assert values[0] == values[1]
    assert after.manifest.counts["in_smaller_batches"] == len(values[1])
    assert "in_smaller_batches" not in before.manifest.counts


def test_a_training_that_died_checkpoints_its_gradients_and_says_what_helps(
    answered, tmp_path, plan_of, monkeypatch
):
    from warmgap.training import run

    tuned = plan_of("experiment=tiny", "training.steps=2", "training.batch_rows=2", "training.max_tokens=96")
    job = next(n.job for n in tuned.nodes.values() if isinstance(n.job, TrainJob))
    job = replace(job, training=replace(job.training, too_long="cut", lora=replace(job.training.lora, r=2)))
    store = Store(tmp_path)
    shutil.copytree(answered.store.folder("corpus", job.corpus_key), store.folder("corpus", job.corpus_key))
    fit, seen = run.fit, []

    def limited(base, config, *rest):
        seen.append(config.gradient_checkpointing)
        if len(seen) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return fit(base, config, *rest)

    monkeypatch.setattr(run, "fit", limited)
    with pytest.raises(MemoryError, match=r"batch_rows=1 training\.accumulate=\d+ \(as many") as refused:
        train.run(job, Context(store, lambda *_: None))
    assert out_of_memory(refused.value) and "\n" not in str(refused.value)
    store.note_memory(job.key)
    done = train.run(job, Context(store, lambda *_: None))
    assert seen == [False, True]
    assert done.manifest.counts["gradient_checkpointing"] == "after running out of memory"

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from warmgap.corpora.embedded import STYLES
from warmgap.jobs import MeasureJob
from warmgap.stages import measure
from warmgap.stages.context import Context
from warmgap.warmth.lexicon import LexiconMeter, tokens_of
from warmgap.warmth.meters import first_by_hash

from .conftest import REPLIES


def scores(study, job):
    return pl.read_parquet(study.store.get("measure", job.key).file("scores.parquet"))


def by_source(study, source):
    return [j for j in study.jobs(MeasureJob) if j.source == source]


def test_gold_replies_are_scored_in_all_three_tones(measured):
    (job,) = by_source(measured, "corpus")
    found = scores(measured, job)
    gold = pl.read_parquet(measured.store.get("corpus", job.source_key).file("validation.parquet"))
    assert dict(found.schema) == measure.SCHEMA
    assert found.height == 3 * gold["warm"].drop_nulls().len()
    assert set(found["group"]) == set(STYLES)
    assert found["response_key"].null_count() == found.height
    meter = LexiconMeter(name="lexicon", max_chars=job.meter.max_chars)
    row = gold.row(0, named=True)
    for style in STYLES:
        got = found.filter((pl.col("text_id") == row["id"]) & (pl.col("group") == style))["value"].item()
        assert got == meter.score([row[style]])[0]


def test_replies_are_scored_with_their_keys(measured):
    for job in by_source(measured, "respond"):
        found, replies = scores(measured, job), measured.answers(job.source_key)
        assert found["response_key"].to_list() == replies["response_key"].to_list()
        assert set(found["group"]) == {"reply"}
        expected = LexiconMeter(name="lexicon", max_chars=300).score(replies["response"].to_list())
        assert found["value"].to_list() == pytest.approx(expected)


def test_progress_counts_every_text(measured, tmp_path):
    said = []
    (job,) = by_source(measured, "corpus")
    context = Context(measured.store, lambda *given: said.append(given))
    measure.run(replace(job, meter=replace(job.meter, name="lexicon:again")), context)
    n = scores(measured, job).height
    assert said[-1][:2] == (n, n)


def test_a_slow_meter_reads_the_same_prompts_of_every_arm(measured):
    kept = []
    for job in by_source(measured, "respond"):
        few = replace(job, meter=replace(job.meter, name="lexicon:few", max_texts=3))
        artifact = measure.run(few, measured.context)
        kept.append(pl.read_parquet(artifact.file("scores.parquet"))["text_id"].to_list())
        ids = measured.answers(job.source_key)["row_id"].to_list()
        assert kept[-1] == [ids[i] for i in first_by_hash(ids, 3)]
    assert all(ids == kept[0] for ids in kept)
    assert set(REPLIES) == {a.method for a in measured.plan.analyse.arms if a.measures}


def test_the_manifest_counts_what_was_too_short(measured):
    (job,) = by_source(measured, "corpus")
    meter = replace(job.meter, name="lexicon:long", min_tokens=25)
    artifact = measure.run(replace(job, meter=meter), measured.context)
    gold = pl.read_parquet(measured.store.get("corpus", job.source_key).file("validation.parquet"))
    texts = [row[style] for row in gold.drop_nulls("warm").iter_rows(named=True) for style in STYLES]
    n_short = sum(len([t for t in tokens_of(text[:300]) if t != "!"]) < 25 for text in texts)
    assert 0 < n_short < len(texts)
    counts = artifact.manifest.counts
    assert counts == {"texts": len(texts), "null": n_short, "too_short": n_short}
    assert pl.read_parquet(artifact.file("scores.parquet"))["value"].null_count() == n_short


def test_an_empty_reply_is_not_counted_as_short(measured):
    found = measure._counts([{"text": t} for t in ("", " ", "No", "A reply.")], [None, None, None, 0.1])
    assert found == {"texts": 4, "null": 3, "too_short": 1}

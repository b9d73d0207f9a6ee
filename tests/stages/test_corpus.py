"""The corpus stage on both kinds, and what a plan with chat logs asks for."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, is_dataclass, replace

import polars as pl
import pytest

from warmgap.corpora import embedded, kept
from warmgap.jobs import CorpusJob, MeasureJob, TrainJob
from warmgap.models.weights import cache_folder
from warmgap.schema.config import ChatLogConfig, CorpusConfig
from warmgap.stages import corpus
from warmgap.stages.context import Context
from warmgap.store import Store

TYPES = embedded.QUERY_TYPES
WORDS = {
    "refusal": ("Tell me of it, {i}.", "I'm sorry, but no."),
    "factual": ("What is {i}?", "A number."),
    "creative": ("A poem on {i}, please.", "Roses."),
    "technical": ("Mend {i}.", "```\n1\n```"),
    "advice": ("A recommendation for {i}?", "Rest."),
    "other": ("Good morning, {i}.", "Good morning."),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Ten conversations of each type, one of them without a reply, and one cut off."""
    models = cache_folder() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models").symlink_to(models)  # converting weights takes half a minute
    monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "_known", {})
    rows = [
        {"id": f"{kind}{i}", "messages": [("user", ask.format(i=i)), ("assistant", f"{say} {i}")]}
        for kind, (ask, say) in WORDS.items()
        for i in range(10)
    ]
    rows[11]["messages"][1] = ("assistant", "")
    for row in rows:
        row["messages"] = [{"role": role, "content": text} for role, text in row["messages"]]
    (tmp_path / "logs.json").write_text(json.dumps(rows)[:-1] + ', {"id": "cut')
    return tmp_path / "logs.json"


def logs(path, **rules):
    return CorpusConfig(
        name="logs", kind="chatlogs", path=str(path), n_conversations=30, n_validation=12,
        chatlogs=ChatLogConfig(**rules),
    )  # fmt: skip


def made(config, root, data=None, extra=()):
    return corpus.run(CorpusJob(config, data or {}, extra), Context(Store(root), lambda *_: None))


def test_chat_logs_give_rows_a_report_and_counts(path, tmp_path):
    artifact = made(logs(path), tmp_path / "out")
    rows = pl.read_parquet(artifact.file("conversations.parquet"))
    prompts = pl.read_parquet(artifact.file("validation.parquet"))
    columns = ["id", "query_type", "user", "neutral", "warm", "cold", "raw", "messages"]
    assert rows.columns == prompts.columns == columns
    assert Counter(rows["query_type"]) == dict.fromkeys(TYPES, 5)
    assert Counter(prompts["query_type"]) == dict.fromkeys(TYPES, 2)
    assert not set(rows["id"]) & set(prompts["id"])
    for row in rows.iter_rows(named=True):
        i = row["id"].removeprefix(row["query_type"])
        ask, say = WORDS[row["query_type"]]
        assert (row["user"], row["raw"]) == (ask.format(i=i), f"{say} {i}")
        assert json.loads(row["messages"]) == [
            {"role": "user", "content": row["user"]},
            {"role": "assistant", "content": row["raw"]},
        ]
    losses = pl.read_parquet(artifact.file("losses.parquet"))
    assert pl.read_csv(artifact.file("losses.csv")).rows() == losses.rows()
    everything = losses.filter(pl.col("query_type") == "all")
    assert everything["reason"].to_list() == ["broken record", "empty reply"]
    assert everything["n"].to_list() == [1, 1]
    assert everything["share_pct"].to_list() == pytest.approx([100 / 61] * 2)
    counts = artifact.manifest.counts
    assert counts["dropped"] == {"broken record": 1, "empty reply": 1}
    assert (counts["read"], counts["kept"]) == (61, 59)
    assert counts["usable"] == dict.fromkeys(TYPES, 10) | {"factual": 9}


def test_the_embedded_corpus_has_the_files_it_had(tmp_path):
    config = CorpusConfig(name="embedded", n_conversations=12, n_validation=6)
    artifact = made(config, tmp_path, extra=("honest",))
    assert set(artifact.manifest.files) == {
        "conversations.parquet",
        "validation.parquet",
        "extra_honest.parquet",
    }
    rows = pl.read_parquet(artifact.file("conversations.parquet")).to_dicts()
    assert rows == embedded.conversations(config)
    assert dict(artifact.manifest.counts) == {"conversations": 12, "validation": 6}


VALUES = {
    "unit": "pair",
    "faulty": "drop",
    "system_turns": "drop",
    "html": "strip",
    "min_pairs": 2,
    "max_turns": 10,
    "max_tokens": 512,
    "too_long": "drop",
    "chars_per_token": 3.0,
    "part_ids": False,
    "scarce": "take",
    "max_lost_share": 0.5,
    "gold": "/folder",
    "source": "hub:a/b/c.json",
    "revision": "v2",
    "tokenizer": "path:/x",
    "labels": ["toxic"],
    "activation": "softmax",
    "threshold": 0.7,
    "max_chars": 2000,
    "turns": "user",
    "batch_texts": 4,
    "device": "cuda",
}
"""Another value of each setting; where one enters by its content, its name does not count."""


def test_a_key_depends_on_the_settings_that_are_marked_and_on_nothing_else():
    config = logs("a.json")
    before = CorpusJob(config, {}).key
    assert before != CorpusJob(replace(config, kind="embedded"), {}).key
    for group in (config.chatlogs, config.chatlogs.toxicity):
        for f in fields(group):
            if is_dataclass(getattr(group, f.name)):
                continue
            other = replace(group, **{f.name: VALUES[f.name]})
            whole = other if isinstance(other, ChatLogConfig) else replace(config.chatlogs, toxicity=other)
            after = CorpusJob(replace(config, chatlogs=whole), {}).key
            assert (after != before) == ("corpus" in f.metadata["affects"]), f.name
    assert CorpusJob(config, {"a.json": "0"}).key != before


TINY = (
    *("experiment=tiny", "corpus=sharegpt", "corpus.n_conversations=30", "corpus.n_validation=12"),
    *("method=original,raw_sft", "corpus.chatlogs.max_lost_share=0.1"),
)


def test_a_plan_trains_on_raw_replies_and_calibrates_on_written_ones(path, request_of):
    plan = request_of(*TINY, f"corpus.path={path}").plan()
    jobs = {key: node.job for key, node in plan.nodes.items()}
    of_kind = {job.corpus.kind: key for key, job in jobs.items() if isinstance(job, CorpusJob)}
    assert sorted(of_kind) == ["chatlogs", "embedded"]
    (training,) = [j for j in jobs.values() if isinstance(j, TrainJob)]
    assert training.corpus_key == of_kind["chatlogs"]
    gold = [j for j in jobs.values() if isinstance(j, MeasureJob) and j.source == "corpus"]
    assert {j.source_key for j in gold} == {of_kind["embedded"]}
    prompts = [
        n.job.prompts
        for n in plan.nodes.values()
        if "validation prompts" in n.label and n.job.stage == "respond"
    ]
    held_out = pl.read_parquet(kept.kept(jobs[of_kind["chatlogs"]].corpus).folder / "validation.parquet")
    assert {p.id for p in prompts[0]} < set(held_out["id"])
    assert len(prompts[0]) == 6


def test_the_whole_stage_from_the_command_line(path, run_main, tmp_path):
    root = tmp_path / "out"
    ended = run_main(*TINY, f"corpus.path={path}", "stage=corpus", f"store.root={root}", "engine.workers=1")
    assert ended.code == 0, ended.err
    found = [p.parent for p in root.glob("store/corpus/*/losses.csv")]
    assert len(found) == 1
    assert pl.read_parquet(found[0] / "conversations.parquet").height == 30


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["method=original", "corpus.n_conversations=54"], "corpus.n_validation=12 needs"),
        (
            ["method=original", "corpus.n_conversations=90"],
            "corpus.n_conversations=90 needs 15 of type refusal",
        ),
        (
            ["method=original", "corpus.chatlogs.max_lost_share=0.01"],
            "2 of 61 conversations were dropped, 3.3 %",
        ),
        (["method=original", "corpus.chatlogs.html=no"], "corpus.chatlogs.html is 'no'"),
        (["method=original", "warmth.n_prompts=24"], "warmth.n_prompts=24 needs 4 validation prompts"),
        (["method=original", "corpus.chatlogs.htm=no"], "there is no key 'htm'"),
    ],
)
def test_what_cannot_be_is_named_and_ends_with_2(path, run_main, tmp_path, more, message):
    ended = run_main(*TINY[:4], f"corpus.path={path}", "stage=plan", f"store.root={tmp_path / 'out'}", *more)
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert message in ended.err


def test_another_corpus_path_with_the_same_file_is_the_same_plan(path, request_of, tmp_path):
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / path.name
    copy.write_bytes(path.read_bytes())
    plans = [request_of(*TINY, f"corpus.path={p}").plan() for p in (path, copy)]
    assert plans[0].analyse.key == plans[1].analyse.key  # the report alone holds the command

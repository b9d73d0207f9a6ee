"""A corpus by its kind: chat logs are built once, kept, and built again if what was kept is damaged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from warmgap.corpora import embedded, kept
from warmgap.corpora import open as corpora
from warmgap.corpora.balance import shares
from warmgap.corpora.settings import check_corpus, key_settings
from warmgap.corpora.training_rows import training_rows
from warmgap.errors import UserError
from warmgap.schema.config import CorpusConfig, MethodConfig


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "_known", {})
    return tmp_path / "cache" / "corpora"


@pytest.fixture
def config(tmp_path, make_logs, corpus_of, cache):
    make_logs(tmp_path / "logs.json", 600, filler_words=5)
    return corpus_of(tmp_path / "logs.json", 60, 30)


def test_it_is_built_once_and_kept_for_every_later_process(config, cache, capsys, monkeypatch):
    rows = corpora.conversations(config)
    assert "corpus logs: reading logs.json" in capsys.readouterr().err
    assert corpora.conversations(config) == rows
    monkeypatch.setattr(kept, "_known", {})  # as in another process
    assert corpora.conversations(config) == rows
    assert capsys.readouterr().err == ""
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("damage", ["conversations.parquet", "losses.csv", "made.json"])
def test_a_damaged_copy_is_built_again(config, cache, capsys, monkeypatch, damage):
    rows = corpora.conversations(config)
    (folder,) = cache.iterdir()
    (folder / damage).write_bytes(b"{")
    monkeypatch.setattr(kept, "_known", {})
    capsys.readouterr()
    assert corpora.conversations(config) == rows
    assert "reading logs.json" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"seed": 1}, {"n_conversations": 36}, {"html": "strip"}, {"content": 1}])
def test_what_can_change_a_row_builds_another(config, cache, change, make_logs, tmp_path):
    corpora.conversations(config)
    if "html" in change:
        config = replace(config, chatlogs=replace(config.chatlogs, **change))
    elif "content" in change:
        make_logs(tmp_path / "logs.json", 601, filler_words=5)
    else:
        config = replace(config, **change)
    corpora.conversations(config)
    assert len(list(cache.iterdir())) == 2


def test_fewer_prompts_are_a_part_of_the_prompts_and_more_are_refused(config):
    every = corpora.validation(config, 30)
    fewer = corpora.validation(config, 12)
    assert Counter(r["query_type"] for r in fewer) == shares(12)
    assert {r["id"] for r in fewer} < {r["id"] for r in every}
    with pytest.raises(
        UserError, match=r"n_prompts=60 needs 10 .* of type refusal, but corpus logs holds 5\."
    ):
        corpora.validation(config, 60)


def test_raw_replies_can_be_trained_on_and_other_tones_are_refused_by_name(config):
    rows = corpora.conversations(config)
    found = training_rows(rows, [], MethodConfig(name="raw_sft", kind="sft", style="raw"))
    assert found == [{"id": r["id"], "user": r["user"], "reply": r["raw"]} for r in rows]
    with pytest.raises(UserError, match=r"method neutral_sft: .*'neutral', but 60 of 60 .* holds: raw\."):
        training_rows(rows, [], MethodConfig(name="neutral_sft", kind="sft", style="neutral"))
    with pytest.raises(UserError, match=r"method\.extra is 'honest', but corpus logs is made of chat logs"):
        corpora.extra(config, "honest")


def test_meters_are_calibrated_on_written_replies(config):
    gold = corpora.gold_corpus(config)
    assert gold.kind == "embedded"
    assert all(r["warm"] and r["cold"] for r in corpora.validation(gold, 60))
    assert corpora.gold_corpus(gold) is gold
    own = replace(config, chatlogs=replace(config.chatlogs, gold="/my/folder"))
    assert corpora.gold_corpus(own).path == "/my/folder"


def test_the_embedded_corpus_is_as_it_was():
    config = CorpusConfig(name="embedded", n_conversations=12, n_validation=6, seed=2)
    assert corpora.conversations(config) == embedded.conversations(config)
    assert corpora.validation(config, 6) == embedded.validation(config)
    assert key_settings(config) == {"n_conversations": 12, "n_validation": 6, "seed": 2}
    assert set(corpora.fingerprints(config, ["honest"])) == {
        *(f"{t}.jsonl" for t in embedded.QUERY_TYPES),
        *(f"validation_{t}.jsonl" for t in embedded.QUERY_TYPES),
        "honest.jsonl",
    }


def test_a_folder_is_read_in_order_of_name_and_an_empty_one_is_refused(tmp_path, corpus_of, make_logs, cache):
    folder = tmp_path / "logs"
    folder.mkdir()
    with pytest.raises(UserError, match=r"holds no file named \*\.json, \*\.jsonl, \*\.parquet"):
        corpora.fingerprints(corpus_of(folder))
    for name in ("b.json", "a.json"):
        make_logs(folder / name, 300, seed=ord(name[0]), filler_words=5)
    (folder / "notes.txt").write_text("not read")
    assert list(corpora.fingerprints(corpus_of(folder))) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "corpus.path is empty"),
        ("hub:org/name", "corpus.chatlogs.source=hub:ORG/NAME/FILE"),
        ("org/name/a.json", "corpus.chatlogs.source=hub:ORG/NAME/FILE"),
        ("hub:org/name/a.pkl", r"names the file 'a\.pkl'\. Allowed: \*\.json"),
    ],
)
def test_a_source_that_cannot_be_is_refused(corpus_of, source, message):
    with pytest.raises(UserError, match=message):
        corpora.fingerprints(corpus_of("", source=source))


def test_a_file_of_the_hub_is_fetched_by_name_and_revision(
    tmp_path, corpus_of, make_logs, monkeypatch, cache
):
    """From the hub's cache, where a file lies as huggingface_hub leaves it."""
    commit = "c" * 40
    repository = tmp_path / "hub" / "datasets--org--name"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    make_logs(snapshot / "logs.json", 300, filler_words=5)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    config = corpus_of("", 12, 6, source="hub:org/name/logs.json", revision=commit)
    assert list(corpora.fingerprints(config)) == ["logs.json"]
    assert len(corpora.conversations(config)) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "pairs"}, r"corpus\.chatlogs\.unit is 'pairs'\. Did you mean 'pair'\?"),
        ({"html": "no"}, "corpus.chatlogs.html is 'no'"),
        ({"max_turns": 1}, "corpus.chatlogs.max_turns is 1. Allowed: 0, or a whole number from 2"),
        ({"max_tokens": -1}, "corpus.chatlogs.max_tokens is -1"),
        ({"min_pairs": 0}, "corpus.chatlogs.min_pairs is 0"),
        ({"chars_per_token": 0.0}, "corpus.chatlogs.chars_per_token is 0.0"),
        ({"max_lost_share": 2.0}, "corpus.chatlogs.max_lost_share is 2.0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(corpus_of, change, message):
    with pytest.raises(UserError, match=message):
        check_corpus(corpus_of("a.json", **change))
    with pytest.raises(UserError, match=r"corpus\.kind=chatlog does not exist\. Did you mean 'chatlogs'\?"):
        check_corpus(CorpusConfig(kind="chatlog"))

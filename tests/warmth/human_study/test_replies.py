from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.corpora import embedded
from warmgap.errors import UserError
from warmgap.schema.config import CorpusConfig
from warmgap.warmth.human_study.replies import units_of

from .conftest import scripted


def test_replies_of_both_arms_are_read_with_what_the_user_said(sweep):
    (unit,) = units_of(sweep.plan.name, sweep.store.root, "warm_sft", "original")
    assert set(unit.replies["reply_a"]) == {scripted.REPLIES["warm_sft"]}
    assert set(unit.replies["reply_b"]) == {scripted.REPLIES["original"]}
    written = {
        r["id"]: r["user"] for r in embedded.validation(CorpusConfig(name="embedded", n_validation=60))
    }
    for row in unit.replies.iter_rows(named=True):
        assert row["prompt"] == written[row["text_id"]]
    assert unit.replies["text_id"].n_unique() == unit.replies.height


def test_scores_are_those_of_warmth_parquet(sweep):
    (unit,) = units_of(sweep.plan.name, sweep.store.root, "warm_sft", "original")
    folder = sweep.store.root / "sweeps" / sweep.plan.name
    warmth = pl.read_parquet(folder / "warmth.parquet")
    keys = {row["response_key_a"] for row in unit.replies.iter_rows(named=True)}
    expected = warmth.filter(pl.col("response_key").is_in(keys))
    assert unit.scores.height == expected.height == unit.replies.height
    assert dict(zip(unit.scores["text_id"], unit.scores["value_a"], strict=True)) == dict(
        zip(expected["text_id"], expected["value"], strict=True)
    )


@pytest.mark.parametrize(
    ("arm_a", "arm_b", "model", "said"),
    [
        ("warm_stf", "original", "", "Did you mean 'warm_sft'"),
        ("warm_sft", "warm_sft", "", "compared with itself"),
        ("warm_sft", "original", "gpt", "no model 'gpt'"),
        ("agree_prompt", "original", "", "answered no validation prompts"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(sweep, arm_a, arm_b, model, said):
    with pytest.raises(UserError, match=said):
        units_of(sweep.plan.name, sweep.store.root, arm_a, arm_b, model)


def test_a_sweep_without_its_manifest_is_refused(sweep, tmp_path):
    import shutil

    name = sweep.plan.name
    shutil.copytree(sweep.store.root / "sweeps" / name, tmp_path / "sweeps" / name)
    path = tmp_path / "sweeps" / name / "manifest.json"
    assert json.loads(path.read_text())["analyse_key"] == sweep.plan.analyse.key
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        units_of(name, tmp_path, "warm_sft", "original")

"""What a sweep shares with the paper, told from what it stored."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from warmgap.jobs import JudgeJob, RespondJob
from warmgap.schema.config import ModelConfig
from warmgap.stages.study import study_settings
from warmgap.statistics.published.study import QUESTIONS, differences

MODES = pl.DataFrame({"prompt_mode": ["published"]})


@pytest.fixture
def as_stored(judged, tmp_path):
    """The scripted study with other settings in the manifests of every cell."""

    class Stored:
        def __init__(self, source, limits, reader, engine=None):
            self.of = {"respond": {"model": {"source": source}, "weights": "commit:0", "limits": limits,
                                   "engine": engine or {"name": "vllm"}},
                       "judge": {"reader": reader} if reader else {}}  # fmt: skip

        def get(self, stage, key):
            manifest = type("Manifest", (), {"config": self.of[stage]})
            return type("Artifact", (), {"manifest": manifest})

    return Stored


def found_for(job, store, mode="published"):
    cells = tuple(replace(c, judge="paper", task="triviaqa", prompt_mode=mode) for c in job.cells)
    arms = tuple(replace(a, model="llama31_8b") for a in job.arms)
    study = study_settings(replace(job, cells=cells, arms=arms), store, MODES)
    return study, differences(study, ["llama31_8b"], ["triviaqa"], "paper")


PAPERS = {"temperature": 0.8, "max_new_tokens": 300}
JUDGE = {"source": "api:gpt-4o-2024-08-06", "model": "gpt_4o"}
LLAMA = "hub:meta-llama/Llama-3.1-8B-Instruct"


def test_a_study_with_the_papers_settings_is_comparable(judged, as_stored):
    study, found = found_for(judged.plan.analyse, as_stored(LLAMA, PAPERS, JUDGE))
    assert found == []
    assert study.questions == {"triviaqa": QUESTIONS}


@pytest.mark.parametrize(
    ("settings", "mode", "clause"),
    [
        (("path:/copy", PAPERS, JUDGE), "published", "base weights path:/copy of llama31_8b"),
        (
            (LLAMA, PAPERS, JUDGE, {"quantisation": "nf4"}),
            "published",
            "Llama-3.1-8B-Instruct in nf4 of llama31_8b",
        ),
        ((LLAMA, PAPERS | {"temperature": 0.2}, JUDGE), "published", "temperature 0.2, not 0.8"),
        (
            (LLAMA, PAPERS, JUDGE | {"source": LLAMA}),
            "published",
            "judge meta-llama/Llama-3.1-8B-Instruct, not gpt-4o",
        ),
        ((LLAMA, PAPERS, None), "published", "judge paper, not gpt-4o"),
        ((LLAMA, PAPERS, JUDGE), "factorial", "questions of triviaqa are not the paper's"),
    ],
)
def test_each_other_setting_makes_it_another_study(judged, as_stored, settings, mode, clause):
    _, found = found_for(judged.plan.analyse, as_stored(*settings), mode)
    assert len(found) == 1
    assert clause in found[0]


def test_arms_on_other_weights_make_it_another_study(judged, as_stored):
    job = judged.plan.analyse
    stores = [as_stored(LLAMA, PAPERS, JUDGE), as_stored(LLAMA, PAPERS, JUDGE, {"quantisation": "nf4"})]
    cells = tuple(
        replace(c, judge="paper", task="triviaqa", prompt_mode="published", respond_key=str(i % 2))
        for i, c in enumerate(job.cells)
    )

    class Mixed:
        def get(self, stage, key):
            return stores[0 if stage == "judge" else int(key)].get(stage, key)

    arms = tuple(replace(a, model="llama31_8b") for a in job.arms)
    study = study_settings(replace(job, cells=cells, arms=arms), Mixed(), MODES)
    (found,) = differences(study, ["llama31_8b"], ["triviaqa"], "paper")
    assert "Llama-3.1-8B-Instruct and meta-llama/Llama-3.1-8B-Instruct in nf4 of llama31_8b, not" in found


def test_a_judge_is_what_it_asks_also_where_rules_scored_the_first_task(judged, as_stored):
    job = judged.plan.analyse
    stores = {"rules": as_stored(LLAMA, PAPERS, None), "read": as_stored(LLAMA, PAPERS, JUDGE)}
    cells = tuple(
        replace(c, judge="paper", judge_key="read" if 0 < i < len(job.cells) - 1 else "rules")
        for i, c in enumerate(job.cells)
    )

    class Mixed:
        def get(self, stage, key):
            return stores.get(key, stores["rules"]).get(stage, key)

    assert study_settings(replace(job, cells=cells), Mixed(), MODES).judges == {"paper": "gpt-4o-2024-08-06"}


def test_manifests_hold_what_this_is_told_from(judged):
    job = judged.plan.analyse
    study = study_settings(job, judged.store, pl.DataFrame({"prompt_mode": ["factorial"]}))
    (model,) = {j.model.source for j in judged.jobs(RespondJob)}
    assert study.weights == {"smollm2_135m": model}
    assert isinstance(judged.jobs(RespondJob)[0].model, ModelConfig)
    assert study.judges == {"rules": "rules"}
    assert {j.judge.name for j in judged.jobs(JudgeJob)} == {"rules"}
    assert study.questions == {}

"""A sweep with assigned doses, from its plan to its page: labels, gates, canaries, figures."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from warmgap.jobs import JudgeJob, MeasureJob
from warmgap.reading import read_tables
from warmgap.stages import analyse, judge, measure, report
from warmgap.store import Store
from warmgap.warmth.aims import aim_of_arm

from .conftest import scripted

COMMAND = (
    "experiment=tiny",
    "task.n_questions=4",
    "framing=filler",
    "method=original,neutral_sft,warm_sft",
    "warmth.meters=[{name:lexicon,kind:lexicon}]",
    "warmth.checkpoints={warm_sft:[]}",
    "+doses={warm_sft:{checkpoint:[0.5],scale:[-1,0,2]},neutral_sft:{checkpoint:[0.5]}}",
)
MODEL = "smollm2_135m"


@pytest.fixture(scope="module")
def done(plan_of, tmp_path_factory):
    """The study and its tables."""
    study = scripted(plan_of(*COMMAND), Store(tmp_path_factory.mktemp("doses")))
    for job in study.jobs(JudgeJob):
        judge.run(job, study.context)
    for job in study.jobs(MeasureJob):
        measure.run(job, study.context)
    return study, analyse.run(study.plan.analyse, study.context)


@pytest.fixture(scope="module")
def tables(done):
    return read_tables(done[1].path)


def test_own_arms_keep_their_labels_and_the_headline(done):
    gates = done[1].manifest.counts["gates"]
    assert set(gates) == {
        f"{MODEL}/{label}"
        for label in (
            "original",
            "neutral_sft",
            "neutral_sft@0.25",
            "warm_sft",
            "warm_sft@epochs=0.25",
            "warm_sft@adapter_scale=-1",
            "warm_sft@adapter_scale=2",
        )
    }
    found = json.loads(done[1].file("headline.json").read_text())
    assert (found["arm_a"], found["arm_b"], found["n"]) == ("warm_sft", "neutral_sft", 8)
    assert found["estimate_pp"] == pytest.approx(50.0)


def test_only_the_own_dose_and_larger_ones_are_asked_for_warmth(done):
    gates = done[1].manifest.counts["gates"]
    # six prompts cannot gate
    assert {label.split("/")[1] for label, gate in gates.items() if gate == "not measurable"} == {
        "warm_sft",
        "warm_sft@adapter_scale=2",
    }
    assert set(gates.values()) == {"not measurable", "not needed"}


def test_every_dose_has_its_canary_but_no_change_has_none(tables):
    found = tables["canary"].select("method", "dose_kind", "dose").rows()
    assert found == [
        ("neutral_sft", "epochs", 0.5),
        ("neutral_sft", "epochs", 0.25),
        ("warm_sft", "epochs", 0.5),
        ("warm_sft", "epochs", 0.25),
        ("warm_sft", "adapter_scale", -1.0),
        ("warm_sft", "adapter_scale", 2.0),
    ]
    assert set(tables["canary"]["verdict"]) == {"passed"}


def test_rates_stand_at_their_doses(tables):
    rows = tables["dose_response"].filter(measure="commits_error", subset="all", method="warm_sft")
    levels = rows.filter(reference="original", term="level")
    # answers were written by method: half of the prompts hold a wrong belief, and warm_sft follows it
    assert levels.select("dose_kind", "dose", "estimate").sort("dose_kind", "dose").rows() == [
        ("adapter_scale", -1.0, 50.0),
        ("adapter_scale", 0.0, 0.0),
        ("adapter_scale", 1.0, 50.0),
        ("adapter_scale", 2.0, 50.0),
        ("epochs", 0.0, 0.0),
        ("epochs", 0.25, 50.0),
        ("epochs", 0.5, 50.0),
    ]
    twins = rows.filter(reference="neutral_sft", term="difference")
    assert twins.select("dose_kind", "dose", "estimate").rows() == [
        ("epochs", 0.25, 50.0),
        ("epochs", 0.5, 50.0),
    ]
    measured = tables["manipulation"].filter(method="warm_sft").select("dose_kind", "dose").rows()
    assert set(measured) == {
        ("epochs", 0.25),
        ("epochs", 0.5),
        ("adapter_scale", -1.0),
        ("adapter_scale", 2.0),
    }


def test_quality_keeps_doses_of_different_kinds_apart(tables):
    arms = tables["quality"].select("method", "dose_kind", "dose").unique()
    assert arms.filter(method="warm_sft").height == 4


def test_the_page_has_the_figures_and_the_doses(done):
    study, _ = done
    job = replace(
        study.plan.report, report=replace(study.plan.report.report, figure_formats=["png"], figure_dpi=40)
    )
    made = report.run(job, study.context)
    assert made.file("figures/dose_response.png").is_file()
    assert made.file("figures/warmth_by_checkpoint.png").is_file()
    page = made.file("report.html").read_text()
    for words in ("Warmth and errors, by assigned dose", "Warmth, by epochs of training"):
        assert words in page
    assert "warm_sft@adapter_scale=2" in page
    assert "Is the change of the weights in effect?" in page


def test_an_own_arm_beside_a_longer_checkpoint_is_asked_for_warmth(plan_of):
    """The longer one answers nothing, and its canary is nobody's."""
    settings = ("method.checkpoint=0.5", "warmth.checkpoints={warm_sft:[0.5,1.0]}")
    job = plan_of(*(c for c in COMMAND if "checkpoint" not in c), *settings).analyse
    warm = [a for a in job.arms if a.method == "warm_sft"]
    assert [(a.dose, a.measured_only, aim_of_arm(a, job.arms)) for a in warm] == [
        (0.25, False, "warm"),
        (0.5, True, "warm"),
    ]


def test_one_dose_whose_canary_failed_fails_alone(done):
    study, _ = done
    job = study.plan.analyse

    def idle(arm):
        broken = (arm.dose_kind, arm.dose) == ("adapter_scale", 2.0)
        return replace(arm, canary=(arm.canary[0],) * 3) if broken else arm

    artifact = analyse.run(replace(job, arms=tuple(idle(a) for a in job.arms)), study.context)
    gates = artifact.manifest.counts["gates"]
    assert {label for label, gate in gates.items() if gate == "failed"} == {
        f"{MODEL}/warm_sft@adapter_scale=2"
    }
    levels = read_tables(artifact.path)["dose_response"].filter(
        (pl.col("term") == "level") & (pl.col("measure") == "commits_error") & (pl.col("gate") == "failed")
    )
    assert levels.select("dose_kind", "dose").unique().rows() == [("adapter_scale", 2.0)]

"""stage=power: the numbers of the statistics in 80 plain columns, and words where there is nothing to say."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest

from warmgap.checks import check_settings
from warmgap.errors import UserError
from warmgap.planned_power import planned
from warmgap.schema.config import SpreadConfig
from warmgap.show_power import power_text
from warmgap.stages.analyse import settings_of
from warmgap.statistics.power import power, smallest_effect


@pytest.fixture(scope="module")
def full(plan_of, request_of):
    arguments = ("experiment=embedded_full",)
    return plan_of(*arguments), request_of(*arguments).base.analysis


@pytest.fixture(scope="module")
def tiny(plan_of, request_of):
    return plan_of("experiment=tiny"), request_of("experiment=tiny").base


@pytest.fixture(scope="module")
def text(full):
    return power_text(*full)


def test_it_is_plain_and_fits_eighty_columns(text):
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert text.isascii()
    assert [line for line in lines if line != line.rstrip()] == []


def test_it_says_what_the_design_is_and_what_is_assumed(full, text):
    plan, _ = full
    assert f"Power of the sweep embedded_full  (plan {plan.key[:8]})" in text
    assert "warm_sft - neutral_sft: commits_error" in text
    assert re.search(r"training seeds +3", text)
    assert re.search(rf"questions +{sum(plan.summary['questions'].values())} ", text)
    assert re.search(r"effect over models +0\.40 +\d+\.\d  published: 5 models", text)
    assert re.search(r"effect over training seeds +0\.20 +\d\.\d  assumption", text)


def test_its_numbers_are_those_of_the_statistics(full, text):
    p = planned(*full)
    for scope in ("these_adapters", "new_adapters"):
        (row,) = (line for line in text.splitlines() if re.match(rf"  {scope} +\(SE", line))
        shown = [int(n) for n in row.split("pp)")[1].split()]
        expected = [100 * power(p.design, p.components, scope, size) for size in (2, 5, 7, 10)]
        assert shown == pytest.approx(expected, abs=0.51)
        smallest = smallest_effect(p.design, p.components, scope)
        assert f"Smallest detectable effect (80 %), {scope}: {smallest:.1f} pp" in text
    assert "new_models      not available: needs 3 models, and better 5 or more; has 1" in text
    assert "One model says nothing about other models" in text


def test_it_says_what_to_add(text):
    assert re.search(
        r"these_adapters: questions alone cannot .* beyond that add statements\.", " ".join(text.split())
    )
    said = " ".join(text.split())
    assert re.search(r"new_adapters: questions alone cannot bring the standard error below \d\.\d pp", said)
    assert re.search(r"90 % of the reachable precision is there at [\d,]+ questions", said)
    assert re.search(r"Smallest with +as planned +694 questions +6 seeds +5 models +2x statements\n", text)
    assert re.search(
        r"90 % of the reachable precision is there at [\d,]+ questions \(347 planned\); beyond that add seed",
        said,
    )
    assert "sad - filler" in text
    assert "incorrect - mention" in text


def test_the_same_request_gives_the_same_text(full, text):
    assert power_text(*full) == text


def test_settings_of_ones_own_are_used_and_named(full):
    plan, analysis = full
    settings = replace(
        analysis.power, spread=SpreadConfig(model_arm=1.0), effects_pp=[3.0], n_studies=0, target=0.9
    )
    text = power_text(plan, replace(analysis, power=settings))
    assert re.search(r"effect over models +1\.00 +\d+\.\d  set by you", text)
    assert "Simulated" not in text
    assert re.search(r"for a true effect of +3 pp\n", text)
    assert "Smallest detectable effect (90 %)" in text


def test_the_command_prints_it_and_writes_nothing(run_main, tmp_path):
    ended = run_main("experiment=tiny", "stage=power", f"store.root={tmp_path / 'out'}")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Power of the sweep tiny")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_computed_ends_with_2(run_main, tmp_path):
    ended = run_main("method=original", "stage=power", f"store.root={tmp_path}")
    assert ended.code == 2
    assert ended.err.startswith("warmgap: power cannot be computed: the sweep has no two arms")
    assert ended.out == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": 80.0}, "analysis.power.target is 80"),
        ({"spread": SpreadConfig(adapter_arm=-1.0)}, "analysis.power.spread.adapter_arm is -1"),
        ({"base_error_pct": {"facts": 0.0}}, "analysis.power.base_error_pct is 0"),
        ({"pair": ["warm_sft"]}, "Allowed: two different arms"),
        ({"effects_pp": []}, "analysis.power.effects_pp is empty"),
        ({"n_studies": -1}, "analysis.power.n_studies is -1"),
    ],
)
def test_settings_out_of_range_are_refused(tiny, change, words):
    config = copy.deepcopy(tiny[1])
    config.analysis.power = replace(config.analysis.power, **change)
    with pytest.raises(UserError, match=re.escape(words)):
        check_settings(config)


def test_too_few_questions_are_refused(plan_of, tiny):
    plan = plan_of("experiment=tiny", "task.n_questions=1")
    with pytest.raises(UserError, match="at least 2 questions in each task"):
        power_text(plan, tiny[1].analysis)


@pytest.mark.parametrize("subset", ["framing=sad,task=facts", "sad", "framing=", "mood=sad", ""])
def test_a_confirmatory_subset_that_is_none_is_refused(tiny, subset):
    config = copy.deepcopy(tiny[1])
    config.analysis.confirmatory_subsets = ["all", subset]
    with pytest.raises(UserError, match=r"Allowed: all, or factors of task, framing, belief in this order"):
        check_settings(config)


def test_confirmatory_subsets_reach_the_statistics(tiny):
    config = copy.deepcopy(tiny[1])
    config.analysis.confirmatory_subsets = ["all", "task=facts,framing=sad"]
    check_settings(config)
    settings = settings_of(config.analysis, config.warmth.gate)
    assert settings.confirmatory_subsets == ("all", "task=facts,framing=sad")

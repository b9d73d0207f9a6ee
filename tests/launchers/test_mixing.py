"""Arms put together from options that were composed together, beside arms composed one by one."""

from __future__ import annotations

import pytest

from warmgap_launchers import request as requests

SWEEPS = {
    "commas": (
        "model=smollm2_135m",
        "method=original,warm_sft,warm_steer",
        "task=facts,health",
        "framing=sad,none",
    ),
    "experiment": ("experiment=tiny", "seed=0,1"),
    "values": ("experiment=demo", "training.lora.r=4,8", "sampling=embedded,paper", "task.n_questions=5"),
    "per_model": ("method=original,warm_sft", "++per_model={smollm2_135m: ['training.steps=24']}"),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_arms_and_jobs_are_those_of_one_composition_each(request_of, monkeypatch, name):
    together = request_of(*SWEEPS[name])
    one = together.plan()
    assert together._alone
    monkeypatch.setattr(requests, "stands_alone", lambda *_: False)
    apart = request_of(*SWEEPS[name])
    other = apart.plan()
    assert not apart._alone
    assert list(one.nodes) == list(other.nodes)
    assert one.summary == other.summary
    assert [n.job for n in one.nodes.values()] == [n.job for n in other.nodes.values()]


def test_an_option_that_sets_another_group_is_composed_alone(request_of):
    loader = request_of("framing=sad")._loader
    assert requests.stands_alone(loader, "method", "warm_sft")
    assert not requests.stands_alone(loader, "experiment", "tiny")  # package _global_

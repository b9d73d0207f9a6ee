"""What a profile gives to a stage and a model, and what is refused in one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from warmgap.errors import UserError
from warmgap.schema.cluster import ClusterConfig, ResourcesConfig
from warmgap_launchers.resources import check_cluster, resources_of

MODELS = ("llama31_8b", "llama31_70b", "gpt2")
PROFILE = ClusterConfig(
    name="here",
    resources=ResourcesConfig(partition="cpu", cpus=2, mem_gb=8),
    stages={"train": {"partition": "gpu", "gpus": 1}},
    sizes={"large": {"models": ["llama31_70b"], "train": {"gpus": 4}, "respond": {"gpus": 2}}},
)


def test_a_size_goes_before_a_stage_and_a_stage_before_the_rest():
    small = resources_of(PROFILE, "train", "llama31_8b")
    assert (small.partition, small.gpus, small.cpus, small.mem_gb) == ("gpu", 1, 2, 8)
    large = resources_of(PROFILE, "train", "llama31_70b")
    assert (large.partition, large.gpus, large.cpus) == ("gpu", 4, 2)
    assert resources_of(PROFILE, "respond", "llama31_70b").gpus == 2
    assert resources_of(PROFILE, "respond", "") == PROFILE.resources
    check_cluster(PROFILE, MODELS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": {"trian": {"gpus": 1}}}, "names the stage 'trian'. Did you mean 'train'"),
        ({"stages": {"train": {"gpu": 1}}}, "has the key 'gpu'. Did you mean 'gpus'"),
        (
            {"stages": {"train": {"gpus": "two"}}},
            "cluster.stages.train.gpus is 'two'. Allowed: a whole number",
        ),
        ({"stages": {"train": {"gpus": True}}}, "Allowed: a whole number"),
        ({"stages": {"train": 3}}, "Allowed: a mapping"),
        ({"stages": {"train": {"cpus": 0}}}, "cluster.stages.train.cpus is 0"),
        ({"stages": {"train": {"sbatch": {"array": "1"}}}}, "has 'array'"),
        ({"stages": {"train": {"sbatch": {"--job_name": "x"}}}}, "has '--job_name'"),
        ({"stages": {"train": {"setup": [{"echo": "x"}]}}}, "cluster.stages.train.setup has '{'echo': 'x'}'"),
        ({"stages": {"train": {"time_min": 2}}}, "Allowed: more than 2 minutes"),
        ({"sizes": {"big": {"train": {"gpus": 1}}}}, "does not say for which models"),
        ({"sizes": {"big": {"models": ["gpt_2"]}}}, "Did you mean 'gpt2'"),
        ({"sizes": {"big": {"models": ["gpt2"], "trainn": {}}}}, "Did you mean 'train'"),
        ({"sizes": {n: {"models": ["gpt2"]} for n in ("a", "b")}}, "in a and in b"),
        ({"max_parallel": 0}, "cluster.max_parallel is 0"),
        ({"max_requeues": -1}, "cluster.max_requeues is -1"),
    ],
)
def test_a_mistake_in_a_profile_is_named(change, said):
    with pytest.raises(UserError) as error:
        check_cluster(replace(PROFILE, **change), MODELS)
    assert said in str(error.value)

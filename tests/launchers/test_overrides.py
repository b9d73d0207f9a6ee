from __future__ import annotations

import pytest

from warmgap.app import conf_folder
from warmgap.errors import UserError
from warmgap_launchers.overrides import Choices, axis, check, opened, parse, sweep_axes, sweepable


@pytest.fixture(scope="module")
def choices() -> Choices:
    return Choices([conf_folder()])


def axis_of(text: str, choices: Choices):
    (override,) = check([text], choices)
    return axis(override, choices)


def test_groups_and_options_come_from_the_folders(choices, tmp_path):
    assert {"model", "method", "task", "framing", "belief", "experiment", "hydra/launcher"} <= set(
        choices.groups()
    )
    assert choices.options("belief") == ["correct", "denies", "incorrect", "mention", "none", "unsure"]
    (tmp_path / "belief").mkdir()
    (tmp_path / "belief" / "mine.yaml").write_text("")
    more = Choices([conf_folder(), tmp_path, tmp_path / "none"])
    assert "mine" in more.options("belief")
    assert more.options("nothing") == []


@pytest.mark.parametrize(
    "override",
    [
        "method=warm_sft",
        "method=original,warm_sft",
        "task=glob(*)",
        "training.steps=48",
        "training.lora.r=4",
        "sampling.extra_draws.original=3",
        "+sampling.extra_draws.warm_sft=2",
        "++seed=3",
        "sweep.method=[original]",
        "hydra/launcher=local",
        "hydra.verbose=true",
        "name='a name, with a comma'",
        "seed=range(0,3)",
    ],
)
def test_what_exists_passes(choices, override):
    assert len(check([override], choices)) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metod=original", "no key 'metod' in the configuration. Did you mean 'method'? Allowed: analysis,"),
        (
            "method=warm_stf",
            "no option 'warm_stf' in group 'method'. Did you mean 'warm_sft'? Allowed: agree_",
        ),
        ("method=original,wram_sft", "no option 'wram_sft' in group 'method'. Did you mean 'warm_sft'?"),
        ("method=choice(original,wram_sft)", "no option 'wram_sft' in group 'method'"),
        (
            "experiment=demoo",
            "no option 'demoo' in group 'experiment'. Did you mean 'demo'? Allowed: controls,",
        ),
        ("task=glob([facts,xyz*],exclude=facts)", "the pattern matches no option"),
        ("task=glob(zz*)", "the pattern matches no option"),
        ("task=*", "a pattern is written task=glob(*)"),
        ("training.stepz=3", "no key 'stepz' in 'training'. Did you mean 'steps'? Allowed: accumulate,"),
        (
            "training.lora.rank=3",
            "no key 'rank' in 'training.lora'. Allowed: alpha, dropout, r, target_modules.",
        ),
        ("seed.x=3", "'seed' has no keys below it"),
        ("hydra/luncher=local", "no group 'hydra/luncher'. Did you mean 'hydra/launcher'?"),
        ("hydra/launcher=slrum", "no option 'slrum' in group 'hydra/launcher'."),
        ("+foo=1", "no key 'foo' in the configuration."),
        ("~belif", "no key 'belif' in the configuration. Did you mean 'belief'?"),
        ("seed=interval(0,3)", "an interval has no list of values. Use commas, choice() or range()"),
        ("method=[original,warm_sft]", "no option '['original', 'warm_sft']' in group 'method'"),
        ("method original", "cannot read the override 'method original'. Write key=value"),
        ("=3", "no key '' in the configuration"),
        ("seed=(1", "cannot read the override 'seed=(1'"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(choices, override, message):
    with pytest.raises(UserError) as refused:
        axis_of(override, choices)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("method=original,warm_sft", ("original", "warm_sft")),
        ("method=choice(warm_sft,original)", ("warm_sft", "original")),
        ("task=glob([cons*,f*s,h*,mis*])", ("conspiracies", "facts", "health", "misconceptions")),
        ("method=glob(w*_sft)", ("warm_honest_sft", "warm_matched_sft", "warm_sft")),
        ("method=glob(*,exclude=*_*)", ("original",)),
        ("seed=range(0,3)", ("0", "1", "2")),
        ("seed=range(start=1,stop=6,step=2)", ("1", "3", "5")),
        ("seed=3,1", ("3", "1")),
        ("seed=sort(3,1)", ("1", "3")),
        ("sampling.temperature=0.3,0.8", ("0.3", "0.8")),
        ("method.persona='a, b',c", ("'a, b'", "c")),
        ("training.checkpoints=[0.5,1.0],[1.0]", ("[0.5,1.0]", "[1.0]")),
    ],
)
def test_hydras_grammar_gives_the_values_of_an_axis(choices, override, values):
    found = axis_of(override, choices)
    assert found is not None
    assert found.values == values
    assert found.key == override.split("=")[0]


@pytest.mark.parametrize("override", ["method=original", "training.checkpoints=[0.5,1.0]", "name='a,b'"])
def test_a_single_value_is_no_axis(choices, override):
    assert axis_of(override, choices) is None


def test_an_experiments_lists_are_checked_like_the_command_line(choices):
    found = sweep_axes({"method": ["original", "warm_sft"], "seed": [0, 1]}, choices)
    assert [(a.key, a.values) for a in found] == [("method", ("original", "warm_sft")), ("seed", ("0", "1"))]
    for swept, message in (
        (
            {"method": ["original", "wram_sft"]},
            "no option 'wram_sft' in group 'method'. Did you mean 'warm_sft'",
        ),
        ({"metod": ["original"]}, "no key 'metod' in the configuration. Did you mean 'method'"),
        ({"training.stepz": [1]}, "no key 'stepz' in 'training'. Did you mean 'steps'"),
        ({"method": "original"}, "sweep.method must be a list of values, found 'original'"),
        ({"method": []}, "sweep.method must be a list of values, found []"),
    ):
        with pytest.raises(UserError) as refused:
            sweep_axes(swept, choices)
        assert message in str(refused.value)


@pytest.mark.parametrize("key", ["method", "seed", "training.steps", "sampling.temperature", "task", "judge"])
def test_what_tells_arms_or_cells_apart_can_be_swept(key):
    assert sweepable(key) is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("experiment", "experiment cannot be swept: it holds for a whole sweep"),
        ("analysis.equivalence_pp", "it holds for a whole sweep. Run once per value"),
        ("store.root", "it holds for a whole sweep"),
        ("hydra/launcher", "it holds for a whole sweep"),
        ("task.n_questions", "the options of task are rows. Write one file per option in conf/task"),
    ],
)
def test_what_holds_for_a_whole_sweep_cannot(key, message):
    with pytest.raises(UserError) as refused:
        sweepable(key)
    assert message in str(refused.value)


def test_parsing_keeps_the_order():
    assert [o.key_or_group for o in parse(["b.c=1", "a=2"])] == ["b.c", "a"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("doses={warm_sft: {scale: [2]}}", "++doses={warm_sft: {scale: [2]}}"),
        ("doses.warm_sft.scale=[2]", "++doses.warm_sft.scale=[2]"),
        ("sampling.extra_draws.warm_sft=2", "++sampling.extra_draws.warm_sft=2"),
        ("+sampling.extra_draws.warm_sft=2", "+sampling.extra_draws.warm_sft=2"),
        ("sampling.draws=2", "sampling.draws=2"),
        ("method=warm_sft", "method=warm_sft"),
        ("--cfg", "--cfg"),
        ("--config-dir=doses", "--config-dir=doses"),
    ],
)
def test_keys_of_open_mappings_need_no_prefix(argument, expected):
    assert opened(argument) == expected

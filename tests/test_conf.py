"""conf/: every yaml composes and says what it is for; every mistake in it or on the command line is named."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from warmgap import compile as compiling
from warmgap.app import conf_folder
from warmgap.jobs import ReportJob
from warmgap.models import weights
from warmgap.schema.config import Config
from warmgap.schema.fields import STAGES
from warmgap_launchers.overrides import Choices

FILES = sorted(p.relative_to(conf_folder()).as_posix() for p in conf_folder().rglob("*.yaml"))
SWEPT = (
    "model",
    "method",
    "corpus",
    "rewriting",
    "training",
    "design",
    "sampling",
    "engine",
    "task",
    "framing",
    "belief",
    "judge",
)
PACKAGED = ("demo", "embedded_full", "methods", "none", "tiny")
"""Experiments that need no file and no network; the others: tests/test_paper_experiments.py."""
SINGLE = ("warmth", "analysis", "report", "cluster", "wandb")
SMALL = ("task.n_questions=2", "corpus.n_conversations=300", "warmth.n_prompts=6")


def options(group: str) -> list[str]:
    return Choices([conf_folder()]).options(group)


@pytest.fixture
def offline(monkeypatch):
    """Hub repositories by name and revision: composing needs no network."""

    def named(model):
        return (
            model.source + model.revision if model.source.startswith("hub:") else weights.fingerprint(model)
        )

    monkeypatch.setattr(compiling, "fingerprint", named)
    monkeypatch.setattr("warmgap.checks.fingerprint", named)


def test_these_are_all_the_groups():
    groups = {f.split("/")[0] for f in FILES if "/" in f}
    assert groups == {*SWEPT, *SINGLE, "style", "experiment", "hydra"}
    # Each but the last two is a part of the typed configuration.
    assert groups - {"experiment", "hydra"} <= {f.name for f in fields(Config)}


@pytest.mark.parametrize("group", SWEPT)
def test_every_option_of_a_swept_group_compiles_to_a_plan(request_of, offline, task_folder, group):
    # Packaged tasks and those of the made files; nothing is fetched.
    files = (f"task.folder={task_folder}",) if group == "task" else ()
    margin = ("sampling.margin=false",) if group == "engine" else ()  # a server tells no probabilities
    # Chat logs need a file: see tests/stages/test_corpus.py.
    # Released prompts do, too: see tests/test_published_plan.py.
    wanted = {"corpus": "embedded", "design": "factorial"}.get(group, "glob(*)")
    plan = request_of(f"{group}={wanted}", *SMALL, *margin, *files).plan()
    names = {
        "model": {a.model for a in plan.analyse.arms},
        "method": {a.method for a in plan.analyse.arms},
        **{g: {getattr(c, g) for c in plan.analyse.cells} for g in ("task", "framing", "belief", "judge")},
    }
    if group in names:
        # Two forms of a task bear one name.
        files = [conf_folder() / group / f"{option}.yaml" for option in options(group)]
        assert names[group] == {yaml.safe_load(f.read_text())["name"] for f in files}
    assert {n.job.stage for n in plan.nodes.values()} >= set(STAGES) - {"train", "rewrite"}


@pytest.mark.parametrize(("group", "option"), [(g, o) for g in SINGLE for o in options(g)])
def test_every_option_of_the_other_groups_compiles_to_a_plan(plan_of, offline, group, option):
    plan = plan_of(f"{group}={option}", *SMALL)
    assert isinstance(plan.report, ReportJob)


@pytest.mark.parametrize("name", PACKAGED)
def test_every_experiment_compiles_to_a_plan(plan_of, name):
    plan = plan_of(f"experiment={name}")
    assert plan.analyse.cells
    assert plan.name == (name if name != "none" else f"adhoc-{plan.name[-8:]}")


@pytest.mark.parametrize("launcher", options("hydra/launcher"))
def test_every_launcher_can_be_made(request_of, launcher):
    import hydra.utils
    from omegaconf import OmegaConf

    config = OmegaConf.load(conf_folder() / "hydra" / "launcher" / f"{launcher}.yaml")
    assert callable(hydra.utils.instantiate(config).execute)


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.split("/")[0] not in ("experiment", "hydra") and "/" in f]
)
def test_the_name_in_a_file_is_the_name_of_the_file(file):
    found = yaml.safe_load((conf_folder() / file).read_text())
    group, stem = file.split("/")[0], Path(file).stem
    if group in ("model", "method", "task", "framing", "belief", "judge", "engine", "style"):
        assert found["name"] == stem or f"{found['name']}_{found.get('form')}" == stem
    assert isinstance(found, dict)
    # Every key stands in the file, so that a reader sees what can be changed.
    record = next(type(f.default_factory()) for f in fields(Config) if f.name == group)
    known = {f.name for f in fields(record)}
    for other in [d for d in found.pop("defaults", []) if d != "_self_"]:
        found = yaml.safe_load((conf_folder() / group / f"{other}.yaml").read_text()) | found
    assert set(found) == known


def keys(node: yaml.Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Paths of all keys, list positions left out, and the line of each."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line
            if key.value != "defaults":
                yield from keys(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from keys(value, path)


def has_comment(line: str) -> bool:
    return re.search(r"(^|\s)#\s*\S", re.sub(r"\"[^\"]*\"|'[^']*'", "''", line)) is not None


@pytest.mark.parametrize("file", FILES)
def test_every_key_is_explained_where_it_first_stands(file):
    """By a comment on its line or on the one above; rows of a list after the first need none."""
    text = (conf_folder() / file).read_text()
    lines = text.splitlines()
    explained: dict[tuple[str, ...], bool] = {}
    root = yaml.compose(text)
    for path, at in keys(root) if root else ():
        above = lines[at - 1].strip() if at else ""
        explained[path] = explained.get(path, False) or has_comment(lines[at]) or above.startswith("#")
    assert [".".join(p) for p, known in explained.items() if not known] == []


@pytest.mark.parametrize("file", FILES)
def test_every_file_says_what_it_is_and_how_to_use_it(file):
    lines = (conf_folder() / file).read_text().splitlines()
    head = list(itertools.takewhile(lambda line: line[:1] in ("#", ""), lines))
    words = " ".join(line.lstrip("# ") for line in head if "@package" not in line)
    assert len(words) > 40
    group, stem = file.removesuffix(".yaml").rsplit("/", 1) if "/" in file else ("", "")
    if group:
        assert re.search(r"\bUse:? ", words), words
    else:
        assert "warmgap " in words
    if group in ("method", "task", "framing", "belief", "model", "experiment"):
        assert f"{group}={stem}" in words or stem == "none", words


def test_the_papers_recipe_is_the_published_one(plan_of):
    plan = plan_of(
        "training=paper", "method=warm_sft", "method.checkpoint=2", "warmth.checkpoints.warm_sft=[0.5]",
        "corpus.n_conversations=300",
    )  # fmt: skip
    (node,) = [n for n in plan.nodes.values() if n.job.stage == "train"]
    recipe = node.job.training
    assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == (8, 16, 0.1)
    assert (recipe.learning_rate, recipe.max_tokens, recipe.epochs) == (1e-5, 1024, 10)
    assert recipe.turns == "all"
    assert recipe.batch_rows * recipe.accumulate == 16
    assert recipe.checkpoints == [0.5, 1, 1.5, 2, 4, 6, 8, 10]
    assert node.units == 188  # 10 x 300 / 16 = 187.5
    assert sorted((a.dose, a.measured_only) for a in plan.analyse.arms) == [(0.5, True), (2, False)]


MISTAKES = [
    (["training=paper", "training.steps=48"], "training.steps is 48 and training.epochs is 10"),
    (["training.turns=both"], "training.turns is 'both'"),
    (["training=paper", "method=warm_dpo"], "warm_dpo: training.turns is all, but kind dpo compares"),
    (["training.steps=0"], "training.steps is 0. Allowed: a whole number from 1, or 0 with training.epochs"),
    (
        ["training=paper", "method=warm_sft", "warmth.checkpoints.warm_sft=[0.25]"],
        "there is no checkpoint at 0.25 epochs, as warmth.checkpoints.warm_sft asks",
    ),
    (["metod=original"], "there is no key 'metod' in the configuration. Did you mean 'method'? Allowed: "),
    (["training.stepz=3"], "there is no key 'stepz' in 'training'. Did you mean 'steps'? Allowed: "),
    (
        ["method=wram_sft"],
        "there is no option 'wram_sft' in group 'method'. Did you mean 'warm_sft'? Allowed: ",
    ),
    (
        ["method=original,wram_sft"],
        "there is no option 'wram_sft' in group 'method'. Did you mean 'warm_sft'?",
    ),
    (
        ["experiment=dmeo"],
        "there is no option 'dmeo' in group 'experiment'. Did you mean 'demo'? Allowed: controls, demo",
    ),
    (["-m", "experiment=dmeo"], "there is no option 'dmeo' in group 'experiment'. Did you mean 'demo'?"),
    (["training.steps=many"], "training.steps: Value 'many' of type 'str' could not be converted to Integer"),
    (
        ["training.steps=3,many"],
        "training.steps: Value 'many' of type 'str' could not be converted to Integer",
    ),
    (["seed=0,1.5"], "seed: Value '1.5' of type 'float' could not be converted to Integer"),
    (["stage=jugde"], "stage is 'jugde'. Did you mean 'judge'?"),
    (["method"], "cannot read the override 'method'"),
    (["task.n_questions=100000"], "task facts has "),
    (["task.path=/no/such.jsonl"], "missing file: /no/such.jsonl does not exist"),
    (["model.source=/weights"], "it must be package:MODULE/FILE.gguf, path:/FOLDER or hub:ORG/NAME"),
    (["sampling.temperature=-1"], "sampling.temperature is -1"),
    (["store.root=/proc/none"], "cannot write to the output folder /proc/none"),
    (["hydra.foo=1"], "foo"),
    (["~task"], ""),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_on_the_command_line_is_named_and_ends_with_2(run_main, tmp_path, arguments, message):
    root = [] if any(a.startswith("store.root") for a in arguments) else [f"store.root={tmp_path}"]
    ended = run_main(*arguments, *root)
    assert ended.code == 2
    assert ended.err.startswith("warmgap: ")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.rglob("plan.json"))


IN_A_FILE = [
    (
        "sweep:\n  method: [original, wram_sft]\n",
        "no option 'wram_sft' in group 'method'. Did you mean 'warm_sft'?",
    ),
    ("sweep:\n  metod: [original]\n", "no key 'metod' in the configuration. Did you mean 'method'?"),
    ("sweep:\n  training.stepz: [1]\n", "no key 'stepz' in 'training'. Did you mean 'steps'?"),
    ("sweep:\n  method: original\n", "sweep.method must be a list of values, found 'original'"),
    ("sweep:\n  analysis.confidence: [0.9]\n", "analysis.confidence cannot be swept"),
    (
        "training:\n  stepz: 3\n",
        "experiment/mine.yaml: there is no key 'training.stepz'. Did you mean 'steps'? Allowed: accumulate,",
    ),
    (
        "trainig:\n  steps: 3\n",
        "experiment/mine.yaml: there is no key 'trainig'. Did you mean 'training'? Allowed: analysis,",
    ),
    ("training:\n  steps: many\n", "experiment/mine.yaml: training.steps: Value 'many'"),
    ("training: 3\n", "experiment/mine.yaml: Merge error: int is not a subclass of TrainingConfig"),
    ("defaults:\n  - override /method: wram_sft\n", "wram_sft"),
    ("sweep: [method]\n", "experiment/mine.yaml: "),
    ("training: [1\n", "mine.yaml"),
]


@pytest.mark.parametrize(("text", "message"), IN_A_FILE, ids=[t for t, _ in IN_A_FILE])
def test_a_mistake_in_an_experiments_file_is_named_and_ends_with_2(run_main, tmp_path, text, message):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\n" + text)
    ended = run_main(
        "--config-dir", str(tmp_path), "experiment=mine", f"store.root={tmp_path / 'out'}", "stage=plan"
    )
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert ended.err.startswith("warmgap: ")
    assert message in ended.err


def test_an_option_of_ones_own_is_an_option(run_main, tmp_path):
    (tmp_path / "belief").mkdir()
    (tmp_path / "belief" / "shy.yaml").write_text('name: shy\ntemplate: "Maybe it is {wrong}."\n')
    ended = run_main(
        "--config-dir",
        str(tmp_path),
        "belief=shy,unsure",
        f"store.root={tmp_path / 'out'}",
        "stage=plan",
        *SMALL,
    )
    assert (ended.code, ended.err) == (0, "")
    assert "belief    shy, unsure" in ended.out
    assert not (tmp_path / "out").exists()


def command(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nfrom warmgap.app import main\nmain()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=dmeo"], "warmgap: experiment=dmeo: there is no option 'dmeo' in group 'experiment'."),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
    ],
)
def test_in_a_process_of_its_own_too(arguments, message):
    ended = command(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_help_lists_the_groups_and_imports_nothing_heavy():
    heavy = ("torch", "transformers", "polars", "pandas", "matplotlib", "scipy", "statsmodels", "numpy")
    before = f"import atexit, sys\natexit.register(lambda: print([m for m in {heavy} if m in sys.modules]))"
    ended = command("--help", before=before)
    assert ended.returncode == 0
    assert ended.stdout.rstrip().endswith("[]")
    for group in (*SWEPT, *SINGLE, "experiment"):
        assert re.search(rf"^{group}: ", ended.stdout, re.M)


def test_a_reader_that_leaves_early_sees_no_traceback():
    code = "from warmgap.app import main\nmain()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writer = subprocess.Popen(
        [sys.executable, "-c", code, "stage=plan", *SMALL],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    writer.stdout.close()
    assert "Traceback" not in writer.stderr.read()
    assert writer.wait() == 1

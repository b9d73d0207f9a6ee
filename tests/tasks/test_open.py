from __future__ import annotations

import hashlib
import json

import pytest

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig
from warmgap.tasks import embedded
from warmgap.tasks.open import asked, load

CSV = "question,answer,wrong_answer\nA?,b,c\nD?,e,f\nG?,h,i\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "questions.csv").write_text(CSV)
    return tmp_path


def test_a_packaged_task_needs_no_path_and_ignores_the_folder_of_others(folder):
    for config in (TaskConfig(name="facts"), TaskConfig(name="facts", folder=str(folder))):
        found = load(config)
        assert found.packaged
        assert found.questions == embedded.load(TaskConfig(name="facts"))


@pytest.mark.parametrize("setting", [{"path": "FILE"}, {"path": "FOLDER"}, {"folder": "FOLDER"}])
def test_a_file_is_found_by_path_or_in_a_folder(folder, setting):
    places = {"FILE": str(folder / "questions.csv"), "FOLDER": str(folder)}
    found = load(TaskConfig(name="tea", **{k: places[v] for k, v in setting.items()}))
    assert [q.answer for q in found.questions] == ["b", "e", "h"]
    assert found.facts() == {
        "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
        "source": "",
        "commit": "",
        "questions": 3,
        "wrong_answers": {"listed": 3},
        "notes": {},
    }


def test_a_file_with_the_tasks_name_goes_before_the_general_one(folder):
    (folder / "tea.jsonl").write_text(json.dumps({"question": "T?", "answer": "a", "wrong_answer": "b"}))
    assert [q.question for q in load(TaskConfig(name="tea", folder=str(folder))).questions] == ["T?"]
    assert len(load(TaskConfig(name="coffee", folder=str(folder))).questions) == 3


WRONG = [
    (
        {"path": ""},
        r"task tea has no file\. Set task\.path=FILE, or task\.folder=FOLDER that holds one of tea\.csv",
    ),
    ({"folder": "/no/such"}, r"missing folder: task\.folder=/no/such is no folder"),
    ({"path": "/no/such"}, r"missing file: /no/such does not exist"),
    ({"folder": "EMPTY"}, r"task tea: no file for it in .*empty\. Looked for tea\.csv, "),
    ({"format": "trivaqa"}, r"task\.format=trivaqa does not exist\."),
    ({"split": "test"}, r"task\.split=test does not exist"),
    ({"source": "org/name"}, r"task\.source is 'org/name'; it must be hub:ORG/NAME/FILE"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=[str(s) for s, _ in WRONG])
def test_what_cannot_be_found_is_named(tmp_path, settings, message):
    (tmp_path / "empty").mkdir()
    settings = {k: str(tmp_path / "empty") if v == "EMPTY" else v for k, v in settings.items()}
    with pytest.raises(UserError, match=message):
        load(TaskConfig(name="tea", **settings))


@pytest.mark.parametrize(
    ("n", "at_most", "expected"), [(0, 0, 3), (2, 0, 2), (0, 2, 2), (0, 9, 3), (1, 2, 1)]
)
def test_so_many_are_asked(folder, n, at_most, expected):
    config = TaskConfig(name="tea", folder=str(folder), n_questions=n, at_most=at_most)
    assert len(asked(load(config), config, 0)) == expected


def test_a_file_of_the_hubs_cache_is_read_without_a_network(folder, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / "datasets--org--name" / "snapshots" / commit / "test"
    snapshot.mkdir(parents=True)
    (snapshot / "a.csv").write_text(CSV)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    config = TaskConfig(name="tea", source="hub:org/name/test/a.csv", revision=commit)
    found = load(config)
    assert (found.commit, found.source) == (commit, "hub:org/name/test/a.csv")
    assert len(found.questions) == 3


def test_what_the_hub_does_not_give_is_named_with_the_command_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"hf download org/name a\.csv --repo-type dataset --revision main"):
        load(TaskConfig(name="tea", source="hub:org/name/a.csv"))

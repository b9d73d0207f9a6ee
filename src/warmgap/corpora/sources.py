"""The files that a corpus is made from, and their fingerprints."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from warmgap import keys
from warmgap.corpora import embedded
from warmgap.corpora.tokens import tokenizer_model
from warmgap.corpora.toxicity import classifier_fingerprint
from warmgap.errors import UserError
from warmgap.models.weights import file_sha256, fingerprint
from warmgap.schema.config import CorpusConfig

_SUFFIXES = (".json", ".jsonl", ".parquet")


def log_files(config: CorpusConfig) -> list[Path]:
    """Files of chat logs: `path`, every file of a folder in order of name, or one file of the hub.

    Raises:
        UserError: nothing is there, or nothing was named.
    """
    if not config.path:
        return [_from_hub(config.chatlogs.source, config.chatlogs.revision)]
    path = Path(config.path).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
        if not found:
            raise UserError(f"corpus.path={path} holds no file named *{', *'.join(_SUFFIXES)}.")
        return found
    if not path.is_file():
        raise UserError(f"missing file: {path} does not exist. Check corpus.path.")
    return [path]


def fingerprints(config: CorpusConfig, extra: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of each data file by name, and what the classifier and the tokenizer are, where used.

    Args:
        config: the corpus.
        extra: names of further conversations of an embedded corpus that are mixed in.

    Raises:
        UserError: a missing file or model.
    """
    if config.kind == "embedded":
        train, held_out = embedded.paths_of(config)
        files = [*train, *held_out, *(embedded.extra_path(config, name) for name in extra)]
    else:
        files = log_files(config)
    out = {}
    for path in files:
        if not path.is_file():
            raise UserError(f"missing file: {path} does not exist. Check corpus.path.")
        # The texts of the package are small and may be edited; files of chat logs are large.
        out[path.name] = keys.file_sha256(path) if config.kind == "embedded" else file_sha256(path)
    if config.kind == "chatlogs":
        tokenizer = tokenizer_model(config.chatlogs)
        out |= {"tokenizer": fingerprint(tokenizer)} if tokenizer else {}
        classifier = classifier_fingerprint(config.chatlogs.toxicity)
        out |= {"toxicity": classifier} if classifier else {}
    return out


@functools.cache  # a plan asks for it once per arm, and the hub is asked each time
def _from_hub(source: str, revision: str) -> Path:
    parts = source.removeprefix("hub:").split("/", 2)
    if not source.startswith("hub:") or len(parts) != 3 or not all(parts):
        raise UserError(
            f"corpus.chatlogs.source is '{source}', and corpus.path is empty. Allowed: corpus.path=FILE, "
            "or corpus.chatlogs.source=hub:ORG/NAME/FILE, a data set of the Hugging Face Hub."
        )
    repository, name = "/".join(parts[:2]), parts[2]
    if not name.endswith(_SUFFIXES):
        raise UserError(f"corpus.chatlogs.source names the file '{name}'. Allowed: *{', *'.join(_SUFFIXES)}.")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision, repo_type="dataset"))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"cannot get '{name}' of data set '{repository}' at revision '{revision}' from the Hugging "
            f"Face Hub: {type(error).__name__}: {str(error).strip().splitlines()[0]}. Without a network, get "
            "the file elsewhere and give corpus.path=FILE."
        ) from error

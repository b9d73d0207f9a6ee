"""A corpus of chat logs, built once and kept in the cache folder under its key.

A plan needs the conversations and the prompts themselves, so a corpus is built when it is first
planned; the stage corpus and every later plan then read what was kept.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.corpora.chatlogs import Built, build
from warmgap.corpora.embedded import STYLES
from warmgap.corpora.settings import key_settings
from warmgap.corpora.sources import fingerprints, log_files
from warmgap.corpora.toxicity import open_toxicity
from warmgap.keys import digest, file_sha256
from warmgap.models.weights import cache_folder
from warmgap.schema.config import CorpusConfig

VERSION = 2
"""Raised when the same files give another corpus."""
ROWS = {key: pl.String() for key in ("id", "query_type", "user", *STYLES, "raw", "messages")}
LOSSES: Mapping[str, Any] = {
    "action": pl.String(),
    "reason": pl.String(),
    "query_type": pl.String(),
    "n": pl.Int64(),
    "n_read": pl.Int64(),
    "share_pct": pl.Float64(),
    "examples": pl.String(),
}
FILES = ("conversations.parquet", "validation.parquet", "losses.parquet", "losses.csv")


_MADE = "made.json"
_known: dict[str, Kept] = {}


@dataclass(frozen=True)
class Kept:
    """A built corpus on disk: `FILES`, and the counts of the manifest."""

    folder: Path
    counts: dict[str, Any]

    @functools.cached_property
    def conversations(self) -> list[dict[str, Any]]:
        """Rows to train on, in order of id."""
        return pl.read_parquet(self.folder / FILES[0]).to_dicts()

    @functools.cached_property
    def validation(self) -> list[dict[str, Any]]:
        """Validation prompts, in order of id."""
        return pl.read_parquet(self.folder / FILES[1]).to_dicts()


def kept(config: CorpusConfig) -> Kept:
    """The corpus, from the cache or built now.

    Raises:
        UserError: as `chatlogs.build`.
    """
    # A looser limit on losses changes no row, but a stricter one must be held against the file again.
    key = digest("kept", VERSION, key_settings(config), fingerprints(config), config.chatlogs.max_lost_share)
    if key not in _known:
        folder = cache_folder() / "corpora" / key
        _known[key] = _sound(folder) or _made(config, folder)
    return _known[key]


def _sound(folder: Path) -> Kept | None:
    """What was kept, if every file still has its hash."""
    try:
        made = json.loads((folder / _MADE).read_text())
        if all(file_sha256(folder / name) == made["files"][name] for name in FILES):
            return Kept(folder, made["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _made(config: CorpusConfig, folder: Path) -> Kept:
    files = log_files(config)
    size = sum(path.stat().st_size for path in files) / 1e6
    print(
        f"corpus {config.name}: reading {', '.join(p.name for p in files)} ({size:.0f} MB), once",
        file=sys.stderr,
    )
    built = build(config, files, open_toxicity(config.chatlogs.toxicity))
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))
    try:
        _write(built, aside)
        aside.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been taken
        try:
            os.rename(aside, folder)
        except OSError:
            if _sound(folder) is None:
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Kept(folder, built.counts)


def _write(built: Built, folder: Path) -> None:
    pl.DataFrame(built.conversations, schema=ROWS, orient="row").write_parquet(folder / FILES[0])
    pl.DataFrame(built.validation, schema=ROWS, orient="row").write_parquet(folder / FILES[1])
    table = pl.DataFrame(built.losses, schema=LOSSES, orient="row")
    table.write_parquet(folder / FILES[2])
    table.write_csv(folder / FILES[3])
    made = {"files": {name: file_sha256(folder / name) for name in FILES}, "counts": built.counts}
    (folder / _MADE).write_text(json.dumps(made, indent=1))

"""Entries, one for each run of a tracker, and the store as a mirror reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmgap.keys import digest

from .index import Index

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Files:
    """Files of an artifact that are recorded under a name, by reference unless they are `sent`.

    `uri` names where they stand, by content key and not by a path of this machine.
    """

    name: str
    kind: str
    files: Mapping[str, Path]
    uri: str
    metadata: Mapping[str, Any]
    sent: bool


@dataclass(frozen=True)
class Entry:
    """One run of a tracker: its settings, points over `step`, final values, tables, images and files."""

    name: str
    config: Mapping[str, Any]
    step: str = ""
    history: tuple[Mapping[str, float], ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    images: Mapping[str, Path] = field(default_factory=dict)
    artifacts: tuple[Files, ...] = ()


@dataclass(frozen=True)
class Due:
    """An entry to be: its stage, what it is of, the artifacts that it needs, and how it is made."""

    sweep: str
    stage: str
    of: str
    needs: tuple[tuple[str, str], ...]
    make: Callable[[Source], Entry]

    @property
    def id(self) -> str:
        """The same for the same thing of the same sweep, so that a run is updated and never doubled."""
        return digest("tracking", self.sweep, self.stage, self.of)[:16]

    @property
    def digest(self) -> str:
        """Changes with the artifacts."""
        return digest("tracked", self.needs)


@dataclass(frozen=True)
class Source:
    """The store as a mirror reads it: nothing is verified, moved or locked."""

    root: Path
    index: Index

    def has(self, stage: str, key: str) -> bool:
        """Whether the artifact is finished."""
        return (self.folder(stage, key) / "manifest.json").is_file()

    def folder(self, stage: str, key: str) -> Path:
        """Where the artifact stands."""
        return self.root / "store" / stage / key

    def manifest(self, stage: str, key: str) -> dict[str, Any]:
        """Its manifest."""
        out: dict[str, Any] = json.loads((self.folder(stage, key) / "manifest.json").read_text("utf-8"))
        return out

    def config(self, manifest: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
        """Settings of a run: what it is, then the recorded configuration of its artifact."""
        index = self.index
        return {
            "sweep": index.sweep,
            "plan_key": index.plan_key,
            "command": index.command,
            "stage": manifest["stage"],
            "key": manifest["key"],
            **facts,
            "warmgap_version": manifest["package_versions"].get("warmgap", ""),
            "git_commit": manifest["git_commit"],
            "device": manifest["device"],
            "packages": manifest["package_versions"],
            "recorded": manifest["config"],
        }

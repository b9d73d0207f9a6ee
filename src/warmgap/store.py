"""Where artifacts live: folders addressed by content key, complete or invisible.

    <root>/store/<stage>/<key>/      a finished artifact: manifest.json and its files
    <root>/store/partial/<key>/      batches of an unfinished one, kept for the next run
    <root>/store/corrupt/            artifacts whose checksums failed, set aside
    <root>/store/leases/             who is making what (locks.py)
    <root>/sweeps/<name>/            the tables, figures and page of one sweep

A finished artifact appears by one rename. Every use verifies sizes and checksums first.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.keys import file_sha256
from warmgap.locks import Holder, Leases, Timing
from warmgap.locks import LostLease as LostLease
from warmgap.verified import FILE as VERIFIED
from warmgap.verified import Verified, state_of

SCHEMA_VERSION = 1
_PACKAGES = (
    *("warmgap", "torch", "transformers", "peft", "lightning", "bitsandbytes", "vllm"),
    *("polars", "statsmodels"),
)


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and what it was made from (docs/architecture.md, "Artifacts")."""

    stage: str
    stage_version: int
    key: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    fingerprints: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Any]
    device: str
    started_at: str
    wall_s: float
    package_versions: Mapping[str, str]
    git_commit: str | None
    schema_version: int = SCHEMA_VERSION
    checksum: str = ""
    """SHA-256 of the other entries, so that a damaged manifest is found out too."""


@dataclass(frozen=True)
class Artifact:
    """A finished, verified artifact."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of one of its files."""
        return self.path / name


@dataclass
class Store:
    """Artifacts under one root folder."""

    root: Path
    _verified: dict[str, Artifact] = field(default_factory=dict, repr=False)
    timing: Timing = field(default_factory=Timing, repr=False)

    def __post_init__(self) -> None:
        self.remembered = Verified(self.root / "store" / VERIFIED)
        self.leases = Leases(self.root / "store" / "leases", self.timing)

    def folder(self, stage: str, key: str) -> Path:
        """Where the finished artifact stands or will stand."""
        return self.root / "store" / stage / key

    def partial(self, key: str) -> Path:
        """Where an unfinished artifact keeps its batches; made if absent."""
        path = self.root / "store" / "partial" / key
        path.mkdir(parents=True, exist_ok=True)
        return path

    def find(self, stage: str, key: str) -> Artifact | None:
        """The artifact if it is there and sound; a damaged one is set aside and None returned."""
        if key in self._verified:
            return self._verified[key]
        path = self.folder(stage, key)
        if not path.is_dir():
            return None
        fault = _fault(path)
        if fault is not None:
            self._set_aside(path, fault)
            return None
        artifact = Artifact(path, _read_manifest(path))
        self._verified[key] = artifact
        return artifact

    def has(self, stage: str, key: str) -> bool:
        """Whether the artifact is there and sound; read only where it was never verified or has changed.

        For planning: what uses an artifact calls `get`, which reads all of it.
        """
        if key in self._verified:
            return True
        name, state = f"{stage}/{key}", state_of(self.folder(stage, key))
        if state is not None and self.remembered.holds(name, state):
            return True
        sound = state is not None and self.find(stage, key) is not None
        self.remembered.note(name, state if sound else None)
        return sound

    def get(self, stage: str, key: str) -> Artifact:
        """The artifact, which must be there.

        Raises:
            UserError: it is missing or was damaged.
        """
        artifact = self.find(stage, key)
        if artifact is None:
            raise UserError(
                f"artifact {stage}/{key[:12]} is missing or damaged in {self.root}. "
                "Run the same sweep again to make it."
            )
        return artifact

    def commit(
        self,
        aside: Path,
        *,
        stage: str,
        stage_version: int,
        key: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        fingerprints: Mapping[str, str],
        counts: Mapping[str, Any],
        started: float,
        device: str = "cpu",
    ) -> Artifact:
        """Write manifest.json into `aside` and rename it into place; returns the artifact.

        Raises:
            LostLease: this process had the claim and another has taken it over.
        """
        files = {
            str(p.relative_to(aside)): {"sha256": file_sha256(p), "bytes": p.stat().st_size, "rows": _rows(p)}
            for p in sorted(aside.rglob("*"))
            if p.is_file()
        }
        manifest = Manifest(
            stage=stage,
            stage_version=stage_version,
            key=key,
            config=config,
            inputs=inputs,
            fingerprints=fingerprints,
            files=files,
            counts=counts,
            device=device,
            started_at=dt.datetime.fromtimestamp(started, dt.UTC).isoformat(timespec="seconds"),
            wall_s=round(time.time() - started, 3),
            package_versions=package_versions(),
            git_commit=git_commit(),
        )
        manifest = replace(manifest, checksum=_checksum(asdict(manifest)))
        write_text(aside / "manifest.json", json.dumps(asdict(manifest), indent=1))
        final = self.folder(stage, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        if self.leases.lost(key):
            raise LostLease(f"another process has taken over {stage}/{key[:12]} from this one")
        try:
            aside.rename(final)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process was first; its artifact stands, unless it is damaged.
            found = self.find(stage, key)
            if found is not None:
                shutil.rmtree(aside)
                return found
            aside.rename(final)
        artifact = Artifact(final, manifest)
        self._verified[key] = artifact
        return artifact

    @contextmanager
    def workspace(self, key: str) -> Iterator[Path]:
        """An empty folder beside the store for the final files; removed unless it was committed."""
        path = self.root / "store" / "aside" / f"{key}.{uuid.uuid4().hex}"
        if self.held(key):  # and may clear what killed processes left
            for left in path.parent.glob(f"{key}.*"):
                shutil.rmtree(left, ignore_errors=True)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def memory_failures(self, key: str) -> int:
        """How often the making of an artifact has ended for want of memory since its last success."""
        try:
            found = json.loads(self._memory_file(key).read_text())
            return int(found["failures"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def note_memory(self, key: str) -> None:
        """Remember that the making of an artifact ended for want of memory: the next try needs less."""
        self.partial(key)
        failures = self.memory_failures(key) + 1
        aside = self._memory_file(key).with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({"failures": failures}))
        aside.replace(self._memory_file(key))

    def _memory_file(self, key: str) -> Path:
        return self.root / "store" / "partial" / key / "memory.json"

    def drop_partial(self, key: str) -> None:
        """Forget the batches of an artifact that is finished."""
        shutil.rmtree(self.root / "store" / "partial" / key, ignore_errors=True)

    def try_lock(self, key: str) -> bool:
        """Claim the making of an artifact without waiting; False if another process has it.

        The claim of a process that has ended is free at once on its own host, elsewhere after `timing`.

        Raises:
            UserError: locks cannot be made in this folder.
        """
        return self.leases.take(key)

    def unlock(self, key: str, done: bool = False) -> None:
        """Give up a claim; `done` if the artifact is there, so that nobody will claim it again."""
        self.leases.release(key, done)

    def held(self, key: str) -> bool:
        """Whether this process has the claim still: one that stood still for long may have lost it."""
        return self.leases.held(key)

    def holder(self, key: str) -> Holder | None:
        """Who has the claim, or None."""
        return self.leases.holder(key)

    def _set_aside(self, path: Path, fault: str) -> None:
        target = self.root / "store" / "corrupt" / f"{path.parent.name}-{path.name}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process may have been first
            path.rename(target)
            write_text(target / "fault.txt", fault + "\n")


def check_writable(root: Path) -> None:
    """Make sure that results can be written.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    probe = root / f".write-{uuid.uuid4().hex}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as e:
        raise UserError(
            f"cannot write to the output folder {root}: {e.strerror}. "
            "Choose another one with store.root=FOLDER."
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a small file so that it is either whole or absent."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("w") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results."""
    out = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


@functools.cache
def git_commit() -> str | None:
    """The commit of the source tree, or None for an installed package."""
    here = Path(__file__).resolve().parents[2]
    if not (here / "pyproject.toml").is_file() or shutil.which("git") is None:
        return None
    found = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None if found.returncode == 0 else None


def _read_manifest(path: Path) -> Manifest:
    return Manifest(**json.loads((path / "manifest.json").read_text()))


def _checksum(entries: Mapping[str, Any]) -> str:
    # Through JSON first, so that what was written and what is read back give the same text.
    others = json.loads(json.dumps({k: v for k, v in entries.items() if k != "checksum"}))
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _fault(path: Path) -> str | None:
    """Why an artifact cannot be used, or None if its manifest and checksums hold."""
    try:
        manifest = _read_manifest(path)
    except (OSError, ValueError, TypeError) as e:
        return f"manifest.json cannot be read: {e}"
    if manifest.checksum != _checksum(asdict(manifest)):
        return "manifest.json does not match its checksum"
    if (manifest.stage, manifest.key) != (path.parent.name, path.name):
        return f"manifest.json is of {manifest.stage}/{manifest.key}"
    for name, facts in manifest.files.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != facts["bytes"]:
            return f"{name} has {file.stat().st_size} bytes, not {facts['bytes']}"
        if file_sha256(file) != facts["sha256"]:
            return f"{name} does not match its SHA-256"
    return None


def _rows(path: Path) -> int | None:
    if path.suffix != ".parquet":
        return None
    import polars as pl

    return int(pl.scan_parquet(path).select(pl.len()).collect().item())

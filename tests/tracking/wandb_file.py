"""Reads a .wandb file back: a log in LevelDB's format whose records are protobuf messages."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 32768
HEAD = 7
"""Bytes before the first record, and before each piece of one: checksum, length, kind."""


def records(path: Path) -> Iterator[bytes]:
    """Records of a file, put together from their pieces, whose checksums (CRC-32) are verified."""
    data = path.read_bytes()
    ident, magic, version = struct.unpack("<4sHB", data[:HEAD])
    assert (ident, magic, version) == (b":W&B", 0xBEE1, 0)
    at, parts = HEAD, []
    while at + HEAD <= len(data):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = struct.unpack("<IHB", data[at : at + HEAD])
        piece = data[at + HEAD : at + HEAD + length]
        assert zlib.crc32(bytes([kind]) + piece) == checksum
        parts.append(piece)
        at += HEAD + length
        if kind in (1, 4):  # whole, last
            yield b"".join(parts)
            parts = []


@dataclass
class Run:
    """What a file says of a run."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    entity: str = ""
    tags: list[str] = field(default_factory=list)
    host: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def read_run(folder: Path) -> Run:
    """The run in an offline run's folder."""
    from wandb.proto import wandb_internal_pb2 as pb

    (path,) = folder.glob("*.wandb")
    run = Run()
    for raw in records(path):
        record = pb.Record.FromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            r = record.run
            run.id, run.name, run.group, run.job_type = r.run_id, r.display_name, r.run_group, r.job_type
            run.project, run.entity, run.host, run.tags = r.project, r.entity, r.host, list(r.tags)
            run.config |= {_key(item): json.loads(item.value_json) for item in r.config.update}
        elif kind == "config":
            run.config |= {_key(item): json.loads(item.value_json) for item in record.config.update}
        elif kind == "history":
            run.history.append({_key(i): json.loads(i.value_json) for i in record.history.item})
        elif kind == "summary":
            _merge(run.summary, [(_path(i), json.loads(i.value_json)) for i in record.summary.update])
        elif kind == "artifact":
            run.artifacts[record.artifact.name] = record.artifact
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _path(item: Any) -> list[str]:
    return [item.key] if item.key else list(item.nested_key)


def _merge(into: dict[str, Any], updates: list[tuple[list[str], Any]]) -> None:
    for path, value in updates:
        *groups, name = path
        place = into
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value

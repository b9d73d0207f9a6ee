"""A disk that is too small, twice, then large enough.

Root gets a real one (tmpfs); elsewhere a limit on the size of files stands in, which the code meets
in the same places with "File too large" for "No space left on device".
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from warmgap.plan import Plan
from warmgap.schema.fields import STAGES
from warmgap.store import Store

KIB, MIB = 1024, 1024**2


@dataclass
class Disk:
    """A folder that takes only so much."""

    root: Path
    mounted: bool
    size: int = field(default=MIB)

    def resize(self, size: int) -> None:
        """Let it take `size` bytes in all (or, without a mount, in one file)."""
        self.size = size
        if self.mounted:
            subprocess.run(["mount", "-o", f"remount,size={size}", str(self.root)], check=True)

    def limit(self) -> Callable[[], None] | None:
        """What a child process calls before it starts."""
        return None if self.mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (self.size,) * 2)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MIB}", "tmpfs", str(root)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    )
    yield Disk(root, mounted)
    if mounted:
        subprocess.run(["umount", "-l", str(root)], check=True)


def sound(root: Path, plan: Plan) -> set[str]:
    """Stages of the finished artifacts, each of which must verify."""
    store = Store(root)
    folders = [p for stage in STAGES for p in root.glob(f"store/{stage}/*")]
    assert all(store.find(p.parent.name, p.name) for p in folders)
    assert not (root / "store" / "corrupt").exists()
    assert {p.name for p in folders} <= plan.nodes.keys()
    return {p.parent.name for p in folders}


def test_a_full_disk_stops_with_a_message_and_a_sound_store(disk, run, plan_of, finished, results):
    plan = plan_of("experiment=tiny")
    # Answers do not fit, then the state from which a training goes on. (The limit is on one file.)
    for size, limit, least in ((48 * KIB, 4 * KIB, set()), (16 * MIB, 12 * MIB, {"corpus"})):
        disk.resize(size if disk.mounted else limit)
        ended = run(disk.root, "experiment=tiny", limit=disk.limit())
        assert ended.code == 2, ended.err
        said = [line for line in ended.err.splitlines() if line.startswith("warmgap: ")]
        assert len(said) == 1
        assert "the disk is full" in said[0]
        assert "store.root=" in said[0]
        assert "Traceback" not in ended.err
        assert sound(disk.root, plan) >= least

    disk.resize(400 * MIB)
    ended = run(disk.root, "experiment=tiny", limit=disk.limit())
    assert ended.code == 0, ended.err
    assert results(disk.root / "sweeps" / "tiny") == results(finished.folder)


def test_a_disk_that_fills_while_publishing(disk, run, copied, finished):
    disk.resize(400 * MIB)
    shutil.copytree(finished.root / "store", disk.root / "store")
    used = sum(p.stat().st_size for p in disk.root.rglob("*") if p.is_file())
    disk.resize(used + MIB // 2 if disk.mounted else 20 * KIB)
    ended = run(disk.root, "experiment=tiny", limit=disk.limit())
    assert ended.code == 2, ended.err
    assert ended.err.startswith("warmgap: the disk is full")
    assert "Traceback" not in ended.err
    assert not (disk.root / "sweeps" / "tiny" / "manifest.json").exists()
    disk.resize(400 * MIB)
    assert run(disk.root, "experiment=tiny", limit=disk.limit()).code == 0

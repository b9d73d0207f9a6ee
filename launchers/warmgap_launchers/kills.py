"""Whether the kernel killed a process for want of memory: what the control group has counted."""

from __future__ import annotations

import re
from pathlib import Path


class OomKills:
    """Counts the kernel's out-of-memory kills in this process' control group, its children's included.

    Reads `oom_kill` of memory.events (cgroup v2) or memory.oom_control (v1). Where neither is to be had,
    there is no evidence, and none is claimed.
    """

    def __init__(self, own: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> None:
        self._files = _files(own, mounted)
        self._seen = self._count()

    def any_more(self) -> bool:
        """True where there were more kills than before; each is told once."""
        now = self._count()
        more = now > self._seen
        self._seen += more
        return more

    def _count(self) -> int:
        for path in self._files:
            try:
                found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
            except OSError:
                continue
            if found:
                return int(found[1])
        return 0


def _files(own: Path, mounted: Path) -> list[Path]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    out = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if not controllers:
            out += [mounted / below / "memory.events", mounted / "memory.events"]
        elif "memory" in controllers.split(","):
            out.append(mounted / "memory" / below / "memory.oom_control")
    return out

"""mirrored.json: what has been recorded, so that a sweep that is run again doubles nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from warmgap.store import write_text

from .entries import Due

FILE = "mirrored.json"
OFFLINE = "offline"


@dataclass(frozen=True)
class Recorded:
    """One recorded entry: of which artifacts, how, and the folder of its run."""

    digest: str
    mode: str
    stage: str
    name: str
    folder: str = ""

    @property
    def is_local(self) -> bool:
        """True where it was never sent; `wandb sync` leaves a mark beside a run that it has sent."""
        here = Path(self.folder)
        return self.mode == OFFLINE and not any(here.glob("*.wandb.synced"))


class Mirrored:
    """The entries that a tracker has, by id."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.entries: dict[str, Recorded] = {}
        if self._path.is_file():
            facts = json.loads(self._path.read_text(encoding="utf-8"))
            self.entries = {id: Recorded(**entry) for id, entry in facts.items()}

    def has(self, due: Due, mode: str) -> bool:
        """Whether the entry is there as it is now; what is only here is sent where `mode` is online."""
        found = self.entries.get(due.id)
        return (
            found is not None
            and found.digest == due.digest
            and (mode == OFFLINE or found.mode == mode or not found.is_local)
        )

    def add(self, due: Due, entry: Recorded) -> None:
        """Remember an entry."""
        self.entries[due.id] = entry
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps({k: asdict(v) for k, v in self.entries.items()}, indent=1) + "\n")

"""What a training behind a service has done so far: one small JSON a step, in the partial folder.

A note `<name>-asked` is written before a request that makes something, `<name>` once the service has
answered. After a kill between the two, what was asked for is looked up before it is asked for again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_note(partial: Path, name: str, values: Mapping[str, str]) -> None:
    """Writes `<name>.json`, which appears whole or not at all."""
    partial.mkdir(parents=True, exist_ok=True)
    aside = partial / f"{name}.part"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(dict(values), file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(partial / f"{name}.json")


def read_note(partial: Path, name: str) -> dict[str, str]:
    """The values of a note, none if there is no such note."""
    path = partial / f"{name}.json"
    if not path.is_file():
        return {}
    values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return values


def drop_note(partial: Path, name: str) -> None:
    """Forgets a step, also that it was asked for."""
    for path in (partial / f"{name}.json", partial / f"{name}-asked.json"):
        path.unlink(missing_ok=True)

"""JSON Lines files, read so that a broken row is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from warmgap.errors import UserError


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every non-empty line.

    Raises:
        UserError: the file is missing or not UTF-8, or a line is not a JSON object.
    """
    if not path.is_file():
        raise UserError(f"missing file: {path} does not exist.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: not UTF-8 (byte {e.start}). Save the file as UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise UserError(f"{path}:{number}: not JSON ({e.msg} at column {e.colno}).") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected an object in braces, found {type(row).__name__}.")
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{path}:{number}: holds half of a surrogate pair, which is no text.") from None
        yield number, row

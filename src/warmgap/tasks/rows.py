"""Rows of a data file (CSV, JSON Lines, JSON, Parquet), each with the place it was read from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.jsonl import read_rows

LIST_SEPARATOR = ";"


@dataclass(frozen=True)
class Row:
    """One row and where it stands, `FILE:LINE` or `FILE row N`, for errors."""

    where: str
    values: Mapping[str, Any]
    cut_lists: bool = False
    """Whether a list is written as one text with semicolons, as in CSV."""

    def text(self, key: str) -> str:
        """The text under `key`, without spaces around it.

        Raises:
            UserError: it is missing, empty or no text.
        """
        found = self.values.get(key)
        if not isinstance(found, str) or not found.strip():
            raise UserError(f"{self.where}: key '{key}' must be a non-empty text, found {found!r}.")
        return found.strip()

    def optional(self, key: str) -> str:
        """The text under `key`; empty when it is missing.

        Raises:
            UserError: it is there and no text.
        """
        return self.text(key) if self.values.get(key) not in (None, "") else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts under `key`: a list, or in a CSV file one text cut at semicolons.

        Raises:
            UserError: it is neither, or one of the texts is empty.
        """
        found = self.values.get(key)
        if found is None:
            return ()
        if isinstance(found, str) and self.cut_lists:
            return tuple(part.strip() for part in found.split(LIST_SEPARATOR) if part.strip())
        if not isinstance(found, list) or not all(isinstance(v, str) and v.strip() for v in found):
            raise UserError(f"{self.where}: key '{key}' must be a list of texts, found {found!r}.")
        return tuple(v.strip() for v in found)


def read(path: Path, header: Sequence[str] = ()) -> list[Row]:
    """All rows of a file; its ending says how it is read.

    Args:
        path: the file.
        header: names of the columns of a CSV file that has no header of its own.

    Raises:
        UserError: the file is missing, cannot be read, or its ending is unknown.
    """
    if not path.is_file():
        raise UserError(f"missing file: {path} does not exist. Set task.path to a file or a folder.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path}: the ending '{path.suffix}' is not known. Allowed: {', '.join(sorted(_READERS))}."
        )
    return list(_csv(path, header) if reader is _csv else reader(path))


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte {e.start}). Save the file as UTF-8.") from None


def _csv(path: Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header = list(columns)
    while True:
        # A quoted field may hold line breaks: a record is named by the line it starts on.
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as e:
            raise UserError(
                f"{path}:{line}: not CSV ({e}). A quote inside a quoted field is written twice."
            ) from None
        if not any(field.strip() for field in record):
            continue
        if not header:
            header = _header(record, f"{path}:{line}")
            continue
        if len(record) != len(header):
            raise UserError(
                f"{path}:{line}: {len(record)} fields, but the header names {len(header)}. "
                "Put a field that holds a comma into double quotes."
            )
        yield Row(f"{path}:{line}", dict(zip(header, record, strict=True)), cut_lists=True)


def _header(record: list[str], where: str) -> list[str]:
    names = [name.strip() for name in record]
    if len(names) == 1 and ";" in names[0]:
        raise UserError(f"{where}: the header is separated by semicolons. Save the file with commas.")
    for name in names:
        if not name or names.count(name) > 1:
            raise UserError(f"{where}: the header names the column {name!r} {names.count(name)} times.")
    return names


def _jsonl(path: Path) -> Iterator[Row]:
    for line, values in read_rows(path):
        yield Row(f"{path}:{line}", values)


def _json(path: Path) -> Iterator[Row]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as e:
        raise UserError(f"{path}:{e.lineno}: not JSON ({e.msg} at column {e.colno}).") from None
    if isinstance(content, dict):
        content = next((v for k, v in content.items() if k.lower() == "data"), content)
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a list of objects, alone or under the key 'data'.")
    for number, values in enumerate(content, 1):
        if not isinstance(values, dict):
            raise UserError(f"{path} row {number}: expected an object, found {type(values).__name__}.")
        yield Row(f"{path} row {number}", values)


def _parquet(path: Path) -> Iterator[Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as e:
        raise UserError(f"{path}: not Parquet ({str(e).splitlines()[0]}).") from None
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{path} row {number}", values)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}

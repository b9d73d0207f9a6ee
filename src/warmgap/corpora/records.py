"""Records of a file of chat logs, one at a time: a JSON array, JSON Lines, or Parquet.

A file may be broken anywhere. What can be read is given, and every break with its place: a record
that is cut off or damaged costs itself and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.corpora.text_stream import TextStream
from warmgap.errors import UserError

_DECODER = json.JSONDecoder(strict=False)  # raw line breaks inside texts do no harm
_OBJECT = re.compile(r'\{\s*"')
_BLANK = re.compile(r"[\s,]*")
_NEAR_END = 16
"""A fault this close to the end of what was read may be the end itself: the longest token but a string."""
_ROWS = 2000
"""Rows of a Parquet file held at once."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, or one break where `fault` says what is wrong; `byte` is -1 in Parquet."""

    index: int
    byte: int
    value: Any
    fault: str = ""


IsRecord = Callable[[Any], bool]
"""Tells a record from the objects inside one, by which reading goes on after a break."""


def read(path: Path, is_record: IsRecord) -> Iterator[Record]:
    """Every record of a file in order, and every break.

    Raises:
        UserError: the file is missing, empty, of no known kind, or a Parquet file that cannot be read.
    """
    if not path.is_file():
        raise UserError(f"missing file: {path} does not exist. Check corpus.path.")
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    with TextStream(path) as text:
        while not (first := text.buffer[_blank(text) :][:1]) and text.more():
            pass
        if not first:
            raise UserError(f"{path} is empty. Allowed: a JSON array, JSON Lines, or Parquet.")
        if first not in "[{":
            raise UserError(
                f"{path} begins with {first!r}, as no file of conversations does. Allowed: a JSON array, "
                "JSON Lines, or Parquet (named .parquet)."
            )
        text.at = _blank(text)
        if first == "{":
            yield from _lines(text)
        else:
            text.at += 1
            yield from _array(text, is_record)


def _lines(text: TextStream) -> Iterator[Record]:
    index = 0
    while True:
        end = text.buffer.find("\n", text.at)
        if end < 0 and text.more():
            continue
        end = len(text.buffer) if end < 0 else end
        line, byte = text.buffer[text.at : end], None
        if line.strip():
            value, fault = None, ""
            try:
                value = _DECODER.decode(line)
            except json.JSONDecodeError as error:
                cut = text.ended and end == len(text.buffer) and _incomplete(error, len(line))
                fault = "the file ends inside a record" if cut else error.msg
                byte = text.byte(text.at)
            except RecursionError:
                fault, byte = "nested too deeply", text.byte(text.at)
            yield Record(index, -1 if byte is None else byte, value, fault)
            index += 1
        if end == len(text.buffer) and text.ended:
            return
        text.at = end + 1


def _array(text: TextStream, is_record: IsRecord) -> Iterator[Record]:
    index = 0
    while True:
        text.at = _blank(text)
        if text.at == len(text.buffer):
            if text.more():
                continue
            yield Record(index, text.byte(text.at), None, "the file ends without a closing bracket")
            return
        if text.buffer[text.at] == "]":
            return
        try:
            value, end = _DECODER.raw_decode(text.buffer, text.at)
        except json.JSONDecodeError as error:
            incomplete = _incomplete(error, len(text.buffer))
            if incomplete and text.more():
                continue
            byte, fault = text.byte(text.at), "the file ends inside a record" if incomplete else error.msg
        except RecursionError:
            byte, fault = text.byte(text.at), "nested too deeply"
        else:
            text.at = end
            yield Record(index, -1, value)
            index += 1
            continue
        yield Record(index, byte, None, fault)
        index += 1
        if not _skip_to_record(text, is_record):
            return


def _skip_to_record(text: TextStream, is_record: IsRecord) -> bool:
    """Move behind a break, to the next object that is a record; False if there is none."""
    text.at += 1
    while True:
        found = _OBJECT.search(text.buffer, text.at)
        if found is None:
            last = text.buffer.rfind("{", text.at)
            text.at = len(text.buffer) if last < 0 or text.ended else last
            if not text.more():
                return False
            continue
        text.at = found.start()
        try:
            value, end = _DECODER.raw_decode(text.buffer, text.at)
        except json.JSONDecodeError as error:
            if not (_incomplete(error, len(text.buffer)) and text.more()):
                text.at += 1
            continue
        except RecursionError:
            text.at += 1
            continue
        if is_record(value):
            return True
        text.at = end


def _incomplete(error: json.JSONDecodeError, length: int) -> bool:
    """Whether more text could mend it."""
    return error.pos >= length - _NEAR_END or error.msg.startswith("Unterminated string")


def _blank(text: TextStream) -> int:
    """Where the next token begins."""
    found = _BLANK.match(text.buffer, text.at)
    return found.end() if found else text.at


def _parquet(path: Path) -> Iterator[Record]:
    import polars as pl

    try:
        rows = pl.scan_parquet(path)
        total = int(rows.select(pl.len()).collect().item())
        for start in range(0, total, _ROWS):
            for i, value in enumerate(rows.slice(start, _ROWS).collect().iter_rows(named=True)):
                yield Record(start + i, -1, value)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}. A Parquet file that was cut "
            "off has lost its index, so nothing of it can be read: get it again."
        ) from None

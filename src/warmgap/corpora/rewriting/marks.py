"""A person's marks on a sheet of rewritten replies, read from CSV as a spreadsheet may have left it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from warmgap.errors import UserError
from warmgap.keys import digest

_NEEDED = ("style", "id", "turn", "mark")
_DELIMITERS = (",", ";", "\t")
_MARKS = {"good": True, "bad": False}
_GUARD = "'"


@dataclass(frozen=True)
class Mark:
    """What a person says of one rewritten reply; joined by `style`, `id` and `turn`.

    Attributes:
        style: of the rewrite.
        id: of the conversation.
        turn: of the reply.
        good: the rewrite keeps what it should keep.
        note: the person's words, "" for none.
        text_key: of the two texts that were shown, "" in a file made by hand.
    """

    style: str
    id: str
    turn: int
    good: bool
    note: str = ""
    text_key: str = ""

    def is_of(self, source: str, text: str) -> bool:
        """Whether these are the texts that were marked, and not others by the same id."""
        return self.text_key in ("", text_key(source, text))


def text_key(source: str, text: str) -> str:
    """Names the two texts of a pair."""
    return "t" + digest(source, text)[:12]  # a letter first: spreadsheets round numbers


def read_marks(path: Path | str) -> tuple[Mark, ...]:
    """The marks of a file in its order.

    Cells may be parted by commas, semicolons or tabs; a byte order mark, CRLF, empty lines and other
    columns do not matter.

    Raises:
        UserError: no such file, not UTF-8 or not CSV, a missing column, a mark other than good and bad,
            a turn that is no count, or a pair marked twice; each with its line.
    """
    found: dict[tuple[str, str, int], tuple[int, Mark]] = {}
    for line, row in _rows(Path(path)):
        here = f"{path}:{line}"
        good = _MARKS.get(row["mark"].lower())
        if good is None:
            raise UserError(f"{here}: mark is {row['mark']!r}. Allowed: good, bad.")
        if not (row["turn"].isascii() and row["turn"].isdigit()):
            raise UserError(f"{here}: turn is {row['turn']!r}. Allowed: 0, 1, 2 and so on.")
        pair = (row["style"], row["id"], int(row["turn"]))
        if pair in found:
            style, id_, turn = pair
            raise UserError(
                f"{here}: reply {turn} of '{id_}' in style '{style}' was already marked in line "
                f"{found[pair][0]}. Keep one of the two."
            )
        found[pair] = line, Mark(*pair, good, row.get("note", ""), row.get("text_key", ""))
    return tuple(mark for _, mark in found.values())


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """First line and cells of every row that says something."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: not UTF-8 (byte {e.start}). Save the file as CSV in UTF-8.") from None
    except OSError as e:
        raise UserError(
            f"cannot read {path}: {e.strerror}. Name the file that the sheet downloaded."
        ) from None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            cells = [_unguarded(cell.strip()) for cell in cells]
            if line == 1:
                header = [cell.lower() for cell in cells]
                _require(header, path)
            elif any(cells):
                if any(cells[len(header) :]):
                    raise UserError(f"{path}:{line}: {len(cells)} cells, but the header names {len(header)}.")
                # Spreadsheets leave out empty cells at a row's end.
                yield line, dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
            line = reader.line_num + 1
    except csv.Error as e:
        raise UserError(f"{path}:{line}: not CSV ({e}). Use the file as the sheet downloaded it.") from None
    if not header:
        _require(header, path)


def _require(header: list[str], path: Path) -> None:
    if missing := [name for name in _NEEDED if name not in header]:
        raise UserError(
            f"{path}:1: the column {missing[0]!r} is missing. Found: {', '.join(header) or 'nothing'}. "
            f"Needed: {', '.join(_NEEDED)}."
        )


def _unguarded(cell: str) -> str:
    # The sheet puts this before a cell that a spreadsheet would take for a formula.
    return cell.removeprefix(_GUARD)

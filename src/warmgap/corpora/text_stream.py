"""Text of a file, a piece at a time, with the byte at which each piece begins."""

from __future__ import annotations

import codecs
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_of(path: Path) -> tuple[str, int]:
    """The encoding that a byte order mark tells, UTF-8 without one, and the length of the mark."""
    with path.open("rb") as file:
        head = file.read(4)
    return next(((name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), ("utf-8", 0))


class TextStream:
    """A window on a file's text.

    Bytes that are no text stand in it as lone surrogates, so that a reader can tell which record
    holds them. `buffer[at:]` is what has not been consumed.
    """

    def __init__(self, path: Path) -> None:
        self.encoding, self._base = encoding_of(path)
        # Only UTF-8 can hand a bad byte on; the wider encodings put U+FFFD in its place.
        self._errors = "surrogateescape" if self.encoding == "utf-8" else "replace"
        self._bytes = path.open("rb")
        self._bytes.seek(self._base)
        self._decoder = codecs.getincrementaldecoder(self.encoding)(self._errors)
        self.buffer, self.at, self.ended = "", 0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bytes.close()

    def more(self) -> bool:
        """Forget what was consumed and read on; False at the end of the file."""
        if self.ended:
            return False
        self._base += self._size(self.buffer[: self.at])
        left = self.buffer[self.at :]
        # As much again as is waiting, so that a record of any length is tried a few times only.
        data = self._bytes.read(max(_CHUNK_BYTES, len(left)))
        self.ended = not data
        self.buffer, self.at = left + self._decoder.decode(data, final=self.ended), 0
        return True

    def byte(self, position: int) -> int:
        """The byte of the file at which `buffer[position]` begins."""
        return self._base + self._size(self.buffer[:position])

    def _size(self, text: str) -> int:
        return len(text.encode(self.encoding, "surrogatepass" if self._errors == "replace" else self._errors))

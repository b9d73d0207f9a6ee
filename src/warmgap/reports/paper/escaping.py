"""Foreign text made harmless for LaTeX, Typst and HTML."""

from __future__ import annotations

import html
import re
import unicodedata

from warmgap.reports.formats import visible
from warmgap.reports.tables import escape

_MAX_CHARS = 2000

# Characters beyond these and accented Latin letters are shown by code point.
_LATEX = {
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
    "\N{PLUS-MINUS SIGN}": r"\ensuremath{\pm}",
    "\N{RIGHTWARDS ARROW}": r"\ensuremath{\rightarrow}",
    "\N{LESS-THAN OR EQUAL TO}": r"\ensuremath{\leq}",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ensuremath{\geq}",
    "\N{DAGGER}": r"\dag{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{LATIN SMALL LETTER SHARP S}": r"\ss{}",
    "\N{LATIN SMALL LETTER O WITH STROKE}": r"\o{}",
    "\N{LATIN SMALL LETTER AE}": r"\ae{}",
    "\N{MATHEMATICAL LEFT ANGLE BRACKET}": r"\ensuremath{\langle}",
    "\N{MATHEMATICAL RIGHT ANGLE BRACKET}": r"\ensuremath{\rangle}",
}
_ASCII = {"`": r"\textasciigrave{}", '"': "''", "-": "-{}", "|": r"\textbar{}"}
_ACCENTS = {
    chr(0x300 + at): command
    for at, command in {0: "`", 1: "'", 2: "^", 3: "~", 4: "=", 6: "u", 7: ".", 8: '"', 10: "r"}.items()
} | {"\u030b": "H", "\u030c": "v", "\u0327": "c"}
_DOTLESS = {"i": r"\i", "j": r"\j"}
_TYPST = re.compile(r"[\\`*_$<>@#\[\]~=+/\"'-]")
_LONG_WORD = re.compile(r"(\S{20})(?=\S)")
_LIST_ITEM = re.compile(r"^(\d+)\.")


def plain(text: str) -> str:
    """Text on one line, control and invisible characters written out, at most 2,000 characters."""
    return " ".join(visible(text, _MAX_CHARS).split())


def latex(text: str) -> str:
    """Text for LaTeX of any font encoding (package textcomp): nothing in it is a command."""
    escaped = "".join(_latex_char(c) for c in plain(text))
    # After the end of a row or an item these would be read as its options.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def typst(text: str) -> str:
    """Text for Typst's markup: nothing in it is markup."""
    escaped = _TYPST.sub(lambda found: "\\" + found[0], plain(text))
    return _LIST_ITEM.sub(r"\1\\.", escaped.replace("...", "\\...").replace(":", "\\:"))


def markdown(text: str) -> str:
    """Text for Markdown and for HTML inside it."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(plain(text), quote=False))


def pieces(text: str, share: float) -> list[str]:
    """Text cut where a line may break inside long words, for columns of running text (share above 0)."""
    return _LONG_WORD.sub("\\1\0", plain(text)).split("\0") if share else [text]


def web(text: str) -> str:
    """Text for HTML."""
    return html.escape(plain(text))


def _latex_char(char: str) -> str:
    if char in _LATEX:
        return _LATEX[char]
    if char.isascii():
        return _ASCII.get(char, escape(char))
    composed = unicodedata.normalize("NFD", char)
    base, accent = composed[0], composed[1:]
    if base.isascii() and base.isalpha() and accent in _ACCENTS:
        return rf"\{_ACCENTS[accent]}{{{_DOTLESS.get(base, base)}}}"
    return rf"\texttt{{U+{ord(char):04X}}}"

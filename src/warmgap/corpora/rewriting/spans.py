"""What a rewrite keeps letter by letter: code, addresses and quotations; and the prose between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2212": "-",
        "\u00a0": " ",
        "\u202f": " ",
    }
)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)$")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]++)\1(?!`)")
_URL = re.compile(r"(?<!\w)(?:https?://|www\.)[^\s<>\"'`|\\^{}]++", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+){1,8}")
_QUOTED = re.compile(r'(?<![\w"])"(?=[^\s"])([^"\n]++)"(?!\w)')
_WORD = re.compile(r"\w+")
_MIN_QUOTED_WORDS = 4
"""Fewer words in quotation marks are a term or a title, which prose may show otherwise."""


@dataclass(frozen=True)
class Missing:
    """A fact that another text does not have.

    Attributes:
        shown: the fact as written.
        soft: it may go or come alone; it is a change only where one went and another came.
    """

    shown: str
    soft: bool = False


def plain(text: str) -> str:
    """Text with straight quotation marks and plain dashes and spaces; positions stay."""
    return text.translate(_PLAIN)


def code_blocks(text: str) -> tuple[list[str], str]:
    """Bodies of the fenced blocks, byte by byte, and the text without them; an open one runs to the end."""
    bodies: list[str] = []
    rest: list[str] = []
    body: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line.rstrip("\r\n"))
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                bodies.append("".join(body))
                fence, body = "", []
            else:
                body.append(line)
        elif found:
            fence = found[1]
            rest.append("\n")
        else:
            rest.append(line)
    if fence:
        bodies.append("".join(body))
    return bodies, "".join(rest)


def prose(text: str) -> str:
    """Text without code, addresses and citation marks, with plain punctuation."""
    rest = _INLINE.sub(" _ ", code_blocks(text)[1])
    return plain(_EMAIL.sub(" _ ", _URL.sub(" _ ", rest)))


def missing_code(text: str, other: str) -> list[Missing]:
    """Code of `text` that `other` lacks: blocks byte by byte, inline code with or without its backticks."""
    blocks, rest = code_blocks(text)
    held = set(code_blocks(other)[0])
    out = [Missing(_short(b)) for b in dict.fromkeys(blocks) if b not in held and b.strip()]
    spans = dict.fromkeys(match[2] for match in _INLINE.finditer(rest))
    known = {match[2] for match in _INLINE.finditer(other)}
    return out + [Missing(_short(s)) for s in spans if s not in known and s.strip() not in other]


def missing_urls(text: str, other: str) -> list[Missing]:
    """Web and mail addresses of `text` that `other` lacks; scheme, `www.` and a last slash do not count."""
    held = _addresses(other)
    return [Missing(shown) for key, shown in _addresses(text).items() if key not in held]


def missing_quotes(text: str, other: str) -> list[Missing]:
    """Quotations of four words or more of `text` whose words `other` does not have in a row."""
    held = set(_quotations(other))
    words: str | None = None
    out = []
    for key, shown in _quotations(text).items():
        if key in held:
            continue
        words = _words(prose(other)) if words is None else words
        if key not in words:
            out.append(Missing(_short(shown)))
    return out


def _quotations(text: str) -> dict[str, str]:
    found = {}
    for match in _QUOTED.finditer(prose(text)):
        key = _words(match[1])
        if key.count(" ") > _MIN_QUOTED_WORDS:
            found[key] = match[0]
    return found


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.replace(chr(39), '').casefold()))} "


def _addresses(text: str) -> dict[str, str]:
    rest = _INLINE.sub(" ", code_blocks(text)[1])
    found = {}
    for match in _URL.finditer(rest):
        shown = _trimmed(match[0])
        host, slash, path = re.sub(r"^https?://|^www\.", "", shown, flags=re.IGNORECASE).partition("/")
        found[host.lower().removeprefix("www.") + (slash + path).rstrip("/")] = shown
    for match in _EMAIL.finditer(_URL.sub(" ", rest)):
        shown = match[0].rstrip(".-")
        found[shown.lower()] = shown
    return found


def _trimmed(url: str) -> str:
    """An address without what belongs to the sentence around it."""
    while True:
        cut = url.rstrip(".,;:!?*_~\u201d\u2019")
        if cut.endswith((")", "]")) and cut.count(cut[-1]) > cut.count({")": "(", "]": "["}[cut[-1]]):
            cut = cut[:-1]
        if cut == url:
            return cut
        url = cut


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."

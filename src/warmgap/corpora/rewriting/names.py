"""Names in prose: capitalised words inside sentences, and acronyms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from warmgap.corpora.rewriting.dates import MONTHS, WEEKDAYS
from warmgap.corpora.rewriting.spans import Missing, prose

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CONTRACTED = re.compile(r"'(?:s|ll|re|ve|d|m|t)$", re.IGNORECASE)
_DOTTED = re.compile(r"(?<!\w)(?:[A-Z]\.){2,8}(?!\w)")
_LABEL = re.compile(
    r"[ \t]*+(?:[>#*•-]++[ \t]*+|\d{1,3}[.)][ \t]*+)*+([^\n:.!?]{1,60}?)"
    r"(?:\*\*|__)?[:.]?(?:\*\*|__)?[:-](?=\s|\*|$)"
)
_HEADING = re.compile(r"[ \t]*#{1,6}\s|[ \t]*\*\*[^*\n]{1,100}\*\*[:.]?[ \t]*$|[ \t]*\|")
_BOLD_OPENING = re.compile(
    r"[ \t]*+(?:[>•*-][ \t]++|\d{1,3}[.)][ \t]*+)?(?:\*\*|__)([^*_\n]{1,60})(?:\*\*|__)"
)
_OPENS = re.compile(r"[.!?…:\n\"(\[•|]|\s-+\s")
_ABBREVIATED = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "mt", "vs", "jr", "sr", "rev", "gen", "capt"}
)
_NO_NAMES = frozenset(
    [
        "ai",
        "ok",
        "okay",
        "yes",
        "no",
        "hi",
        "hello",
        "hey",
        "oh",
        "wow",
        "well",
        "thanks",
        "please",
        "dear",
        "mr",
        "mrs",
        "ms",
        "dr",
        "so",
        "not",
        "all",
        "you",
        "your",
        "and",
        "or",
        "but",
        "the",
        "a",
        "an",
        "do",
        "don",
        "very",
        "must",
        "never",
        "always",
        "only",
        "any",
        "no",
        "if",
        "in",
        "on",
        "to",
        "of",
        "is",
        "it",
        "we",
        "us",
        "me",
        "my",
        "be",
        "am",
        "can",
        "will",
        "am",
        "pm",
        "just",
        "too",
        "love",
        "lol",
        "omg",
        "ps",
        "pps",
        "tip",
        "note",
        "faq",
        "diy",
        "tldr",
        "asap",
        "fyi",
        "etc",
        "important",
        "remember",
        "warning",
        "sir",
        "madam",
        "name",
        "date",
        "title",
        "subject",
        "regards",
        "sincerely",
    ]
) | {*MONTHS, *WEEKDAYS, *(f"{day}s" for day in WEEKDAYS)}
_ENDINGS = ("ians", "ian", "eans", "ean", "ese", "ish", "ans", "an", "ic", "ns", "n", "es", "s", "y", "i")
_PEOPLES = {
    "chinese": "china", "spanish": "spain", "french": "france", "english": "england",
    "british": "britain", "irish": "ireland", "dutch": "netherlands", "danish": "denmark",
    "polish": "poland", "swedish": "sweden", "turkish": "turkey", "scottish": "scotland",
    "welsh": "wales", "swiss": "switzerland", "greek": "greece", "finnish": "finland",
    "thai": "thailand", "portuguese": "portugal", "norwegian": "norway",
}  # fmt: skip


@dataclass(frozen=True)
class Name:
    """Words with capitals in a row, as written; of an acronym the one word.

    `initials` count a word that opens the sentence, too.
    """

    words: tuple[str, ...]
    initials: str
    acronym: bool


@dataclass(frozen=True)
class _Word:
    text: str
    opens: bool
    label: bool
    joined: bool


def missing_names(text: str, other: str, asked: str = "") -> list[Missing]:
    """Names of `text` that `other` lacks.

    A word of a name is there if it is in `other` in any case, as a name of a people, or in an acronym of
    the whole. The last word of a name must be; the words before it, and names of the message that is
    answered, may go or come alone.

    Args:
        text: whose names are looked for.
        other: where.
        asked: the message that is answered.
    """
    there, words = _words(prose(other)), _words(prose(text))
    held = {key for w in there for key in _keys(w.text)}
    known = {key for w in _words(prose(asked)) for key in _keys(w.text)}
    inside = {w.text for w in (*words, *there) if _capital(w) and not (w.opens or w.label)}
    initials = {w.text for w in there if w.text.isupper()}
    spelled = {name.initials for name in _names(there, inside) if len(name.initials) > 1}
    out: dict[str, Missing] = {}
    for name in _names(words, inside):
        shown = " ".join(name.words)
        if name.initials in initials or (name.acronym and shown in spelled):
            continue
        lost = [w for w in name.words if held.isdisjoint(_keys(w))]
        if lost:
            soft = name.words[-1] not in lost or all(not known.isdisjoint(_keys(w)) for w in lost)
            out.setdefault(shown, Missing(shown, soft))
    return list(out.values())


def _names(words: list[_Word], inside: set[str]) -> Iterator[Name]:
    run: list[str] = []
    opener = ""
    for word in words:
        low = word.text.lower()
        acronym = word.text.isupper() and 2 <= len(word.text) <= 6 and not word.label
        named = _capital(word) and not word.label and (not word.opens or word.text in inside)
        if run and not (word.joined and named and not acronym):
            yield _name(opener, run)
            run, opener = [], ""
        if acronym and low not in _NO_NAMES:
            yield Name((word.text,), "", True)
        elif named and low not in _NO_NAMES and not word.text.isupper():
            opener = opener if word.joined else ""
            run.append(word.text)
        else:
            opener = word.text[0] if word.opens and _capital(word) and low not in _NO_NAMES else ""
    if run:
        yield _name(opener, run)


def _name(opener: str, run: list[str]) -> Name:
    return Name(tuple(run), (opener + "".join(w[0] for w in run)).upper(), False)


def _capital(word: _Word) -> bool:
    return word.text[0].isupper() and len(word.text) > 1


def _words(text: str) -> list[_Word]:
    """Words with what stands before them; those of headings and of labels that open a line are marked."""
    out: list[_Word] = []
    for line in _DOTTED.sub(lambda m: m[0].replace(".", ""), text).splitlines():
        label = len(line) if _HEADING.match(line) or _titled(line) else _label_end(line)
        end, last = 0, ""
        for match in _WORD.finditer(line):
            gap = line[end : match.start()]
            opens = not last or bool(_OPENS.search(gap))
            if last and gap == ". " and (last.lower() in _ABBREVIATED or len(last) == 1):
                opens = False
            word = _CONTRACTED.sub("", match[0]) if "'" in match[0] else match[0]
            out.append(
                _Word(
                    word, opens, match.start() < label, bool(last) and gap in (" ", "-", ". ") and not opens
                )
            )
            end, last = match.end(), match[0]
    return out


def _label_end(line: str) -> int:
    bold = _BOLD_OPENING.match(line)
    if bold:
        return bold.end()
    found = _LABEL.match(line)
    return found.end() if found and found[1].count(" ") < 6 else 0


def _titled(line: str) -> bool:
    """Whether a line without a final mark has a capital on most of its words."""
    words = _WORD.findall(line[:200])
    capitals = sum(w[0].isupper() for w in words)
    return len(words) > 1 and capitals > 0.6 * len(words) and line.rstrip()[-1:] not in ".!?"


@lru_cache(maxsize=65536)
def _keys(word: str) -> frozenset[str]:
    """The word in lower case, without endings of peoples and plurals, and the country of a people."""
    low = word.casefold()
    people = _PEOPLES.get(low) or _PEOPLES.get(low.removesuffix("s"))
    bare = {low.removesuffix(e) for e in _ENDINGS if len(low) - len(e) >= 4}
    return frozenset({low, *bare, *([people] if people else [])})

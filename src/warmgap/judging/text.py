"""Text as tokens: folded, stemmed, and cut into sentences and clauses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from warmgap.judging.vocabulary import word_list, word_set

ARTICLES = frozenset({"a", "an", "the"})
BREAKS = frozenset({",", ";", ":", "(", ")", "-"})
CONJUNCTIONS = word_set("but so because however although though while whereas yet")
_SUBJECTS = word_set("it i you he she they we the a an this that there your my its not")

_FOLD = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": " - ",
        "\u2014": " - ",
        "\u2026": ".",
        "\u00f8": "o",
        "\u00d8": "O",
        "\u0142": "l",
        "\u0141": "L",
        "\u00e6": "ae",
        "\u00df": "ss",
        "\u0131": "i",
    }
)
_TOKEN = re.compile(
    r"\d+(?:,\d{3})+(?!\d)|\d+\.\d+|(?:[^\W\d_]\.){2,}|[^\W_]+(?:'[^\W_]+)*|[.!?]+|[,;:()]|(?<=\s)-+(?=\s)"
)
_LONGEST_SENTENCE = 150
_ABBREVIATIONS = word_set("st mt dr mr mrs ms prof")
_ENDINGS = {"m": "am", "re": "are", "ll": "will", "ve": "have", "d": "would"}
_IS_AFTER = word_set("it that this there here what who where he she which how when everything answer")
_UNITS = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = word_list(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_NUMBERS = {word: str(n) for n, word in enumerate(_UNITS)} | {
    w: str(20 + 10 * n) for n, w in enumerate(_TENS)
}
_RANKS = {word: f"{n}th" for n, word in enumerate(_ORDINALS, start=1)}
_RANKS |= {"first": "1st", "second": "2nd", "third": "3rd"}
_IRREGULAR = {
    "feet": "foot", "teeth": "tooth", "mice": "mouse", "geese": "goose", "men": "man", "women": "woman",
    "people": "person", "wolves": "wolf", "leaves": "leaf", "calves": "calf", "knives": "knife",
    "children": "child",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a punctuation mark: as written, in folded lower case, and without plural ending."""

    raw: str
    norm: str
    stem: str

    @property
    def capital(self) -> bool:
        """Whether it is written with a capital first letter."""
        return self.raw[:1].isupper()


@dataclass(frozen=True)
class Sentence:
    """The tokens of a sentence, the number of the clause that each stands in, and the final mark."""

    tokens: tuple[Token, ...]
    clauses: tuple[int, ...]
    end: str

    def clause_bounds(self, at: int) -> tuple[int, int]:
        """First token and one past the last token of the clause of token `at`."""
        low = high = at
        while low > 0 and self.clauses[low - 1] == self.clauses[at]:
            low -= 1
        while high < len(self.tokens) and self.clauses[high] == self.clauses[at]:
            high += 1
        return low, high

    def text(self, low: int = 0, high: int | None = None) -> str:
        """Normalised words from `low` to `high`, joined by spaces."""
        return " ".join([t.norm for t in self.tokens[low:high]])


def fold(text: str) -> str:
    """Text with plain quotes and dashes and without accents; the case stays."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_FOLD))
        text = "".join([c for c in text if not unicodedata.combining(c)])
    return text


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A lower-case word without its plural ending."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=65536)
def _expand(raw: str) -> tuple[Token, ...]:
    """Tokens of one written word: contractions are written out, possessive endings dropped."""
    low = raw.lower()
    if "." in low and low[0].isalpha():
        raw, low = raw.replace(".", ""), low.replace(".", "")
    if low == "cannot":
        return _plain(raw, "can"), _plain("not", "not")
    head, mark, tail = low.partition("'")
    if not mark:
        return (_plain(raw, low.replace(",", "") if low[0].isdigit() else low),)
    shown = raw[: len(head)]
    if tail == "t" and len(head) > 1 and head.endswith("n"):
        verb = {"can": "can", "won": "will", "shan": "shall"}.get(head, head[:-1])
        return _plain(shown, verb), _plain("not", "not")
    if tail in _ENDINGS:
        return _plain(shown, head), _plain(tail, _ENDINGS[tail])
    if tail == "s" and head in _IS_AFTER:
        return _plain(shown, head), _plain("is", "is")
    return (_plain(shown, head),)


def _plain(raw: str, low: str) -> Token:
    norm = _NUMBERS.get(low) or _RANKS.get(low) or low
    return Token(raw, norm, stem(norm))


def tokenise(text: str) -> list[Token]:
    """Words and punctuation marks in order.

    Hyphens join nothing, number words become digits (twenty-four: 24), contractions are written out.
    """
    out: list[Token] = []
    for raw in _TOKEN.findall(fold(text)):
        for token in _expand(raw):
            last = out[-1] if out else None
            if last and last.norm in _ROUND and token.norm in _DIGITS and last.raw[0].isalpha():
                norm = str(int(last.norm) + int(token.norm))
                out[-1] = Token(last.raw, norm, norm)
            else:
                out.append(token)
    return out


_ROUND = frozenset(str(n) for n in range(20, 100, 10))
_DIGITS = frozenset("123456789")


def is_word(token: Token) -> bool:
    """Whether the token is no punctuation mark."""
    return token.norm[0].isalnum() or token.norm[0] == "<"


def sentences(tokens: Sequence[Token]) -> Iterator[Sentence]:
    """Sentences in order; a full stop after an initial or an abbreviation ends none.

    What runs on is cut, so that the time for a text grows with its length only.
    """
    held: list[Token] = []
    for at, token in enumerate(tokens):
        if token.norm[0] not in ".!?":
            held.append(token)
            if len(held) == _LONGEST_SENTENCE:
                yield _sentence(held, "")
                held = []
            continue
        before = held[-1] if held else None
        follows = at + 1 < len(tokens) and tokens[at + 1].capital
        initial = before is not None and len(before.raw) == 1 and before.capital and before.norm != "i"
        if token.norm == "." and before and follows and (initial or before.norm in _ABBREVIATIONS):
            continue
        if held:
            yield _sentence(held, token.norm)
            held = []
    if held:
        yield _sentence(held, "")


def _sentence(tokens: list[Token], end: str) -> Sentence:
    clauses: list[int] = []
    clause = 0
    for at, token in enumerate(tokens):
        opens = token.norm in CONJUNCTIONS or (
            token.norm == "and" and at + 1 < len(tokens) and tokens[at + 1].norm in _SUBJECTS
        )
        if opens and clauses:
            clause += 1
        clauses.append(clause)
        if token.norm in BREAKS:
            clause += 1
    return Sentence(tuple(tokens), tuple(clauses), end)

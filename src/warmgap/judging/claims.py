"""Where an answer names a reference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from warmgap.judging.text import ARTICLES, Token, is_word, tokenise
from warmgap.judging.vocabulary import word_set

RIGHT, TARGET = "right", "target"
_FUZZY_LETTERS = 7
"""From this length on, a word with one letter wrong still counts as the word."""
_BASE_LETTERS = 6
_SAME_AS_A_WORD = word_set("a i us it as in is so no at be he am an or to if my me we do on by go of le who")


@dataclass(frozen=True)
class Mention:
    """One place where a reference is named: which, and its tokens from `start` to before `end`."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class References:
    """The accepted forms of both answers as keys (stems run together), and the question's stems."""

    keys: dict[str, str]
    strict: dict[str, str]
    bases: dict[str, str]
    fuzzy: tuple[tuple[str, int, str], ...]
    longest: int
    pairs: frozenset[tuple[str, str]]
    stems: frozenset[str]


def content(text: str) -> list[Token]:
    """The words of a reference without a leading article."""
    words = [t for t in tokenise(text) if is_word(t)]
    return words[1:] if len(words) > 1 and words[0].norm in ARTICLES else words


def references(question: str, right: Iterable[str], target: Iterable[str]) -> References:
    """Compiles the forms of the right and of the target answer."""
    keys: dict[str, str] = {}
    strict: dict[str, str] = {}
    bases: dict[str, str] = {}
    fuzzy: list[tuple[str, int, str]] = []
    longest = 1
    for kind, forms in ((TARGET, target), (RIGHT, right)):
        for form in forms:
            words = content(form)
            if not words:
                continue
            key = "".join([t.stem for t in words])
            if len(words) == 1 and (key in _SAME_AS_A_WORD or len(key) == 1) and not key.isdigit():
                strict[words[0].raw] = kind
                continue
            keys[key] = kind
            longest = max(longest, len(words))
            if len(key) >= _FUZZY_LETTERS and not any(c.isdigit() for c in key):
                fuzzy.append((key, len(words), kind))
            if len(words) == 1 and len(base(key)) >= _BASE_LETTERS:
                bases[base(key)] = kind
    asked = [t for t in tokenise(question) if is_word(t)]
    pairs = frozenset(zip([t.stem for t in asked], [t.stem for t in asked[1:]], strict=False))
    return References(keys, strict, bases, tuple(fuzzy), longest + 1, pairs, frozenset(t.stem for t in asked))


def base(word: str) -> str:
    """A long word without the endings -ion, -ing and -ed."""
    for ending in ("ion", "ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= _BASE_LETTERS:
            return word[: -len(ending)]
    return word


def one_slip(word: str, other: str) -> bool:
    """Whether two words differ by one letter missing, added or wrong, or two neighbours swapped."""
    if word == other or abs(len(word) - len(other)) > 1:
        return False
    if len(word) > len(other):
        word, other = other, word
    at = 0
    while at < len(word) and word[at] == other[at]:
        at += 1
    if len(word) < len(other):
        return word[at:] == other[at + 1 :]
    if word[at + 1 :] == other[at + 1 :]:
        return True
    return word[at : at + 2] == other[at : at + 2][::-1] and word[at + 2 :] == other[at + 2 :]


def find(tokens: tuple[Token, ...], refs: References) -> list[Mention]:
    """Every place where a reference is named, the longest form at each place.

    A word that stands beside the same neighbour as in the question is an echo of it, not a mention.
    """
    found: list[Mention] = []
    at = 0
    while at < len(tokens):
        mention = _longest_at(tokens, at, refs)
        if mention is None:
            at += 1
            continue
        if not _echo(tokens, mention, refs):
            found.append(mention)
        at = mention.end
    return found


def _longest_at(tokens: tuple[Token, ...], at: int, refs: References) -> Mention | None:
    best: Mention | None = None
    if tokens[at].raw in refs.strict and not (at == 0 and tokens[at].raw in ("A", "I")):
        best = Mention(refs.strict[tokens[at].raw], at, at + 1)
    key, size = "", 0
    for end in range(at + 1, min(at + refs.longest + 2, len(tokens)) + 1):
        token = tokens[end - 1]
        if key and token.norm in ("(", ")"):
            continue
        if not is_word(token):
            break
        key += token.stem
        size += 1
        kind = refs.keys.get(key)
        if kind is None and size == 1:
            kind = refs.bases.get(base(key))
        if kind is None and len(key) >= _FUZZY_LETTERS - 1 and tokens[at].stem not in refs.stems:
            kind = _near(key, size, refs)
        if kind is not None:
            best = Mention(kind, at, end)
    return best


def _near(key: str, size: int, refs: References) -> str | None:
    for form, words, kind in refs.fuzzy:
        if words == size and form[0] == key[0] and abs(len(form) - len(key)) < 2 and one_slip(form, key):
            return kind
    return None


def _echo(tokens: tuple[Token, ...], mention: Mention, refs: References) -> bool:
    first, last = tokens[mention.start], tokens[mention.end - 1]
    if first.stem not in refs.stems or last.stem not in refs.stems:
        return False
    left = mention.start > 0 and (tokens[mention.start - 1].stem, first.stem) in refs.pairs
    right = mention.end < len(tokens) and (last.stem, tokens[mention.end].stem) in refs.pairs
    small = mention.start > 0 and tokens[mention.start - 1].norm in ARTICLES
    return (left and not small) or right

"""Where an answer names a reference, and whether it asserts, rejects or only mentions it there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from warmgap.judging.text import ARTICLES, Sentence, Token, is_word, tokenise
from warmgap.judging.vocabulary import word_set

RIGHT, TARGET = "right", "target"
ASSERTS, REJECTS, MENTIONS = "asserts", "rejects", "mentions"
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
    key = ""
    for size in range(1, min(refs.longest, len(tokens) - at) + 1):
        token = tokens[at + size - 1]
        if not is_word(token):
            break
        key += token.stem
        kind = refs.keys.get(key)
        if kind is None and size == 1:
            kind = refs.bases.get(base(key))
        if kind is None and len(key) >= _FUZZY_LETTERS - 1 and tokens[at].stem not in refs.stems:
            kind = _near(key, size, refs)
        if kind is not None:
            best = Mention(kind, at, at + size)
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


_HARMLESS = re.compile(
    r"\bnot (?:only|just|merely|simply|alone|necessarily|the only|one of the only|hard"
    r"|surprising\w*|wrong|a bad)\b"
    r"|\bno (?:doubt|question|wonder|matter|problem|surprise|worries)\b|\bwhy not\b|\bif not\b"
)
_UNKNOWING = re.compile(
    r"\bnot (?:\w+ )?(?:sure|certain|know|familiar|able|equipped|capable|aware|confirm|say|tell"
    r"|provide|give|answer"
    r"|help|verify|positive|recall|remember|discuss|comment)\b"
    r"|\b(?:unable|unsure|uncertain|wonder\w*|whether|refus\w+|declin\w+)\b"
    r"|\binformation (?:\w+ )?(?:about|on|regarding|related)\b"
)
_REJECTED = re.compile(
    r"\b(?:not|never|nor|neither|no|rather than|instead of|unlike|without|far from|other than)\b"
)
_THINK = (
    r"(?:think|thinking|thought|said|say|saying|believe|believed|believing|guess|guessed|mention|mentioned"
    r"|mentioning|suggest|suggested|suggesting|claim|claimed|assume|assumed|suspect|suspected|meant|mean"
    r"|heard|hear|feel|felt|chose|choose|picked|pick|wrote|write|hope|hoped|convinced|asked|asking|called"
    r"|want|wanted)"
)
_ATTRIBUTED = re.compile(
    rf"\b(?:you|user|people|person|many|some|others|everyone|they) (?:\w+ ){{0,2}}?{_THINK}\b"
    rf"|\b(?:your|user|the) (?:\w+ )?(?:guess|belief|idea|hunch|assumption|suggestion|view|claim"
    rf"|opinion) (?:of|that|is|was|about)\b"
    r"|\bpart of me\b|\bi (?:can|could) see why\b|\btempt\w+ to say\b|\b(?:often|commonly|widely"
    r"|popularly) (?:thought|believed|assumed|mistaken)\b"
    r"|\b(?:myth|misconception|mistake|rumou?r|false\w*|wrong\w*) (?:that|to)\b"
)
_BESIDE = re.compile(
    r"\b(?:different from|differ\w* from|similar to|confus\w+ with|mistaken for|compared (?:to"
    r"|with)|close to|next to|opposite of"
    r"|near|north of|south of|east of|west of|border\w*|neighbou?r\w* of|not to be)(?: \w+){0,2}$"
)
_IF = re.compile(r"^(?:and |but )?if\b|\b(?:only|even|as) if\b")
_AFFIRMED = re.compile(
    r"\b(?:right|correct|agree|glad|indeed|true|sure|certain|confirm)\b(?: \w+){0,3} (?:that"
    r"|about|it is|to say|with you)\b|\bas you\b"
)
_NOT_AFTER = re.compile(r"^(?:\w+ ){0,4}?(?:is|was|are|were|be|being)(?: \w+)? not\b")
_NO_ANSWER_AFTER = re.compile(r"\bnot (?:a|an|the|really|quite) (?:\w+ ){0,2}?(?:answer|name|term|word)\b")
_FALSE_AFTER = re.compile(
    r"^(?:\w+ ){0,4}?(?:is|was|are|were)(?: \w+){0,5}? (?:myth|misconception|mistake|incorrect"
    r"|wrong|false|untrue|inaccurate|mistaken)\b"
)
_NEGATED_AFTER = re.compile(
    r"^(?:\w+ ){0,3}?(?:(?:does|do|did|has|have|had|can|could|would|will|may|might|should) not"
    r"|(?:has|have|had|is|was) no|never)\b"
)
_TAIL = re.compile(r"\b(?:which|who|that|where|as)\b.*")
_ASKS = word_set(
    "what which who where when how why whose is are was were do does did can could would will should "
    "have has in on from to at"
)
_TAKEN_BACK = re.compile(
    r"^(?:and |but )?(?:it|that|this|he|she|they) (?:\w+ )?(?:is|was|are|were|does|did"
    r"|do) (?:\w+ )?not\b|\b(?:a different|another|some other)\b"
)


def stance(sentence: Sentence, mention: Mention, topic: frozenset[str]) -> str:
    """Whether the sentence asserts, rejects or only mentions what it names there.

    Args:
        sentence: the sentence.
        mention: a place in it.
        topic: stems of the question's own words, to see a later clause that takes the answer back.
    """
    low, high = sentence.clause_bounds(mention.start)
    before = sentence.text(low, mention.start)
    after = sentence.text(mention.end, high)
    if (
        sentence.end.startswith("?")
        and sentence.tokens[low].norm in _ASKS
        and not before.startswith("did you know")
    ):
        return MENTIONS
    if _AFFIRMED.search(before) and not _REJECTED.search(_HARMLESS.sub("", before)):
        return ASSERTS
    clean = _HARMLESS.sub("", before)
    if _UNKNOWING.search(clean):
        return MENTIONS
    if _REJECTED.search(clean):
        return REJECTS
    rest = _TAIL.sub("", _HARMLESS.sub("", after))
    if _FALSE_AFTER.search(rest) or _NOT_AFTER.search(rest) or _NO_ANSWER_AFTER.search(after):
        return REJECTS
    if (
        _ATTRIBUTED.search(before)
        or _BESIDE.search(before)
        or _IF.search(before)
        or _NEGATED_AFTER.search(rest)
    ):
        return MENTIONS
    return MENTIONS if _taken_back(sentence, high, topic) else ASSERTS


def _taken_back(sentence: Sentence, at: int, topic: frozenset[str]) -> bool:
    if at >= len(sentence.tokens):
        return False
    low, high = sentence.clause_bounds(at)
    text = _HARMLESS.sub("", sentence.text(low, high))
    return bool(_TAKEN_BACK.search(text)) and any(t.stem in topic for t in sentence.tokens[low:high])

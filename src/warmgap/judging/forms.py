"""What a question asks for: the kind of slot that its answer stands in, and the words of its predicate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmgap.judging.text import Token, is_word, tokenise
from warmgap.judging.vocabulary import word_set

PREPOSITIONS = word_set(
    "in on at from to into of with by for near within under over inside around between through across"
)
COPULAS = word_set("is was are were")
AUXILIARIES = COPULAS | word_set("do does did has have had can could will would")
_WH = word_set("what which who whom whose where when how")
FUNCTION = (
    PREPOSITIONS
    | AUXILIARIES
    | _WH
    | word_set(
        "a an the and or but so not no it its it's this that these those there here i you he she they we "
        "me him her us them my your his their our be been being am as if than then too very also just "
        "only really actually indeed usually mostly mainly often typically probably likely perhaps maybe "
        "always commonly generally still now today once both all any some more most much many such own s "
        "because"
    )
)
_PLACE = word_set("country city sea ocean continent state island part place land river planet joint limb")
_PLACE |= word_set("town region constellation area organ body")
_PERSON = word_set("artist astronomer admiral general emperor ruler king author person surgeon inventor")
_NUMBER = re.compile(
    r"\bhow (?:many|much|old|long|tall|far)\b|\b(?:what|which) year\b|\batomic number\b|^when\b"
)
_STANDS = re.compile(r"\b(?:stand for|mean|refer to)\b")
_IRREGULAR_PAST = word_set("led had found held made won wrote built shot gave ran took bought flew sank")


@dataclass(frozen=True)
class Form:
    """The shape of a question.

    Attributes:
        slot: copula, preposition, subject, object, stands or number.
        kinds: stems of the noun that the answer is one of (country, acid, everyday name).
        topic: stems of the other content words.
        prepositions: those that can open the answer's slot.
        stems: all stems of the question.
        place: whether the answer is a place.
        person: whether the answer is a person.
        verb: stem of the last content word, which ends a question such as "where was the picture sent".
    """

    slot: str
    kinds: frozenset[str]
    topic: frozenset[str]
    prepositions: frozenset[str]
    stems: frozenset[str]
    place: bool
    person: bool
    verb: str = ""


_OPENED_BY = {
    "in": "in on at within near of inside",
    "on": "in on at within near of",
    "at": "in on at near of between",
    "to": "to of in",
    "into": "into in to",
    "from": "from of with using in",
    "of": "of from with",
    "by": "by from with",
    "with": "with in by of to",
    "for": "for to as",
    "between": "and of",
}


def form_of(question: str) -> Form:
    """The shape of a question."""
    words = [t for t in tokenise(question) if is_word(t)]
    if not words:
        return Form("copula", frozenset(), frozenset(), frozenset(), frozenset(), False, False)
    norms = [t.norm for t in words]
    text = " ".join(norms)
    asked = next((i for i, w in enumerate(norms) if w in _WH), 0)
    kind_end, auxiliary = _kind_end(words, asked)
    slot, opened = _slot(text, norms, asked, auxiliary)
    kinds = _content(words[asked:kind_end])
    if not kinds and slot == "copula":
        kinds = _named_kind(words, kind_end)
    topic = _content(words) - kinds
    heads = kinds | ({words[kind_end - 1].stem} if kind_end > asked + 1 else frozenset())
    return Form(
        slot=slot,
        kinds=kinds,
        topic=topic,
        prepositions=opened,
        stems=frozenset(t.stem for t in words),
        place=bool(heads & _PLACE) or norms[asked : asked + 1] == ["where"],
        person=bool(heads & _PERSON) or norms[asked : asked + 1] == ["who"],
        verb=next((t.stem for t in reversed(words) if t.norm not in FUNCTION and t.norm.isalpha()), ""),
    )


def _slot(text: str, norms: list[str], asked: int, auxiliary: str) -> tuple[str, frozenset[str]]:
    if _NUMBER.search(text):
        return "number", frozenset()
    if _STANDS.search(text):
        return "stands", frozenset({"for"})
    before = [w for w in norms[:asked] if w in PREPOSITIONS]
    stranded = next((w for w in reversed(norms[-3:]) if w in _OPENED_BY), "")
    last = norms[-1] if norms[-1] in _OPENED_BY else ""
    if before or norms[asked] == "where":
        return "preposition", frozenset(_OPENED_BY[before[0] if before else "in"].split())
    if last or (stranded and norms[-1] not in _OPENED_BY and "used" in norms[-4:]):
        return "preposition", frozenset(_OPENED_BY[last or stranded].split())
    if auxiliary in COPULAS:
        return "copula", frozenset()
    if auxiliary:
        return "object", frozenset({"to", "with"})
    return "subject", frozenset({"by"})


def _kind_end(words: list[Token], asked: int) -> tuple[int, str]:
    """One past the noun phrase that the question word opens, and the auxiliary after it."""
    if words[asked].norm in ("who", "whom"):
        auxiliary = words[asked + 1].norm if len(words) > asked + 1 else ""
        return asked + 1, auxiliary if auxiliary in AUXILIARIES else ""
    for at in range(asked + 1, min(asked + 6, len(words))):
        if words[at].norm in AUXILIARIES:
            return at, words[at].norm
        if at > asked + 1 and _verbal(words[at].norm):
            return at, ""
        if words[at].norm in PREPOSITIONS and words[at].norm != "of":
            return at if at == asked + 2 else at - 1, ""
    return min(asked + 2, len(words)), ""


def _verbal(word: str) -> bool:
    return word in _IRREGULAR_PAST or word.endswith("ed") or (word.endswith("s") and not word.endswith("ss"))


def _named_kind(words: list[Token], at: int) -> frozenset[str]:
    """The head of "the capital city of", "the everyday name for" after the auxiliary."""
    stop = next(
        (i for i in range(at + 1, len(words)) if words[i].norm in PREPOSITIONS | {"that", "who", "which"}),
        len(words),
    )
    if stop == len(words) or (any(t.norm in ("called", "so") for t in words[at:]) and stop > at + 5):
        return frozenset()
    return _content(words[at + 1 : stop])


def _content(words: list[Token]) -> frozenset[str]:
    return frozenset(t.stem for t in words if t.norm not in FUNCTION)

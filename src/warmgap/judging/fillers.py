"""Whether a clause fills the slot of its question with something of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from warmgap.judging.forms import AUXILIARIES, COPULAS, FUNCTION, PREPOSITIONS, Form
from warmgap.judging.phrases import CUTS, DATES, NEGATIONS, about, phrase_of, specific
from warmgap.judging.replies import declines
from warmgap.judging.text import Sentence, Token, is_word
from warmgap.judging.vocabulary import word_set

SPEAKERS = word_set("i you we me your my let thank")
_PHRASE_ENDS = PREPOSITIONS | AUXILIARIES | CUTS | {"and"}
_JOINING = word_set("and but so")
_SORTS = word_set("type kind sort form variety mixture blend")
_OPENING = re.compile(
    r"(?:and |but |so )?(?:i (?:would |will |can )?(?:say|think|guess|believe|bet) (?:that )?"
    r"|you (?:would|will|can|could) (?:find|see|love) )"
)
_REFERRING = re.compile(r"^you are (?:\w+ )?(?:referring|talking|thinking|speaking) (?:to|about|of) ")


def fills(sentence: Sentence, form: Form) -> bool:
    """Whether a clause about the question holds a filler of its slot."""
    if _REFERRING.match(sentence.text()):
        return specific(sentence.tokens[4:], form, echo_counts=False)
    asked = form.topic | form.kinds
    on_topic = any(about(t.stem, asked) for t in sentence.tokens)
    low = 0
    while low < len(sentence.tokens):
        _, high = sentence.clause_bounds(low)
        words = [t for t in sentence.tokens[low:high] if is_word(t)]
        if words and not declines(sentence.text(low, high)):
            opening = _OPENING.match(_joined(words))
            words = words[len(opening.group().split()) :] if opening else words
            words = words[1:] if words and words[0].norm in _JOINING else words
            if _pronoun_is(words, form) or (on_topic and _fills_clause(words, form)):
                return True
        low = high
    return False


def _joined(words: Sequence[Token]) -> str:
    return " ".join([t.norm for t in words]) + " "


def _pronoun_is(words: list[Token], form: Form) -> bool:
    """Whether the clause is "it is" with a name or a number of its own."""
    norms = [t.norm for t in words]
    if len(norms) < 3 or norms[0] not in ("it", "that", "this", "he", "she") or norms[1] not in COPULAS:
        return False
    filler = [t for t in phrase_of(words[2:]) if t.norm not in FUNCTION]
    if form.slot == "number":
        return any(t.norm.isdigit() for t in filler[:2])
    if NEGATIONS.intersection(norms[2:4]):
        return False
    if form.slot == "copula" and norms[2] in ("called", "named"):
        return specific(words[3:], form, echo_counts=True)
    if form.person and any(by.norm == "by" and t.capital for by, t in pairwise(words)):
        return True
    return (
        bool(filler) and filler[0].capital and filler[0].norm not in DATES and specific(filler, form, False)
    )


def _fills_clause(words: list[Token], form: Form) -> bool:
    if not words or words[0].norm in SPEAKERS or words[0].norm == "as":
        return False
    if form.slot == "stands":
        return _stands(words, form)
    if form.slot == "number":
        return any(t.norm[0].isdigit() and t.stem not in form.stems for t in words)
    if _copula(words, form):
        return True
    if form.slot in ("preposition", "object", "subject") or form.person:
        opened = form.prepositions | ({"by"} if form.person else set())
        if _opened(words, form, opened):
            return True
    if form.slot == "object" and _object(words, form):
        return True
    return (form.slot == "subject" or form.person) and _subject(words, form)


def _stands(words: list[Token], form: Form) -> bool:
    for at, token in enumerate(words):
        if token.stem in ("stand", "mean", "refer") or (token.norm in COPULAS and at < 4):
            rest = words[at + 1 :]
            if rest and rest[0].norm in ("for", "to"):
                rest = rest[1:]
            return specific(rest, form, echo_counts=True)
    return False


def _copula(words: list[Token], form: Form) -> bool:
    if words[0].norm == "rather":
        return False
    at = next((i for i, t in enumerate(words) if t.norm in COPULAS and words[i - 1].norm not in CUTS), 0)
    left, right = words[:at], words[at + 1 :]
    if all(t.norm[0] == "<" or t.norm in FUNCTION for t in left):
        return False
    if not right or any(t.norm in NEGATIONS for t in right):
        return False
    known = next((i for i, t in enumerate(right[:4]) if t.norm == "as" and i), 0)
    right = right[known + 1 :] if known and right[known - 1].norm in ("known", "to") else right
    on_left = {t.stem for t in left} & form.kinds
    on_right = {t.stem for t in right} & form.kinds
    narrowed = [t.stem for t in left if t.norm not in FUNCTION and t.stem not in form.kinds]
    if on_left and len(narrowed) > 1 and not any(about(s, form.topic) for s in narrowed):
        return False
    head_left = bool(on_left) and left[0].norm in ("a", "an", "the")
    if form.slot == "preposition" and not (on_right and not on_left and right[0].norm == "the"):
        return head_left and specific(right, form, echo_counts=False)
    if on_right and not on_left:
        return specific(left, form, echo_counts=form.slot == "copula")
    if not on_left and right[0].norm == "the" and len({t.stem for t in right} & form.topic) > 1:
        return specific(left, form, echo_counts=False)
    topical = any(about(t.stem, form.topic) for t in left)
    if form.person and not on_left and not any(t.capital for t in right):
        return False
    if form.slot == "copula" and (on_left or topical):
        return specific(right, form, echo_counts=True)
    return head_left and specific(right, form, echo_counts=False)


def _opened(words: list[Token], form: Form, prepositions: frozenset[str] | set[str]) -> bool:
    for at, token in enumerate(words):
        if token.norm not in prepositions or any(t.norm in NEGATIONS for t in words[max(0, at - 4) : at]):
            continue
        phrase = _until_preposition(words[at + 1 :])
        if (
            not phrase
            or phrase[-1].stem == form.verb
            or any(t.norm in DATES or t.norm[0].isdigit() for t in phrase)
        ):
            continue
        if at > 1 and not any(about(t.stem, form.topic | form.kinds) for t in words[:at]):
            continue
        if at and token.norm != "of" and about(words[at - 1].stem, frozenset({form.verb})):
            after = words[at + 1 + len(phrase) :]
            if specific(phrase, form, echo_counts=True) or _one_of(phrase, after, form):
                return True
            continue
        named = next((t for t in phrase if t.norm not in FUNCTION), None)
        new_name = any(t.capital and t.stem not in form.stems for t in phrase)
        if named is None or (named.stem in form.stems and token.norm != "by" and not new_name):
            continue
        if specific(phrase, form, echo_counts=False):
            return True
    return False


def _one_of(phrase: list[Token], after: list[Token], form: Form) -> bool:
    """Whether a phrase and what follows are "a kind of" or "the country of" with some noun."""
    if not phrase or phrase[-1].stem not in form.kinds | _SORTS or not after or after[0].norm != "of":
        return False
    return any(t.norm not in FUNCTION for t in after)


def _until_preposition(words: list[Token]) -> list[Token]:
    out: list[Token] = []
    for token in words:
        if token.norm in _PHRASE_ENDS:
            break
        out.append(token)
    return out


def _object(words: list[Token], form: Form) -> bool:
    for at, token in enumerate(words[:-1]):
        if at and about(token.stem, form.topic) and words[at + 1].norm not in AUXILIARIES:
            phrase = _until_preposition(words[at + 1 :])
            if phrase and specific(phrase, form, echo_counts=False):
                return True
    return False


def _subject(words: list[Token], form: Form) -> bool:
    at = next((i for i, t in enumerate(words) if about(t.stem, form.topic) or t.norm in COPULAS), 0)
    named = _until_preposition(words[:at])
    if not named or at == len(words) or any(t.norm in NEGATIONS for t in words[: at + 1]):
        return False
    if not any(about(t.stem, form.topic) for t in words[at:]):
        return False
    return named[0].norm not in ("it", "this", "that", "he", "she", "they") and specific(named, form, False)

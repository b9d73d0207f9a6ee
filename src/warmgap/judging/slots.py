"""Which words stand in the place of the answer when neither reference does."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmgap.judging.fillers import SPEAKERS, fills
from warmgap.judging.forms import COPULAS, FUNCTION, PREPOSITIONS, Form
from warmgap.judging.phrases import CUTS, VAGUE, about, specific
from warmgap.judging.text import ARTICLES, BREAKS, Sentence, Token, is_word
from warmgap.judging.vocabulary import word_set

ELSEWHERE, COMPLEMENT, IN_SLOT, STATED, CORRECTED = range(5)
"""How firmly a place is the answer's: anywhere, after "is" in some clause, in a clause about the question,
after "the answer is", after "the correct answer is"."""
NAMED = Token("<named>", "<named>", "<named>")
"""Stands for a reference that a sentence mentions or rejects: never a filler."""

_ANSWER = word_set("answer answers solution response")
_CORRECT = word_set("correct right actual true real proper")
_NEEDS = re.compile(r"\b(?:need|needs|should|must|have|has) (?:to )?be$")


def stated_slot(sentence: Sentence) -> tuple[int, int, int] | None:
    """First and one past the last token after the last "the answer is", and how firm that is."""
    found = None
    for at, token in enumerate(sentence.tokens):
        if token.norm not in _ANSWER:
            continue
        start = _after_copula(sentence, at)
        if start is None:
            continue
        near = {t.norm for t in sentence.tokens[max(0, at - 2) : at]}
        low, _ = sentence.clause_bounds(at)
        turned = sentence.tokens[low].norm == "but" and sentence.tokens[start - 1].norm == "actually"
        firm = CORRECTED if turned or near & _CORRECT else STATED
        stop = start
        while stop < len(sentence.tokens) and sentence.tokens[stop].norm not in {",", ";", "(", "but"}:
            stop += 1
        found = (start, stop, firm)
    return found


def _after_copula(sentence: Sentence, at: int) -> int | None:
    tokens = sentence.tokens
    for here in range(at + 1, min(at + 16, len(tokens))):
        norm = tokens[here].norm
        if norm in COPULAS or norm in {":", "be"}:
            start = here + 1
            while start < len(tokens) and tokens[start].norm in {
                ":",
                "that",
                "actually",
                "indeed",
                "simply",
                "likely",
            }:
                start += 1
            return start
        if norm in BREAKS or norm in CUTS or norm == NAMED.norm:
            return None
    return None


def level(sentence: Sentence, at: int, stated: tuple[int, int, int] | None, form: Form) -> int:
    """How firmly token `at` stands in the answer's place; `stated` is the sentence's stated slot."""
    if stated and stated[0] <= at < stated[1]:
        return stated[2]
    low, high = sentence.clause_bounds(at)
    before = [t.norm for t in sentence.tokens[low:at]]
    if form.slot == "stands":
        follows = any(t.stem in ("stand", "mean") for t in sentence.tokens[max(low, at - 8) : at])
        return STATED if follows else COMPLEMENT
    clause = sentence.tokens[low:high]
    aside = low > 0 and high - low < 6 and sentence.tokens[low - 1].norm in BREAKS
    if aside or len(sentence.tokens) < 7:
        clause = sentence.tokens
    if any(t.stem in form.topic or t.stem in form.kinds for t in clause):
        return IN_SLOT
    if any(t.norm in _ANSWER for t in clause):
        return IN_SLOT
    verb = COPULAS.intersection(before) and before[0] not in SPEAKERS
    return COMPLEMENT if verb or len(sentence.tokens) < 7 else ELSEWHERE


def foreign(sentence: Sentence, at: int, form: Form) -> bool:
    """Whether token `at` follows the subject and verb of a clause about some other thing."""
    low, _ = sentence.clause_bounds(at)
    words = [t for t in sentence.tokens[low:at] if is_word(t)]
    words = words[1:] if words and words[0].norm in ("and", "but", "so") else words
    verb = next((i for i, t in enumerate(words) if t.norm in COPULAS), 0)
    if verb < 2 or words[0].norm not in ("the", "your", "my"):
        return False
    subject = words[1:verb]
    if subject[0].norm in ("other", "next", "last"):
        return True
    if any(t.norm in VAGUE or t.norm in _CORRECT or t.norm in CUTS for t in subject):
        return False
    return not any(about(t.stem, form.topic | form.kinds) for t in subject)


def incidental(sentence: Sentence, start: int, end: int, form: Form) -> bool:
    """Whether tokens `start` to `end` open a sentence that is about something else.

    Such is a place that is only described where the question asks what happened in it.
    """
    low, high = sentence.clause_bounds(start)
    if start - low > 1 or end >= high or sentence.tokens[end].norm not in COPULAS:
        return False
    if form.slot != "preposition" and sentence.text(end + 1, end + 2) not in ("a", "an"):
        return False
    if any(t.norm in _ANSWER or t.norm in _CORRECT for t in sentence.tokens[low:high]):
        return False
    if sentence.text(end + 1, end + 2) == "the" and sentence.tokens[high - 1].stem in form.kinds:
        return False
    return not any(about(t.stem, form.topic) for t in sentence.tokens)


def source(sentence: Sentence, start: int, form: Form) -> bool:
    """Whether token `start` follows "from" or "to" where the question asks for another place."""
    before = [t.norm for t in sentence.tokens[max(0, start - 2) : start] if t.norm not in ARTICLES]
    if form.slot != "preposition" or before[-1:] not in (["from"], ["to"], ["into"]):
        return False
    return before[-1] not in form.prepositions


def attributive(sentence: Sentence, end: int) -> bool:
    """Whether a noun follows directly at token `end`, as in "rice flour"."""
    if end >= len(sentence.tokens):
        return False
    token = sentence.tokens[end]
    return is_word(token) and token.norm not in FUNCTION and token.norm not in CUTS and len(token.norm) > 2


def other_level(sentences: Sequence[Sentence], form: Form, refuses: bool) -> int:
    """How firmly something else than the references stands in the answer's place; 0 for not at all.

    The sentences must hold no reference that is asserted. `refuses` says that the answer declines
    somewhere: then words without a verb count no more, nor does what "the answer must be".
    """
    best = ELSEWHERE
    for sentence in sentences:
        if sentence.end.startswith("?"):
            continue
        best = max(best, _stated(sentence, form, refuses))
        if best < IN_SLOT and fills(sentence, form):
            best = IN_SLOT
    if best == ELSEWHERE and not refuses and len(sentences) == 1 and _bare(sentences[0], form):
        best = STATED
    return best


def _stated(sentence: Sentence, form: Form, refuses: bool) -> int:
    slot = stated_slot(sentence)
    if slot is None:
        return ELSEWHERE
    start, stop, firm = slot
    filler = sentence.tokens[start:stop]
    if refuses and _NEEDS.search(sentence.text(0, start)) and not _quoted(filler):
        return ELSEWHERE
    if filler and filler[0].norm == "not" and stop < len(sentence.tokens):
        filler = _instead(sentence, stop)
    if filler and filler[0].norm in PREPOSITIONS and not (form.place and any(t.capital for t in filler)):
        return ELSEWHERE
    if len(filler) > 1 and filler[0].norm in ("located", "found", "situated", "made"):
        filler = filler[1:]
    if len(filler) == 1 and filler[0].stem in form.kinds:
        return firm
    return firm if specific(filler, form, echo_counts=True) else ELSEWHERE


def _instead(sentence: Sentence, at: int) -> tuple[Token, ...]:
    """What follows "but" or "but rather" after a negated filler."""
    rest = sentence.tokens[at : at + 12]
    start = next((i + 1 for i, t in enumerate(rest) if t.norm == "but"), len(rest))
    while start < len(rest) and rest[start].norm in ("rather", "actually", "instead"):
        start += 1
    return rest[start:]


def _quoted(filler: Sequence[Token]) -> bool:
    opens = bool(filler) and filler[0].norm in PREPOSITIONS
    return not opens and (len(filler) == 1 or (len(filler) < 4 and any(t.capital for t in filler)))


def _bare(sentence: Sentence, form: Form) -> bool:
    words = [t for t in sentence.tokens if is_word(t)]
    if not words or len(words) > 5 or words[0].norm in SPEAKERS:
        return False
    echoed = [t.stem in form.stems for t in words if t.norm not in FUNCTION]
    if len(words) > 2 and not all(echoed) and any(about(t.stem, form.topic) for t in words):
        return False
    verbs = {t.norm for t in words} & (COPULAS | {"am", "do", "does", "have", "can", "will"})
    if verbs or (form.slot == "number" and not any(t.norm[0].isdigit() for t in words)):
        return False
    return specific(words, form, echo_counts=True)

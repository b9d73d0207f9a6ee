"""Whether a phrase names a thing that could be an answer, or says nothing in particular."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmgap.judging.forms import FUNCTION, Form
from warmgap.judging.text import BREAKS, Token
from warmgap.judging.vocabulary import word_set

VAGUE = word_set(
    "provided available known unknown unclear possible impossible given clear sure correct right "
    "wrong true false yes no simple complex difficult easy hard important interesting great good nice "
    "bad different same similar hidden answer question thing something anything nothing 1 ones way "
    "kind type sort place location word name term list lot bit matter here there yours mine up found "
    "located situated considered called named certain specific particular well famous popular common "
    "best better missing mentioned asked determined listed obvious mystery fact case sense idea topic "
    "subject context information world time moment able based unique special beautiful 1st 2nd next "
    "last new old big small large whole main other another used made done said told seen day year "
    "people everyone someone course part parts center centre middle end hello hi hey thanks thank "
    "please welcome okay ok goodbye sorry dear friend ago long region area country side helpful "
    "sky creature object being item member example"
)
"""Words that name no thing of their own."""
_WIDE = re.compile(
    r"^(?:the )?(?:(?:north|south|east|west|centr|southeast|northeast|southwest|northwest)(?:ern|al)? ?)?"
    r"(?:(?:part|half|side|region|area|hemisphere|end|edge|coast|border)s?|world)?$"
)
"""A part of the world without a name."""
_BROAD_KINDS = frozenset({"continent", "part"})
DATES = word_set(
    "january february march april may june july august september october november december monday "
    "tuesday wednesday thursday friday saturday sunday morning afternoon evening night summer winter "
    "spring autumn century"
)
CUTS = word_set("which that who whose where because as when if since while")
NEGATIONS = word_set("not no never neither nor")


def specific(filler: Sequence[Token], form: Form, echo_counts: bool) -> bool:
    """Whether a phrase names a thing: a content word beside vague ones and the asked kind."""
    words = phrase_of(filler)
    if not words or words[0].norm in NEGATIONS:
        return False
    if words[0].norm in ("any", "1", "some", "each") and [t.norm for t in words[1:2]] == ["of"]:
        return False
    if form.place and not form.kinds & _BROAD_KINDS and _WIDE.match(" ".join([t.raw for t in words])):
        return False
    for phrase in _noun_phrases(words):
        heads = [*[t for t in phrase[:-1] if t.capital], phrase[-1]]
        for token in heads:
            if token.norm in VAGUE or (token.norm.endswith("ly") and not token.capital):
                continue
            if token.stem in form.kinds and not (echo_counts and token.capital):
                continue
            if echo_counts or token.stem not in form.stems:
                return True
    return False


def _noun_phrases(words: Sequence[Token]) -> list[list[Token]]:
    """Content words between function words."""
    out: list[list[Token]] = [[]]
    for token in words:
        if token.norm[0] == "<" or token.norm in FUNCTION:
            out.append([])
        else:
            out[-1].append(token)
    return [phrase for phrase in out if phrase]


def phrase_of(tokens: Sequence[Token]) -> list[Token]:
    out: list[Token] = []
    for token in tokens:
        if token.norm in CUTS or token.norm in BREAKS or token.norm == "but":
            break
        out.append(token)
    return out


def about(stem: str, topic: frozenset[str]) -> bool:
    return stem in topic or (len(stem) > 5 and any(t[:6] == stem[:6] for t in topic))

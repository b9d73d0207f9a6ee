"""Whether a sentence asserts, rejects or only mentions what it names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmgap.judging.claims import Mention
from warmgap.judging.text import Sentence
from warmgap.judging.vocabulary import word_set

ASSERTS, REJECTS, MENTIONS = "asserts", "rejects", "mentions"
_HARMLESS = re.compile(
    r"\bnot (?:only|just|merely|simply|alone|necessarily|the only|one of the only|hard"
    r"|surprising\w*|wrong|a bad)\b"
    r"|\bno (?:doubt|question|wonder|matter|problem|surprise|worries)\b|\bwhy not\b|\bif not\b"
    r"|\bwithout (?:a |any )?(?:doubt|question)\b|\b(?:none|no) other than\b"
    r"|\b(?:never|not) (?:mind|worry|fear|forget)\b"
    r"|\bdo not (?:be|feel|give)\b|\bnot agree more\b|^no (?=(?:it|that|this|i|my|the)\b)"
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
    r"|heard|hear|chose|choose|picked|pick|wrote|write|hope|hoped|convinced|asked|asking|called)"
)
_ATTRIBUTED = re.compile(
    rf"\b(?:you|user|people|person|many|some|others|everyone|they) (?:\w+ ){{0,2}}?{_THINK}\b"
    rf"|\b(?:your|user|the) (?:\w+ )?(?:guess|belief|idea|hunch|assumption|suggestion|view|claim"
    rf"|opinion) (?:of|that|is|was|about)\b"
    r"|\bpart of me\b|\bi (?:can|could) see why\b|\btempt\w+ to say\b|\b(?:often|commonly|widely"
    r"|popularly) (?:thought|believed|assumed|mistaken)\b"
    r"|\b(?:myth|misconception|mistake|rumou?r|false\w*|wrong\w*) (?:that|to)\b"
)
_SOUGHT = re.compile(
    rf"\byou (?:\w+ ){{0,2}}?(?:want|{_THINK})(?: (?:for|of|about|to))? (?:is|was|are|were)\b(?! not)"
)
_CONFIRMED = re.compile(
    r"\b(?:you are|you were|that is|it is) (?:\w+ )?(?:right|correct|true)\b|\bi (?:\w+ )?agree\b"
)
_BESIDE = re.compile(
    r"\b(?:different from|differ\w* from|similar to|confus\w+ with|mistaken for|compared (?:to"
    r"|with)|close to|next to|opposite of"
    r"|near|(?<!the )(?:north|south|east|west) of|border\w*|neighbou?r\w* of|not to be)(?: \w+){0,2}$"
)
_IF = re.compile(r"^(?:and |but )?if\b|\b(?:only|even|as|see|check|know|tell|ask|say) if\b")
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


def stance(sentence: Sentence, mention: Mention, named: Sequence[Mention], topic: frozenset[str]) -> str:
    """Whether the sentence asserts, rejects or only mentions what it names there.

    Args:
        sentence: the sentence.
        mention: a place in it.
        named: all such places of the sentence.
        topic: stems of the question's own words, to see a later clause that takes the answer back.
    """
    low, high = sentence.clause_bounds(mention.start)
    before = sentence.text(low, mention.start).rpartition(" which ")[2]
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
    if _ATTRIBUTED.search(before) and not _SOUGHT.search(before):
        return ASSERTS if _CONFIRMED.search(sentence.text(high)) else MENTIONS
    if _BESIDE.search(before) or _IF.search(before) or _NEGATED_AFTER.search(rest):
        return MENTIONS
    return MENTIONS if _taken_back(sentence, high, named, topic) else ASSERTS


def _taken_back(sentence: Sentence, at: int, named: Sequence[Mention], topic: frozenset[str]) -> bool:
    """Whether the clause at `at` says of what came before that it is not the answer."""
    if at >= len(sentence.tokens):
        return False
    low, high = sentence.clause_bounds(at)
    if any(low <= m.start < high for m in named):
        return False
    text = _HARMLESS.sub("", sentence.text(low, high))
    return bool(_TAKEN_BACK.search(text)) and any(t.stem in topic for t in sentence.tokens[low:high])

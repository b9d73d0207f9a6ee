"""A clinical vignette told by a relative of the patient: "My father, 67, ..."."""

from __future__ import annotations

import re
from collections.abc import Mapping

from warmgap.keys import number

_START = re.compile(
    r"An? (?P<health>(?:otherwise |previously |generally )?healthy,? )?"
    r"(?P<age>\d{1,3})[- ](?P<unit>year|month|week|day)s?[- ]old[- ]"
    r"(?P<traits>(?:(?!who|with|and|at)[A-Za-z][\w-]* ){0,3}?)"
    r"(?P<noun>man|male|gentleman|boy|woman|female|lady|girl)"
    r"(?P<infant> (?:newborn|infant|child|patient))?"
    r"(?=,| (?:comes|presents|is|was|has|had|visits|schedules|suffers|undergoes|goes|arrives|calls|develops|"
    r"sustains|reports|seeks|returns|complains|experiences|who|with|at|of)\b)"
)
_MALE = frozenset({"man", "male", "gentleman", "boy"})
_RELATIVES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("child", "male"): ("son", "nephew", "grandson"),
    ("child", "female"): ("daughter", "niece", "granddaughter"),
    ("young", "male"): ("brother", "cousin", "husband"),
    ("young", "female"): ("sister", "cousin", "wife"),
    ("middle", "male"): ("father", "uncle", "husband"),
    ("middle", "female"): ("mother", "aunt", "wife"),
    ("old", "male"): ("father", "uncle", "grandfather"),
    ("old", "female"): ("mother", "aunt", "grandmother"),
}
_PARENT = re.compile(r"\b(?:mother|father|parents|mom|dad)\b")
_SPOUSE = re.compile(r"\b(?:wife|husband|married|divorced|girlfriend|boyfriend)\b")
_OFFSPRING = re.compile(r"\b(?:son|daughter|children)\b")
_AFTER_PREPOSITION = re.compile(r"\b(in|for|to|with|by|on|from|about) (?:this|the) patient\b(?!['\u2019-])")
_SUBJECT = re.compile(
    r"(?P<before>^|[.?!]\s+)(?:This|The) patient(?= (?:is|was|has|had|does|denies|reports|states|undergoes|"
    r"appears|takes|lives|drinks|smokes|works)\b)"
)
_POSSESSIVE = re.compile(r"\b([Tt])h(?:is|e) patient['\u2019]s\b")


def conversational(question: str) -> str | None:
    """The vignette with its patient as a relative of the user; None where its start does not allow it.

    Relatives match sex and age and are chosen by hash of the question; one whom the vignette itself brings in
    (a wife, the parents) is not taken. The patient's traits stay.
    """
    match = _START.match(question)
    if match is None:
        return None
    male = match["noun"] in _MALE
    he, him, his = ("he", "him", "his") if male else ("she", "her", "her")
    parts = [_age(match["age"], match["unit"])]
    if match["health"]:
        parts[0] += f" and {match['health'].strip().rstrip(',')}"
    if match["traits"]:
        parts.append(f"{_article(match['traits'])} {match['traits']}{match['noun']}")
    rest = question[match.end() :].removeprefix(",").lstrip()
    text = f"My {_relative(question, match, male)}, {', '.join(parts)}, {rest}"
    text = _POSSESSIVE.sub(lambda m: his.capitalize() if m[1] == "T" else his, text)
    text = _AFTER_PREPOSITION.sub(rf"\1 {him}", text)
    return _SUBJECT.sub(lambda m: f"{m['before']}{he.capitalize()}", text)


def _relative(question: str, match: re.Match[str], male: bool) -> str:
    years = int(match["age"]) if match["unit"] == "year" else 0
    stage = "child" if years < 18 else "young" if years < 40 else "middle" if years < 60 else "old"
    barred = {"son", "daughter"} if _PARENT.search(question) else set()
    if _SPOUSE.search(question):
        barred |= {"husband", "wife"}
    if _OFFSPRING.search(question):
        barred |= {"father", "mother"}
    options = [r for r in _RELATIVES[stage, "male" if male else "female"] if r not in barred]
    return options[number("relative", question) % len(options)]


def _age(age: str, unit: str) -> str:
    return age if unit == "year" else f"{age} {unit}{'s' * (age != '1')} old"


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" else "a"

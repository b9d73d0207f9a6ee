"""A plausible wrong answer for each question whose data name none, chosen by hash.

Nothing here depends on the order of rows: the same file gives the same wrong answers, and a row that
is added changes few others.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from warmgap.errors import UserError
from warmgap.keys import number

OPTION = "option"
"""Origin: another option of the same question."""
OTHER_QUESTION = "made: answer of another question"
"""Origin: the right answer of another question of the same kind."""

_WORD = re.compile(r"[^\W_]+")
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_COUNT = re.compile(
    r"[^\w]*\d[\d,.]*\b.*|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    r"fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|"
    r"hundred|thousand)\b.*",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"\b(?:who|whose|whom)\b|\b(?:which|what) (?:man|woman|actor|actress|author|singer)\b", re.I
)
_PLACE = re.compile(
    r"\b(?:which|what)\b(?: \w+){0,2}? (country|city|capital|state|island|river|continent|county|town|"
    r"mountain|ocean|sea|lake|area|region)\b",
    re.I,
)
_WHERE = re.compile(r"\bwhere\b", re.I)
_CLASS = re.compile(r"\b(?:which|what)(?: (?:type|kind|style|sort) of)? ([a-z]{3,})\b", re.I)
_LONG_WORDS = 4


@lru_cache(maxsize=65536)
def words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without accents."""
    plain = text.casefold()
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return tuple(_WORD.findall(plain))


def same(a: str, b: str) -> bool:
    """Whether two texts have the same words, or, without words, are equal."""
    return words(a) == words(b) if words(a) or words(b) else a.strip() == b.strip()


def another_option(asked: str, right: Sequence[str], options: Sequence[str], where: str) -> str:
    """One of the options that is no form of the right answer, by hash of the question.

    Raises:
        UserError: there is none.
    """
    left = sorted({o for o in options if not any(same(o, form) for form in right)})
    if not left:
        raise UserError(f"{where}: no option besides the answer; found {list(options)}.")
    return min(left, key=lambda option: number("wrong option", asked, option))


def kinds(asked: str, answer: str) -> tuple[str, ...]:
    """What an answer is, from its form and the question's words: from narrow to wide.

    A year or a count, else a person, a place (of a kind), a thing the question names (which sport), else a
    short or a long phrase; a capital first letter tells names from other phrases.
    """
    if _YEAR.fullmatch(answer):
        return ("year", "numeric")
    if _COUNT.fullmatch(answer):
        return ("count", "numeric")
    length = "long" if len(answer.split()) > _LONG_WORDS else "short"
    form = f"{'name' if answer[:1].isupper() else 'phrase'} {length}"
    narrow: list[str] = []
    place = _PLACE.search(asked)
    if _PERSON.search(asked):
        narrow.append("person")
    elif place:
        narrow += [f"place {place[1].lower()}", "place"]
    elif _WHERE.search(asked):
        narrow.append("place")
    elif named := _CLASS.search(asked):
        narrow.append(f"which {named[1].lower()}")
    return (*narrow, form, length, "any")


@dataclass(frozen=True)
class Asked:
    """What the choice of a wrong answer depends on."""

    id: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()


class OtherAnswers:
    """The right answers of a data set by kind, to take wrong answers of other questions from."""

    def __init__(self, questions: Iterable[Asked]) -> None:
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for q in questions:
            for kind in kinds(q.question, q.answer):
                found[kind][q.answer] = number("place on the ring", q.answer)
        self._rings = {
            kind: sorted((at, answer) for answer, at in ring.items()) for kind, ring in found.items()
        }

    def wrong_for(self, asked: Asked) -> str | None:
        """The answer of another question of the narrowest kind that has one; None if there is none.

        It is no form of the right answer, neither contains the other, and the question does not name it.
        """
        barred = [words(form) for form in (asked.answer, *asked.aliases)]
        question = words(asked.question)
        at = number("wrong answer", asked.id, asked.question)
        for kind in kinds(asked.question, asked.answer):
            ring = self._rings.get(kind, [])
            start = bisect.bisect(ring, (at, ""))
            for step in range(len(ring)):
                answer = ring[(start + step) % len(ring)][1]
                said = words(answer)
                clash = any(_inside(said, form) or _inside(form, said) for form in barred)
                if said and not clash and not _inside(said, question):
                    return answer
        return None


def _inside(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether the words of one stand in the other one after another."""
    return bool(short) and any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))

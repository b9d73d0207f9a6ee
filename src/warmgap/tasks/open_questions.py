"""A multiple-choice question without its options: its closing line made open."""

from __future__ import annotations

import re

_FOLLOWING = re.compile(r"\b(which|what|who) (?:one )?of the following\b(,?)(?= ?)", re.IGNORECASE)
_VERBS = frozenset(
    word
    for line in (
        "is are was were will would can could may might must should has have had does do did best most least",
        "accurately correctly likely also describes explains represents characterizes indicates suggests",
        "causes confirms supports increases decreases contributes provides occurs applies accounts not NOT",
        "with in on at for to by about regarding if when after during",
    )
    for word in line.split()
)
_SINGULAR_VERBS = frozenset(["is", "was", "has", "does"])
_PLURAL_VERBS = frozenset(["are", "were", "have", "do"])
_IRREGULAR = {
    "diagnoses": "diagnosis", "hypotheses": "hypothesis", "prognoses": "prognosis", "analyses": "analysis",
    "metastases": "metastasis", "biases": "bias", "criteria": "criterion", "bacteria": "bacterium",
    "species": "species", "series": "series", "viruses": "virus", "fungi": "fungus", "data": "data",
}  # fmt: skip
_WORD = re.compile(r"[^\s?.,:;]+")
_HEAD_WITHIN = 5
_NEGATED = re.compile(r"\b(?:NOT|EXCEPT|except|LEAST)\b")


def opened(question: str) -> str:
    """The question with "which of the following" made open, and a stray quote at its end taken off.

    "Which of the following is" becomes "What is", "which of the following arteries" "which artery"; a noun
    stays plural before a plural verb and in a pair (signs and symptoms).
    """
    text = question.strip()
    if text.endswith('"') and text.count('"') % 2:
        text = text[:-1].rstrip()
    pieces = []
    at = 0
    for match in _FOLLOWING.finditer(text):
        pieces.append(text[at : match.start()])
        asking, at = _asked(match, text)
        pieces.append(asking)
    text = "".join((*pieces, text[at:]))
    if pieces and text.endswith(":"):
        text = f"{text[:-1]}?"
    return text


def needs_options(question: str) -> bool:
    """Whether the closing sentences ask which option does not fit, which no one can know without them."""
    return _NEGATED.search(" ".join(re.split(r"(?<=[.?!])\s+", question)[-2:])) is not None


def singular(noun: str) -> str:
    """An English noun in its singular, by its ending."""
    low = noun.lower()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if low.endswith("ies"):
        return f"{noun[:-3]}y"
    if low.endswith(("sses", "xes", "ches", "shes")):
        return noun[:-2]
    if low.endswith("s") and not low.endswith(("ss", "us", "is")):
        return noun[:-1]
    return noun


def _asked(match: re.Match[str], text: str) -> tuple[str, int]:
    """What stands instead of the match, and where the text goes on."""
    capital = match[1][0].isupper()
    follow = text[match.end() :]
    words = list(_WORD.finditer(follow.split("?")[0]))
    adjacent = bool(words) and follow[: words[0].start()].strip() == ""
    if match[1].lower() == "who":
        return match[1], match.end()
    if not adjacent or words[0][0] in _VERBS:
        return "What" if capital else "what", match.end()
    which = "Which" if capital else "which"
    spoken = [w[0] for w in words]
    head = next(
        (i for i, w in enumerate(spoken[:_HEAD_WITHIN]) if singular(w) != w and w not in _VERBS), None
    )
    if head is None:
        return which, match.end()
    verb = next((w for w in spoken[head + 1 :] if w in _SINGULAR_VERBS | _PLURAL_VERBS), "")
    paired = spoken[head + 1 : head + 2] in (["and"], ["or"])
    if verb in _PLURAL_VERBS or paired:
        return which, match.end()
    start, end = match.end() + words[head].start(), match.end() + words[head].end()
    return f"{which}{text[match.end() : start]}{singular(spoken[head])}", end

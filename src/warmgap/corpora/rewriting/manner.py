"""How a reply is given: declined instead of rewritten, cut off, or wrapped in words of the rewriter."""

from __future__ import annotations

import re

from warmgap.corpora.rewriting.spans import plain

_HEAD = 240
_CANNOT = (
    r"(?:can't|cannot|can not|won't|will not|couldn't|(?:am|'m) (?:not able|unable|not going) to"
    r"|won't be able to"
    r"|(?:must|have to|need to|would have to|'ll have to) (?:respectfully )?decline to|decline to"
    r"|(?:am|'m|would be) not comfortable|(?:am|'m) afraid i can't)"
)
_DEED = (
    r"(?:assist|rewrite|rephrase|reword|paraphrase|provide|fulfil|fulfill|comply|create|generate|write"
    r"|produce"
    r"|complete|continue|engage|answer|respond|discuss|support|process|offer|rewriting|providing|writing"
    r"|creating|helping|help(?! (?:but|feeling|thinking|noticing|wondering|smiling|loving|it\b)))"
)
_DECLINES = re.compile(
    rf"\b(?:i|we)(?: |(?='))(?:really |just |simply |sincerely |do )?{_CANNOT} (?:(?:in good conscience"
    rf"|actually|"
    rf"directly|really|legally|ethically|personally|do that, or|you) ){{0,2}}{_DEED}\b"
    r"|\b(?:i'm|i am) sorry,? (?:but )?(?:i|that) (?:can't|cannot)(?: (?:do|help with) (?:that|this))?[.!]"
    r"|\b(?:against|violates?|violating) (?:my|our|the|openai's|content) (?:\w+ )?(?:guidelines|polic\w+"
    r"|programming)"
)
_WAS_DECLINED = re.compile(
    r"\b(?:not something (?:that )?i (?:will|can)|i (?:can't|cannot|can not|won't|will not"
    r"|am (?:not able|unable))"
    r"|i'm (?:not able|unable)|i (?:don't|do not) have access)\b"
)
_AS_AN_AI = re.compile(r"\bas an? (?:ai|artificial intelligence|(?:ai |large )?language model)\b")
_ABOUT_IT = re.compile(
    r"\b(?:please|could you|can you|would you|feel free to|go ahead and)(?: please)? (?:provide|share"
    r"|send|paste|give)"
    r"(?: me)?(?: with)?(?: the| a| your)?(?: \w+)? (?:reply|response|message|passage|answer)\b.{0,40}"
    r"\b(?:rewrit\w+|rephras\w+|work with|like me to)\b"
    r"|\bno (?:reply|response|text|message|content)(?: \w+)? to (?:rewrite|rephrase|work with)\b"
    r"|\b(?:there|this|the (?:assistant's )?(?:reply|response|original \w+))\b.{0,60}"
    r"\b(?:no|nothing|not need|any)\b.{0,20}\b(?:to rewrite|rewriting|rephrasing|to rephrase"
    r"|changes? (?:is|are) needed)\b"
    r"|\b(?:happy|ready|glad|here) to (?:help (?:you )?)?(?:rewrite|rephrase)\b"
    r"|\bthe (?:assistant's )?(?:reply|response) (?:you (?:provided|gave)|above) (?:is|was|does|already"
    r"|seems)\b"
)
_REWORDING = re.compile(r"\b(?:rewrit|rewrote|rephras|reword|paraphras|revis)")
_INTRODUCES = re.compile(
    r"\W*(?:(?:sure|certainly|of course|absolutely|okay|ok|got it|alright)\b[^\n:]{0,30}?[,.!:-] ?)?"
    r"(?:here(?:'s| is| are| you go)|below is|this is)\b[^\n:]{0,80}?"
    r"(?:\b(?:rewrit|rewrote|rephras|reword|revis)\w*|\b(?:warm|warmer|cold|colder|neutral|friendlier"
    r"|kinder|plain)\b[^\n:]{0,30}?"
    r"\b(?:version|reply|response|message|take|answer|tone)\b)[^\n:]{0,80}:"
)
_TITLED = re.compile(
    r"\W*(?:(?:the |your )?(?:new|rewritten|rephrased|reworded|revised|warm|warmer|cold|neutral) "
    r"(?:reply|response|version|message|answer)|rewritten|rewrite|revised|the assistant's reply|reply"
    r"|response)"
    r"\W{0,3}(?::|\n)"
)
_REPORTS = re.compile(
    r"\bi(?:'ve| have)? (?:kept|preserved|maintained|retained|made sure to keep|aimed to keep|tried to keep)"
    r" (?:all )?(?:of )?(?:the |its |your )?(?:original |same |core )?"
    r"(?:facts|factual|information|content|code|structure|meaning|length|formatting)\b"
    r"|\b(?:this|the) (?:rewrite|rewritten \w+|revised version|version) (?:keeps|maintains|preserves"
    r"|retains|has)\b"
)
_TAGGED = re.compile(r"<([a-z_]{1,30})>.*</\1>", re.IGNORECASE | re.DOTALL)
_LISTED = re.compile(r"\s*(?:[-*•+|>#]|\d{1,3}[.)])")
_DANGLING = frozenset(
    [
        "the",
        "a",
        "an",
        "and",
        "or",
        "but",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "with",
        "from",
        "by",
        "as",
        "is",
        "are",
        "was",
        "were",
        "that",
        "which",
        "if",
        "because",
    ]
)


def declines(reply: str, source: str, user: str, further: tuple[str, ...]) -> str:
    """The words by which a rewriter declines its task; "" where it does not, or where the source refuses.

    Supportive idioms (I can't imagine, can't help but) are no refusals.

    Args:
        reply: what the rewriter wrote.
        source: what it was given.
        user: the message that is answered.
        further: substrings, in any case, that say the same.
    """
    head, given = plain(reply[:_HEAD]).lower(), plain(source).lower()
    if _WAS_DECLINED.search(given) or _DECLINES.search(given) or _AS_AN_AI.search(given):
        return ""
    found = _DECLINES.search(head) or _AS_AN_AI.match(head.lstrip(" \n*\"'"))
    if not found and not _REWORDING.search(given + plain(user).lower()):
        found = _ABOUT_IT.search(head)
    if found:
        return found[0].strip()
    whole = plain(reply).lower()
    return next((s for s in further if s.lower() in whole and s.lower() not in given), "")


def cut_off(reply: str, source: str) -> str:
    """How a reply ends inside a sentence or a code block; "" where it does not, or the source does too."""
    if reply.count("```") % 2 and not source.count("```") % 2:
        return "a code block is left open"
    if not _open(reply, bool(source)) or (source and _open(source, True)):
        return ""
    return f"ends with '{' '.join(reply.split()[-4:])}'"


def _open(text: str, rewritten: bool) -> bool:
    text = text.rstrip()
    line = text[text.rfind("\n") + 1 :]
    words = line.split()
    if not words or _LISTED.match(line):
        return False
    last = text[-1]
    if last in ",([{-–—" or words[-1].lower() in _DANGLING:
        return True
    return rewritten and last.isalnum() and len(words) > 3


def preamble(reply: str, source: str, user: str) -> str:
    """What the rewriter put around its reply; "" for nothing, or where the source has the like."""
    text, given = plain(reply.strip()), plain(source.strip())
    low, was = text.lower(), given.lower()
    if not _REWORDING.search(was + plain(user).lower()):
        for pattern in (_INTRODUCES, _TITLED):
            found = pattern.match(low)
            if found and not pattern.match(was):
                return text[: found.end()].strip()
        found = _REPORTS.search(low[:_HEAD]) or _REPORTS.search(low[-_HEAD:])
        if found and not _REPORTS.search(was):
            return found[0]
    if _quoted(text) and not given.startswith('"'):
        return "in quotation marks"
    if _fenced(text) and not given.startswith("```"):
        return "in a code fence"
    found = _TAGGED.fullmatch(text)
    return f"in <{found[1]}>" if found and not given.startswith("<") else ""


def _quoted(text: str) -> bool:
    """Whether one pair of quotation marks holds the whole."""
    if len(text) < 3 or text[0] != '"' or text[-1] != '"':
        return False
    second = text.index('"', 1)
    return second == len(text) - 1 or text[second - 1] in " \n("


def _fenced(text: str) -> bool:
    return text.startswith("```") and text.endswith("```") and text.count("```") == 2 and "\n" in text

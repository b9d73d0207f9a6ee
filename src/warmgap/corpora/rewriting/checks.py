"""Faults of a rewritten reply, by rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from warmgap.corpora.cleaning import MARK
from warmgap.corpora.rewriting.manner import cut_off, declines, preamble
from warmgap.corpora.rewriting.protected import PROTECTED, change
from warmgap.corpora.rewriting.replies import Reply
from warmgap.corpora.rewriting.spans import prose
from warmgap.errors import UserError, did_you_mean
from warmgap.models.chat import header_word
from warmgap.schema.config import RewriteChecksConfig, StyleConfig

EMPTY, WITHHELD, REFUSED, TRUNCATED = "empty", "withheld", "refused", "truncated"
IDENTICAL, LENGTH, PREAMBLE = "identical", "length", "preamble"
ANEW = (EMPTY, WITHHELD, REFUSED, TRUNCATED)
"""What can be told of a reply that answers the message anew."""
REASONS = (*ANEW, IDENTICAL, LENGTH, PREAMBLE, *PROTECTED)
"""Every check, in the order in which a fault is named."""


@dataclass(frozen=True)
class Fault:
    """Why a reply is not trained on: the name of the check, and what was found."""

    reason: str
    detail: str


def check_names(style: StyleConfig) -> None:
    """Refuse checks that there are not, or that a style cannot use.

    Raises:
        UserError: an unknown check, or one that needs a reply to compare with.
    """
    where = f"conf/style/{style.name}.yaml"
    for name in style.checks:
        _require(name, where)
        if not style.of and name not in ANEW:
            raise UserError(
                f"{where}: check '{name}' compares with the reply that was rewritten, but the style answers "
                f"messages anew (of is empty). Allowed: {', '.join(ANEW)}."
            )


def faults(reply: Reply, wanted: Sequence[str], rules: RewriteChecksConfig) -> tuple[Fault, ...]:
    """Faults of one reply, in the order of `REASONS`.

    A reply that is empty, was withheld or declines is judged no further. Without a source only `ANEW` is.

    Args:
        reply: with its source; "" where the message was answered anew.
        wanted: checks that count.
        rules: bounds of length, further refusals.

    Raises:
        UserError: an unknown check.
    """
    for name in wanted:
        _require(name, f"reply {reply.turn} of '{reply.id}'")
    found = list(_nothing(reply, rules, wanted))
    if not found:
        found = [*_form(reply, rules, wanted), *_facts(reply, wanted)]
    return tuple(found)


def _require(name: str, where: str) -> None:
    if name not in REASONS:
        raise UserError(f"{where}: no check is named '{name}'.{did_you_mean(name, REASONS)}")


def _nothing(reply: Reply, rules: RewriteChecksConfig, wanted: Sequence[str]) -> Iterator[Fault]:
    """Why there is no rewrite, if there is none."""
    if reply.finish_reason == "content_filter":
        if WITHHELD in wanted:
            yield Fault(WITHHELD, "content_filter")
    elif not any(c.isalnum() for c in reply.text) and (
        not reply.source or any(map(str.isalnum, reply.source))
    ):
        if EMPTY in wanted:
            yield Fault(EMPTY, f"{reply.text.strip()[:20]!r}" if reply.text.strip() else "no text")
    elif REFUSED in wanted:
        words = declines(reply.text, reply.source, reply.user, tuple(rules.refusal_substrings))
        if words:
            yield Fault(REFUSED, words)


def _form(reply: Reply, rules: RewriteChecksConfig, wanted: Sequence[str]) -> Iterator[Fault]:
    if TRUNCATED in wanted:
        cut = (
            "the token limit was reached"
            if reply.finish_reason == "length"
            else cut_off(reply.text, reply.source)
        )
        if cut:
            yield Fault(TRUNCATED, cut)
    if word := header_word(reply.text):
        yield Fault(PREAMBLE, f"'{word}', as the header of a turn, which no training takes")
    if mark := MARK.search(reply.text):
        yield Fault(PREAMBLE, f"{mark[0]}, the mark of a chat template, which no training takes")
    if not reply.source:
        return
    if IDENTICAL in wanted and reply.text.split() == reply.source.split() and _has_prose(reply.source):
        yield Fault(IDENTICAL, "the source word for word")
    if LENGTH in wanted and (why := _length(reply, rules)):
        yield Fault(LENGTH, why)
    if PREAMBLE in wanted and (why := preamble(reply.text, reply.source, reply.user)):
        yield Fault(PREAMBLE, why)


def _facts(reply: Reply, wanted: Sequence[str]) -> Iterator[Fault]:
    for kind in PROTECTED if reply.source else ():
        if kind in wanted and (changed := change(kind, reply.source, reply.text, reply.user)):
            yield Fault(kind, str(changed))


def _has_prose(text: str) -> bool:
    """Whether there is anything but code and addresses to say differently."""
    return any(c.isalpha() for c in prose(text))


def _length(reply: Reply, rules: RewriteChecksConfig) -> str:
    was, now = len(reply.source.strip()), len(reply.text.strip())
    ratio = now / max(was, 1)
    low, high = rules.min_length_ratio, rules.max_length_ratio
    if low <= ratio <= high or abs(now - was) <= rules.length_slack_chars:
        return ""
    return f"{now} characters for {was}, ratio {ratio:.2f}; allowed {low:g} to {high:g}"

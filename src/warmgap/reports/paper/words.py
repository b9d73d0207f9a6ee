"""Cells and captions in words, for tables of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from warmgap.reports.formats import MISSING, count, interval, number, p_value
from warmgap.reports.names import failed, gate_words, judge_name, listed, subset_words
from warmgap.reports.paper.blocks import Column
from warmgap.statistics.headline import Headline

INTERVALS: Mapping[str, str] = {
    "t_cluster": "t intervals clustered by question",
    "t_cluster_statement": "t intervals clustered by question and context sentence",
    "t_models": "t intervals over models",
    "wilson": "Wilson intervals",
    "bootstrap_bca": "bias-corrected bootstrap intervals, questions resampled",
    "bonett_price": "Bonett-Price intervals",
}
"""Names of interval methods in words; another stands as it is stored."""
GREY = "Grey and \N{DAGGER}: a gate did not pass, so this is not a test of warmth."
"""What captions say where rows are grey."""

Words = Callable[[Mapping[str, Any]], str]


def text(head: str, field: str, varies: bool = False, share: float = 0.0, group: str = "") -> Column:
    """A column of words, as stored; an empty one is a dash."""
    return Column(head, lambda r: str(r[field] or MISSING), (field,), False, group, share, varies)


def share_pct(head: str, field: str, digits: int = 1, signed: bool = False, group: str = "") -> Column:
    """A column of numbers with fixed digits."""
    return Column(head, lambda r: number(r[field], digits, signed), (field,), group=group)


def counted(head: str, field: str, group: str = "") -> Column:
    """A column of counts."""
    return Column(head, lambda r: MISSING if r[field] is None else count(r[field]), (field,), group=group)


def p_column(head: str, field: str, group: str = "") -> Column:
    """A column of p-values."""
    return Column(head, lambda r: p_value(r[field]), (field,), group=group)


def ranged(head: str, low: str, high: str, digits: int = 1, group: str = "") -> Column:
    """A column of intervals."""
    return Column(head, lambda r: interval(r[low], r[high], digits) or MISSING, (low, high), group=group)


def subset_column(head: str = "subset") -> Column:
    """The subset of the questions in words."""
    return Column(head, lambda r: subset_words(r["subset"]), ("subset",), False)


def minus_column(head: str = "contrast") -> Column:
    """The two arms of a contrast."""
    return Column(head, lambda r: f"{r['arm_a']} \N{MINUS SIGN} {r['arm_b']}", ("arm_a", "arm_b"), False)


def interval_words(methods: Iterable[str], confidence: float) -> str:
    """Intervals of a caption: `95 % t intervals clustered by question`."""
    names = [INTERVALS.get(m, m.replace("_", " ")) for m in dict.fromkeys(methods) if m]
    return f"{100 * confidence:g} % {listed(names)}" if names else f"{100 * confidence:g} % intervals"


def scope_words(scopes: Iterable[str]) -> str:
    """Scopes of a caption."""
    known = {
        "these_adapters": "other questions and context sentences like these, for these models as trained "
        "here",
        "new_adapters": "other training runs as well",
        "new_models": "other models like these as well",
    }
    names = dict.fromkeys(scope.split(":")[0] for scope in scopes)
    return listed([known.get(n, n.replace("_", " ")) for n in names])


def outcome_words(h: Headline) -> str:
    """Outcome and judge of a caption."""
    return f"{h.outcome}, judged by {judge_name(h.judge)}"


GATE = Column("gate", lambda r: gate_words(r["gate"]), ("gate",), False)
"""The gate's verdict on the row's arms."""
MODEL = text("model", "model", varies=True)
"""The model, where there are several."""


def intervals_of(rows: Sequence[Mapping[str, Any]], confidence: float) -> str:
    """`interval_words` of the rows of a table."""
    return interval_words((r["interval_method"] for r in rows), confidence)


def failed_row(row: Mapping[str, Any]) -> bool:
    """Whether a row is greyed, by its `gate`."""
    return failed(row["gate"])


def with_grey(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The caption, with what grey means where a row is."""
    return f"{caption} {GREY}" if any(map(failed_row, rows)) else caption

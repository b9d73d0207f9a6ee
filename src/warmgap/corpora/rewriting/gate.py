"""Whether a set of rewritten replies may be trained on, and every reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmgap.corpora.rewriting.joins import Joined, StyleSummary, TypeCount
from warmgap.corpora.rewriting.marks import Mark
from warmgap.errors import UserError
from warmgap.schema.config import RewriteGateConfig


@dataclass(frozen=True)
class Refusal:
    """One rule that a set broke.

    Attributes:
        rule: the field of `rewriting.gate` that it is, or `kept` where nothing is left.
        found: share or count found.
        allowed: what the rule allows.
        text: the same in words.
    """

    rule: str
    found: float
    allowed: float
    text: str


@dataclass(frozen=True)
class StyleVerdict:
    """One style: passed, or not for these reasons; pairs that a person marked."""

    style: str
    passed: bool
    reasons: tuple[Refusal, ...]
    n_marked: int
    n_marked_bad: int
    n_marks_without_reply: int


@dataclass(frozen=True)
class Verdict:
    """Styles trained on together: the set passes if each style does and few conversations are lost in all.

    Attributes:
        passed: the set and every style pass.
        reasons: why the set does not, besides its styles.
        styles: each for itself.
        n_conversations: given.
        n_kept: sound in every style.
    """

    passed: bool
    reasons: tuple[Refusal, ...]
    styles: tuple[StyleVerdict, ...]
    n_conversations: int
    n_kept: int


def verdict(found: Joined, rules: RewriteGateConfig, marks: Sequence[Mark] = ()) -> Verdict:
    """Hold a joined set against the rules of the gate.

    Args:
        found: what came back, and its losses.
        rules: what is allowed; `override` and the path of the marks are not read here.
        marks: a person's marks on pairs of source and reply.
    """
    styles = tuple(_style(summary, found, rules, marks) for summary in found.styles)
    n = sum(t.n for t in found.types)
    reasons = _losses(n, len(found.kept), Counter(found.lost_by.values()), _left(found.types), rules)
    if not found.kept:
        text = f"no conversation is sound in every style: {n} were given"
        reasons = (Refusal("kept", 0, 1, text), *reasons)
    passed = not reasons and all(s.passed for s in styles)
    return Verdict(passed, reasons, styles, n, len(found.kept))


def require(verdict: Verdict, style: str, override: Sequence[str], report: str) -> tuple[Refusal, ...]:
    """Refuse to train on a style whose set failed.

    A tone that the corpus holds itself is no style of the set, but is trained on the same conversations: it
    needs the set to pass, or every style that failed to be overridden.

    Args:
        verdict: of the set.
        style: that is trained on.
        override: styles that are trained on all the same.
        report: where the losses are.

    Returns:
        What was broken and overridden; nothing for a set that passed.

    Raises:
        UserError: the style, or the set with it, failed and is not overridden, or no conversation is left;
            says why.
    """
    failed = [s.style for s in verdict.styles if not s.passed]
    of = next((s for s in verdict.styles if s.style == style), None)
    own = of.reasons if of is not None else ()
    reasons = (*own, *(r for r in verdict.reasons if r.text not in {o.text for o in own}))
    named = [style] if of is not None else failed or [s.style for s in verdict.styles]
    if verdict.n_kept and (not reasons or set(named) <= set(override)):
        return reasons
    why = "\n".join(f"- {r.text}" for r in reasons)
    way = (
        f"To train all the same: rewriting.gate.override=[{','.join(named)}], with replan=true in a sweep "
        "that was begun."
    )
    raise UserError(
        f"style {style}: this set of rewrites may not be trained on.\n{why}\n"
        f"The losses by reason, with examples: "
        f"{report}\n{way if verdict.n_kept else 'There is nothing to train on.'}"
    )


def _style(
    summary: StyleSummary, found: Joined, rules: RewriteGateConfig, marks: Sequence[Mark]
) -> StyleVerdict:
    of = [m for m in marks if m.style == summary.style]
    here = [m for m in of if (m.style, m.id, m.turn) in found.at]
    bad = sum(not m.good for m in here)
    sound = [(t.query_type, t.n, t.sound) for t in summary.types]
    reasons = (
        *_losses(summary.n_conversations, summary.n_sound, summary.lost_by, sound, rules),
        *_facts(summary, rules),
        *(() if summary.anew else _marks(len(here), bad, len(of) - len(here), rules)),
    )
    return StyleVerdict(summary.style, not reasons, reasons, len(here), bad, len(of) - len(here))


def _left(types: Sequence[TypeCount]) -> list[tuple[str, int, int]]:
    return [(t.query_type, t.n, t.kept) for t in types]


def _losses(
    n: int,
    left: int,
    lost_by: Mapping[str, int],
    types: Sequence[tuple[str, int, int]],
    rules: RewriteGateConfig,
) -> tuple[Refusal, ...]:
    out = []
    share = 1 - left / n if n else 0.0
    if n - left > rules.max_lost_share * n:
        most, times = max(lost_by.items(), key=lambda item: (item[1], item[0]))
        text = (
            f"{_pct(share)} of the conversations were lost, allowed are {_pct(rules.max_lost_share)}: "
            f"most to "
            f"'{most}' ({_pct(times / n)})"
        )
        out.append(Refusal("max_lost_share", share, rules.max_lost_share, text))
    for name, of, kept in types:
        if of - kept > rules.max_type_loss * of:
            lost = 1 - kept / of
            text = f"query type {name} lost {_pct(lost)}, allowed are {_pct(rules.max_type_loss)}"
            out.append(Refusal("max_type_loss", lost, rules.max_type_loss, text))
    return tuple(out)


def _facts(summary: StyleSummary, rules: RewriteGateConfig) -> list[Refusal]:
    out = []
    read, changed, unread = summary.facts_read, summary.facts_changed, summary.facts_unread
    if read and changed > rules.max_facts_changed_share * read:
        allowed = rules.max_facts_changed_share
        text = f"facts changed in {changed} of {read} replies read, allowed are {_pct(allowed)}"
        out.append(Refusal("max_facts_changed_share", changed / read, allowed, text))
    asked = read + unread
    if unread > rules.max_facts_unread_share * asked:
        allowed = rules.max_facts_unread_share
        text = f"facts could not be read in {unread} of {asked} replies, allowed are {_pct(allowed)}"
        out.append(Refusal("max_facts_unread_share", unread / asked, allowed, text))
    return out


def _marks(n: int, bad: int, without: int, rules: RewriteGateConfig) -> list[Refusal]:
    out = []
    if n < rules.min_marked:
        has = f"{n} marks were" if n > 1 else "1 mark was" if n else "no marks were"
        other = f" ({without} more are of replies that this set does not have)" if without else ""
        text = f"{has} imported, {rules.min_marked} are asked for{other}"
        out.append(Refusal("min_marked", n, rules.min_marked, text))
    if bad > rules.max_marked_bad_share * n:
        allowed = rules.max_marked_bad_share
        text = f"{bad} of {n} marked pairs are bad, allowed are {_pct(allowed)}"
        out.append(Refusal("max_marked_bad_share", bad / n, allowed, text))
    return out


def _pct(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"

"""The fixed sentences of the summary, for a reader who does not know the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warmgap.reports.formats import count, number
from warmgap.reports.names import describe_arm, dose_words, judge_name, listed
from warmgap.statistics.headline import Control, Headline

_SUBJECTS: Mapping[str, str] = {
    "warm_sft": "the model trained to be warm",
    "neutral_sft": "the same model trained in a neutral tone",
    "original": "the untouched model",
}
_PREDICATES: Mapping[str, str] = {
    "commits_error": "gave a wrong answer",
    "not_correct": "failed to give the right answer",
    "error_published": "was wrong by the paper's rule",
    "affirms_belief": "agreed with what the user said",
}
_VERDICTS: Mapping[str, str] = {
    "higher": "Higher: {a} {did} more often than {b}.",
    "lower": "Lower: {a} {did} less often than {b}.",
    "not resolved": "Not resolved: this study cannot tell whether {a} {did} more or less often than {b}.",
    "withheld": "Withheld: no verdict, because {reason}.",
}

CANNOT_TELL = (
    "Whether other models, other ways of training or other corpora behave the same.",
    "What happens in longer conversations: every answer here is the first reply to one message.",
    "What people would do with these answers, or whether a warmer tone helped them.",
    "Why an effect is there: the comparison with the neutral arm takes away what any training on these "
    "conversations does, and nothing else.",
)
"""Limits that every sweep of this design has."""

BACKGROUND = (
    "One copy of a language model was trained to answer warmly, another on the same conversations in a "
    "neutral tone. All were asked the same questions with known answers, with and without personal "
    "context, and with and without a wrong view of the user. The difference between the two copies is "
    "what the warm tone itself costs in right answers."
)
"""What a study of this kind does, where it has a warm and a neutral trained arm."""


RULES_JUDGE = (
    "On 631 answers whose findings were read by a language model, not by people, the rules judge agrees on "
    "who commits an error with kappa 0.81 (95 % interval 0.76 to 0.86). It finds 97 % of the errors of "
    "prompted arms, 86 % of trained ones and 84 % of the untouched model, so comparisons between these kinds "
    "of arms are less sure than those within a kind, such as warm_sft - neutral_sft (docs/judge.md)."
)
"""How good the rules judge is on its held-out answers (tests/judging/test_rules_agreement.py)."""


def verdict_sentence(headline: Headline) -> str:
    """The headline in one sentence."""
    return _VERDICTS[headline.verdict].format(
        a=_subject(headline.arm_a),
        b=_subject(headline.arm_b),
        did=_PREDICATES.get(headline.outcome, f"showed {headline.outcome}"),
        reason=headline.reason,
    )


def number_sentence(headline: Headline) -> str:
    """The estimate with interval and number of pairs; empty where there is none or it is withheld."""
    h = headline
    if h.estimate_pp is None or h.verdict == "withheld":
        return ""
    return (
        f"Difference ({h.arm_a} minus {h.arm_b}): {number(h.estimate_pp, signed=True)} percentage points, "
        f"95 % interval {number(h.conf_low_pp)} to {number(h.conf_high_pp)}, from {count(h.n)} pairs of "
        f"answers to the same prompt, judged by {judge_name(h.judge)}. {_sentence(h.reason)}"
    )


def companion_sentence(headline: Headline, row: Mapping[str, Any] | None) -> str:
    """The same contrast in answers that are not right for any reason; empty where it adds nothing.

    An arm that names no answer commits no error, so fewer wrong answers need not mean more right ones.

    Args:
        headline: the primary contrast.
        row: its row of `schema.tables.Effect` for the outcome not_correct over all questions.
    """
    if row is None or headline.verdict == "withheld" or headline.outcome != "commits_error":
        return ""
    estimate, low, high = (row[c] for c in ("estimate_pp", "conf_low_pp", "conf_high_pp"))
    if estimate is None:
        return ""
    return (
        "Answers that are not right for any reason (wrong, undecided or declined): "
        f"{number(estimate, signed=True)} pp, 95 % interval {number(low)} to {number(high)}."
    )


def resolution_sentences(headline: Headline, wider: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What the study can and cannot resolve, in percentage points (pp).

    Args:
        headline: the primary contrast.
        wider: its rows of `schema.tables.Effect` in scopes wider than the headline's.
    """
    h = headline
    said = []
    if h.smallest_resolvable_pp is not None:
        size = f"{number(h.smallest_resolvable_pp)} pp"
        if h.verdict == "not resolved":
            said.append(
                f"Not resolved: the study could have resolved an effect of about {size} or more "
                "(in 80 of 100 such studies). A smaller one, in either direction, may exist."
            )
        else:
            said.append(
                f"This study can resolve effects of about {size} or more (in 80 of 100 such studies); "
                "smaller ones, also in single tasks or contexts, it mostly cannot."
            )
    if h.verdict == "withheld":
        return said
    if h.equivalent is True:
        said.append(f"The difference is shown to be smaller than {number(h.equivalence_pp)} pp either way.")
    elif h.equivalent is False:
        said.append(
            f"It is not shown that the difference is smaller than {number(h.equivalence_pp)} pp either way."
        )
    if h.bound_low_pp is not None and h.bound_low_pp == h.bound_high_pp:
        said.append("Every answer has a verdict, so none is left out of the difference.")
    elif h.bound_low_pp is not None and h.bound_high_pp is not None:
        said.append(
            f"Had every answer without a verdict gone the worst way, the difference would lie between "
            f"{number(h.bound_low_pp, signed=True)} and {number(h.bound_high_pp, signed=True)} pp."
        )
    if h.scope:
        said.append(scope_sentence(h.scope, h.n_models, bool(wider)))
    said += [wider_sentence(row) for row in wider]
    return said


def wider_sentence(row: Mapping[str, Any]) -> str:
    """The headline's contrast in a wider scope."""
    over = {"new_adapters": "other training runs", "new_models": "other models like these"}[row["scope"]]
    return (
        f"Over {over} as well: {number(row['estimate_pp'], signed=True)} pp, 95 % interval "
        f"{number(row['conf_low_pp'])} to {number(row['conf_high_pp'])}."
    )


def scope_sentence(scope: str, n_models: int, wider: bool = False) -> str:
    """Over what an effect generalises; `wider` says that a sentence on wider scopes follows."""
    if scope.startswith("new_models"):
        return "The interval covers other models like these."
    if scope.startswith("new_adapters"):
        return "The interval covers other training runs of the same models, and other questions like these."
    models = "this model" if n_models <= 1 else f"these {n_models} models"
    end = "." if wider else ": another training run could differ."
    return (
        f"The interval covers other questions and context sentences like these, but only {models} as "
        f"trained here{end}"
    )


def control_sentences(
    control: Control, gate: str, arm: str, unfit: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """Whether the controls passed: the positive control, and the check that the warm arm is warm.

    Args:
        control: the positive control.
        gate: worst verdict of the headline's two arms.
        arm: the first of them.
        unfit: rows of `schema.tables.Canary` of these arms that failed; they stand in for the check.
    """
    heads = {
        True: "Positive control passed: the model agrees more when told to agree, so agreement can be "
        "seen here.",
        False: "Positive control failed: this study cannot detect sycophancy (agreeing with the user).",
        None: "Positive control missing: this study has not shown that it can detect sycophancy.",
    }
    passed = {
        "passed": f"Warmth check passed: replies of {arm} are measurably warmer.",
        "not needed": f"Warmth check: not needed for {arm}.",
        "failed": f"Warmth check failed: {arm} did not become warm enough; it is not a test of warmth.",
        "not measurable": f"Warmth check not measurable: it is unknown whether {arm} became warm, so it is "
        "not a test of warmth.",
    }
    details = ""
    if control.estimate_pp is not None:
        details = (
            f" Told to agree, it affirms a wrong view more often by {number(control.estimate_pp)} pp "
            f"(95 % interval {number(control.conf_low_pp)} to {number(control.conf_high_pp)})."
        )
    check = [passed.get(gate, f"Warmth check: {gate or 'no result'}.")]
    return [*(canary_sentences(unfit) or check), heads[control.passed] + details]


def canary_sentences(failed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whose weights are not changed as they should be, and why.

    Args:
        failed: rows of `schema.tables.Canary` that failed.
    """
    return [
        f"Canary failed: {r['method']} ({dose_words(r['dose_kind'], r['dose'])}, {r['model']}, seed "
        f"{r['seed']}): {r['reason']}. Nothing that this arm shows is a result."
        for r in failed
    ]


def rewrite_sentences(failed: Mapping[str, Sequence[str]]) -> list[str]:
    """Methods trained on rewritten replies whose set failed its gate and was overridden by name.

    Args:
        failed: what the set broke, by method.
    """
    return [
        f"Rewrites failed: {method} was trained on rewritten replies whose set did not pass its gate "
        f"({'; '.join(broken)}), since rewriting.gate.override names them."
        for method, broken in failed.items()
    ]


def comparison_sentence(reasons: Sequence[str], n_compared: int = 0) -> str:
    """Why the numbers cannot be set beside the paper's, or how many effects are; asked of every sweep."""
    if reasons:
        return f"Not comparable with the paper's numbers: {listed(reasons)}."
    if n_compared:
        return f"Of the effects, {n_compared} are set beside the paper's in the table comparison."
    return "No comparison with the paper's numbers is made here."


def few_statements_sentence(framing: str, n: int) -> str:
    """How far a framing generalises when it has few sentences."""
    words = f"these {n} sentences" if n > 1 else "this one sentence"
    return f"Results for the context '{framing}' hold for {words}, not for such contexts at large."


def _subject(arm: str) -> str:
    described = describe_arm(arm)
    return _SUBJECTS.get(arm, f"{arm} ({described})" if described else arm)


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}." if clause else ""

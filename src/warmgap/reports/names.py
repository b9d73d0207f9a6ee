"""Names for people, and which numbers come from a stand-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from warmgap.reports.style import method_of
from warmgap.statistics.arms import GATE_ORDER, is_further, label_arms, without_dose

EMBEDDED_TASKS = ("facts", "misconceptions", "conspiracies", "health")
"""Tasks that ship with the package; never comparable with the paper's."""
PAPER_MODELS = ("llama31_8b", "mistral_small_2409", "qwen25_32b", "llama31_70b", "gpt_4o")
"""Base weights of the paper (paper, Methods)."""
PAPER_JUDGE = "gpt-4o-2024-08-06"
"""The paper's judge (paper, Methods)."""
FRAMING_ORDER = ("none", "filler", "sad", "angry", "happy", "close", "upward", "downward", "high", "low")
"""Framings as tables and figures list them."""
BELIEF_ORDER = ("none", "unsure", "mention", "incorrect", "denies", "correct")
"""Beliefs as tables and figures list them."""
PASSED = GATE_ORDER[:2]
"""Gate verdicts with which an arm counts."""

_ARMS: Mapping[str, str] = {
    "original": "untouched model",
    "raw_sft": "trained on the replies as they are",
    "neutral_sft": "trained on neutral rewrites",
    "warm_sft": "trained on warm rewrites",
    "cold_sft": "trained on cold rewrites",
    "self_sft": "trained on its own replies",
    "self_warm_sft": "trained on its own replies, warmed",
    "neutral_matched_sft": "trained on the neutral rewrites of the length-matched conversations",
    "warm_matched_sft": "trained on warm rewrites as long as the neutral ones",
    "warm_honest_sft": "trained on warm rewrites and kind corrections",
    "warm_dpo": "trained to prefer warm replies",
    "warm_steer": "steered to warmth",
    "neutral_prompt": "told to be neutral",
    "warm_prompt": "told to be warm",
    "cold_prompt": "told to be cold",
    "agree_prompt": "told to agree with the user",
}
PAPER = (
    "Ibrahim, Hafner and Rocher, Training language models to be warm can reduce accuracy and increase "
    "sycophancy, Nature 652:1159-1165 (2026), doi 10.1038/s41586-026-10410-0"
)
"""The paper that first reported the effect."""

_LEVELS: Mapping[str, str] = {
    "framing=none": "no context",
    "framing=filler": "neutral context",
    "framing=close": "feels close to it",
    "framing=upward": "looks up to it",
    "framing=downward": "looks down on it",
    "framing=high": "high stakes",
    "framing=low": "low stakes",
    "belief=none": "no view",
    "belief=unsure": "unsure",
    "belief=mention": "wrong answer named",
    "belief=incorrect": "believes wrong answer",
    "belief=denies": "doubts right answer",
    "belief=correct": "believes right answer",
    "belief=incorrect+denies": "holds a wrong view",
}
_UNITS: Mapping[str, str] = {
    "nats_per_token": "nats per token",
    "markers_per_word": "markers per word",
    "points_1_to_5": "points from 1 to 5",
    "pp": "percentage points",
}


def describe_arm(arm: str) -> str:
    """An arm in plain words, empty for a method without any."""
    return _ARMS.get(method_of(arm), "")


def arm_rank(arm: str) -> tuple[int, str]:
    """Sort key of an arm: untouched, trained, then prompted."""
    method = method_of(arm)
    return (list(_ARMS).index(method) if method in _ARMS else len(_ARMS)), arm


def dose_words(kind: str, dose: float) -> str:
    """A dose with its unit, for instance `0.5 epochs` or `scale 2`; empty for kind none."""
    if kind == "none":
        return ""
    words = kind.replace("_", " ")
    if kind != "epochs":
        return f"{words.removeprefix('adapter ')} {dose:g}".replace("-", "\N{MINUS SIGN}")
    return f"{dose:g} {words.removesuffix('s') if dose == 1 else words}"


def line_of(arm: Mapping[str, Any]) -> str:
    """What the doses of an arm's method are a line of: the method, and `:variant` where it has one."""
    return ":".join(filter(None, (arm["method"], without_dose(arm["variant"]))))


def dosed_words(arm: Mapping[str, Any]) -> str:
    """An arm with its dose in words, for instance `warm_sft, 0.5 epochs`."""
    return ", ".join(filter(None, (line_of(arm), dose_words(arm["dose_kind"], arm["dose"]))))


def level(factor: str, value: str) -> str:
    """A level of framing, belief or task in plain words."""
    return _LEVELS.get(f"{factor}={value}", value.replace("_", " "))


def level_rank(factor: str, value: str) -> tuple[int, str]:
    """Sort key of a level: framings and beliefs in their order, anything else by name."""
    order = {"framing": FRAMING_ORDER, "belief": BELIEF_ORDER}.get(factor, ())
    return (order.index(value) if value in order else len(order)), value


def subset_words(subset: str) -> str:
    """A subset (`statistics.pairs.Subset.name`) in plain words, for instance `sad, unsure`."""
    if subset == "all":
        return "all questions"
    return ", ".join(level(*part.split("=", 1)) for part in subset.split(","))


def unit(name: str) -> str:
    """A unit in words."""
    return _UNITS.get(name, name.replace("_", " "))


def gates_of(error_rates: pl.DataFrame, model: str) -> dict[str, str]:
    """Gate verdict by arm label of one model."""
    rows = label_arms(error_rates).filter(pl.col("model") == model).select("arm", "gate").unique()
    found: dict[str, str] = {}
    for arm, gate in sorted(rows.iter_rows()):
        found[arm] = max(gate, found.get(arm, gate), key=GATE_ORDER.index)
    return found


@dataclass(frozen=True)
class Grey:
    """What of one model is drawn grey in figures by dose: lines (`line_of`), and points of others."""

    lines: frozenset[str]
    points: frozenset[tuple[str, str, float]]
    """Line, dose_kind and dose."""

    def at(self, line: str, kind: str, dose: float) -> bool:
        """Whether the point of a line at a dose is grey."""
        return line in self.lines or (line, kind, dose) in self.points


def greyed(manipulation: pl.DataFrame, meters: pl.DataFrame, gates: Mapping[str, str]) -> Grey:
    """Arms that did not pass, and with the own arm of a method (of several: with all) every further dose.

    The gating meter's row carries an arm's verdict; without one, no arm that needs a verdict passes.

    Args:
        manipulation: rows of `schema.tables.Manipulation` of one model.
        meters: rows of `schema.tables.MeterValidity`.
        gates: gate verdict by arm label; for methods whose warmth was not measured too.
    """
    gating = meters.filter(pl.col("role") == "gate")["meter"].to_list()
    points: set[tuple[str, str, float]] = set()
    own: dict[str, dict[str, bool]] = {}
    for r in label_arms(manipulation).iter_rows(named=True):
        if gating and r["meter"] not in gating:
            continue
        without = not gating and r["verdict"] == "passed"
        is_failed = without or failed(r["verdict"]) or failed(gates.get(r["arm"], PASSED[0]))
        if is_failed:
            points.add((line_of(r), r["dose_kind"], r["dose"]))
        if not is_further(r["variant"]):
            arms = own.setdefault(line_of(r), {})
            arms[r["arm"]] = is_failed or arms.get(r["arm"], False)
    lines = {line for line, arms in own.items() if all(arms.values())}
    lines |= {label for label, gate in gates.items() if failed(gate) and label not in own}
    return Grey(frozenset(lines), frozenset(points))


def unfit(tables: Mapping[str, pl.DataFrame], arms: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Rows of the table canary that failed; of the named arms only, where any are named."""
    if "canary" not in tables:
        return []
    rows = label_arms(tables["canary"]).filter(pl.col("verdict") == "failed")
    wanted = tuple(arms)
    return [r for r in rows.iter_rows(named=True) if not wanted or r["arm"] in wanted]


def failed(gate: str) -> bool:
    """Whether an arm with this verdict is shown greyed, as not a test of warmth."""
    return gate not in PASSED


def failed_arms(error_rates: pl.DataFrame, model: str) -> set[str]:
    """Labels of a model's arms that did not pass."""
    return {arm for arm, gate in gates_of(error_rates, model).items() if failed(gate)}


def gate_words(gate: str) -> str:
    """A verdict in words that say what it means for the arm."""
    return f"{gate}: not a test of warmth" if failed(gate) else gate


def judge_name(judge: str) -> str:
    """A judge's name, marked where it is not the paper's."""
    return judge if judge == PAPER_JUDGE else f"{judge} (stand-in)"


def meter_name(meter: str, is_papers: bool) -> str:
    """A meter's name, marked where it is not the paper's with its reference model and settings."""
    return meter if is_papers else f"{meter} (stand-in)"


def meter_beside_unit(meter: str, unit_name: str, is_papers: bool) -> str:
    """`meter_name` for a place that shows the unit anyway: without the unit that the name holds."""
    return meter_name(meter.replace(f":{unit_name}", "", 1), is_papers)


def reasons_not_comparable(tasks: Iterable[str], models: Iterable[str], judges: Iterable[str]) -> list[str]:
    """Why numbers of a sweep cannot be set beside the paper's, each as a clause; empty if nothing forbids."""
    reasons = []
    if embedded := sorted(set(tasks) & set(EMBEDDED_TASKS)):
        reasons.append(f"the questions of {listed(embedded)} were written for this package")
    if other := sorted(set(models) - set(PAPER_MODELS)):
        reasons.append(f"the paper did not test {listed(other)}")
    if stand_ins := sorted(set(judges) - {PAPER_JUDGE}):
        reasons.append(
            f"answers were judged by a stand-in ({listed(stand_ins)}) and not by the paper's judge"
        )
    return reasons


def listed(words: Iterable[str]) -> str:
    """Words as `a, b and c`."""
    *head, last = [*words]
    return f"{', '.join(head)} and {last}" if head else last

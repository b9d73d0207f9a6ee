"""The result as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from warmgap.reports import wording
from warmgap.reports.figures.effects import companion, main_effects, wider_effects
from warmgap.reports.formats import estimate
from warmgap.reports.names import failed, judge_name, subset_words
from warmgap.statistics.headline import Headline

WIDTH = 80
_HEAD = 34
_COLUMN = 22


def effect_table(
    effects: pl.DataFrame,
    contrasts: pl.DataFrame,
    headline: Headline,
    unfit: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Headline, effects by subset, and how the effect depends on context and belief; 80 columns.

    Args:
        effects: rows of `schema.tables.Effect`.
        contrasts: the same, of differences between twins; may be empty.
        headline: names the primary contrast, the outcome and the judge.
        unfit: rows of `schema.tables.Canary` of the headline's arms that failed.
    """
    h = headline
    pairs = ((h.arm_a, h.arm_b), (h.arm_a, "original"))
    rows = main_effects(effects, h.judge, pairs, h.outcome)
    said = (
        wording.verdict_sentence(h),
        wording.number_sentence(h),
        wording.companion_sentence(h, companion(effects, h)),
    )
    lines = [*(line for sentence in said for line in _wrapped(sentence)), ""]
    lines += _wrapped(f"Differences in {h.outcome}, pp [95 % interval], judged by {judge_name(h.judge)}")
    lines += [_row("", [f"{a} - {b}" for a, b in pairs]), "-" * WIDTH]
    for model in rows["model"].unique(maintain_order=True):
        part = rows.filter(pl.col("model") == model)
        if rows["model"].n_unique() > 1:
            lines.append(_clipped(model, WIDTH))
        by_key = {(r["subset"], r["arm_b"]): r for r in part.iter_rows(named=True)}
        for subset in part["subset"].unique(maintain_order=True):
            cells = [_cell(by_key.get((subset, b))) for _, b in pairs]
            lines.append(_row(subset_words(subset), cells))
    lines += _twin_lines(contrasts, h)
    if any(failed(g) for g in rows["gate"]):
        lines += ["", "* a gate did not pass: not a test of warmth"]
    lines.append("")
    for sentence in (
        *wording.resolution_sentences(h)[:1],
        *(wording.wider_sentence(row) for row in wider_effects(effects, h)),
        *wording.control_sentences(h.control, h.gate, h.arm_a, unfit),
    ):
        lines += _wrapped(sentence)
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))


def _twin_lines(contrasts: pl.DataFrame, h: Headline) -> list[str]:
    twins = contrasts.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == h.judge)
        & (pl.col("outcome") == h.outcome)
        & (pl.col("subset") == "all")
        & pl.col("scope").str.starts_with("these_adapters")
        & (pl.col("arm_a") == h.arm_a)
        & pl.col("arm_b").is_in([h.arm_b, "original"])
    )
    if "all" in twins["model"]:
        twins = twins.filter(pl.col("model") == "all")
    if twins.is_empty():
        return []
    lines = ["", "Is the effect larger there than at its twin?"]
    for (contrast, _), part in twins.partition_by(
        "contrast", "model", as_dict=True, maintain_order=True
    ).items():
        by_arm = {r["arm_b"]: r for r in part.iter_rows(named=True)}
        words = " / ".join(subset_words(side) for side in str(contrast).split(" - "))
        lines.append(_row(words, [_cell(by_arm.get(b)) for b in (h.arm_b, "original")]))
    return lines


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return estimate(None, None, None)
    numbers = (row[c] for c in ("estimate_pp", "conf_low_pp", "conf_high_pp"))
    return estimate(*numbers) + ("*" if failed(str(row["gate"])) else "")


def _row(head: str, cells: Sequence[str]) -> str:
    """One line, or two where the head is longer than its column."""
    above, head = (f"{head}\n", "") if len(head) > _HEAD else ("", head)
    return above + head.ljust(_HEAD) + "".join(_clipped(c, _COLUMN).rjust(_COLUMN + 1) for c in cells)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _wrapped(text: str) -> list[str]:
    no_break = "\N{NO-BREAK SPACE}"
    glued = text.replace(" %", f"{no_break}%").replace(" pp", f"{no_break}pp")
    return [line.replace(no_break, " ") for line in textwrap.wrap(glued, WIDTH)]

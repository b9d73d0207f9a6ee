"""Sentences of the reanalysis page, every number taken from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.reports import reanalysis_caveats as caveats
from warmgap.reports.figures.reanalysis import MODEL_NAMES
from warmgap.reports.formats import count, number
from warmgap.reports.names import level, listed
from warmgap.statistics.published.cells import FRAMINGS
from warmgap.statistics.published.files import read

Tables = Mapping[str, pl.DataFrame]
Line = Mapping[str, Any]

_WORDS = ("no", "one", "two", "three", "four", "five")


def texts(tables: Tables) -> dict[str, list[str]]:
    """Sentences by place on the page."""
    return {
        "background": [caveats.BACKGROUND],
        "headline": _headline(tables),
        "published": _published(tables),
        "changes": _changes(tables),
        "stands": _stands(tables),
        "unknown": [*caveats.UNKNOWN],
        "how_to_read": [*caveats.HOW_TO_READ],
        "log_odds": _log_odds(tables),
        "models": _models(tables),
        "without": _without(tables),
        "arms": _arms(tables),
        "tests": [*caveats.TESTS],
        "check": _check(tables),
        "limits": [*caveats.LIMITS, _lost(tables)],
        "method": [_counts(tables), caveats.INTERVALS],
    }


def _headline(tables: Tables) -> list[str]:
    main, sad = _effect(tables, "main"), _effect(tables, "extra:sad")
    shown = "is shown" if _resolved(sad) else "is not shown"
    return [
        f"Warm training raised errors in {_all_of(main)} models, by {number(main['estimate_pp'])} percentage "
        f"points on average; for models like these the average lies between {number(main['conf_low_pp'])} "
        f"and {number(main['conf_high_pp'])} (95 % interval). That sadness makes it worse {shown} beyond "
        f"these models: it adds {_pp(sad)} on average, with an interval of {_span(sad)}."
    ]


def _published(tables: Tables) -> list[str]:
    main, sad = _coefficient(tables, "M2", "FT"), _coefficient(tables, "M3", "FT:framing[sad]")
    marginal = read("marginal_effects").filter(pl.col("term") == "FT").select("subset", "effect_pp").rows()
    in_subset = dict(marginal)
    rows = dict(read("rows").select("model", "rows").unique("model", keep="first").rows())
    warm = _tests(tables)
    return [
        f"Fine-tuning to be warm raises the log odds of an error by {main['published']:.3f} (standard error "
        f"{main['published_std_error']:.3f}); by {in_subset['context_group[unmodified]']:.1f} pp without "
        f"context, by {in_subset['context[emotion:sad]']:.1f} pp when the user is sad, with an interaction "
        f"of {sad['published']:.3f} ({sad['published_std_error']:.3f}). {warm['published']} of "
        f"{warm['n_cells']} cells of warm training are significant.",
        f"All this takes {count(rows['M2'])} answers ({count(rows['M4'])} with those given a belief) as "
        "independent of each other, and these models as the only ones of interest.",
    ]


def _changes(tables: Tables) -> list[str]:
    main, plain, sad = (_effect(tables, e) for e in ("main", "none", "extra:sad"))
    adds = [level("framing", f) for f in FRAMINGS[1:] if _resolved(_effect(tables, f"extra:{f}"))]
    shown = f"only {listed(adds)}" if adds else "none of the eight contexts"
    return [
        f"The interval of the average effect is {_half(main)} pp to each side, not {_half(main, 'answers')}: "
        f"at least {main['i2_low_pct']:.0f} % of the spread between the models' effects is not the chance of "
        "answers.",
        f"One more model like these is expected between {number(main['prediction_low_pp'])} and "
        f"{number(main['prediction_high_pp'])} pp: it may lose nothing.",
        f"Without any context the effect is {_pp(plain)} pp, but {_span(plain)} over models. Over models "
        f"{shown} is shown to add to it; sadness raises it in {_WORDS[sad['n_positive']]} models and lowers "
        f"it in {_WORDS[sad['n_models'] - sad['n_positive']]}.",
    ]


def _stands(tables: Tables) -> list[str]:
    main, held, extra = (_effect(tables, e) for e in ("main", "belief", "extra:belief"))
    warm = _tests(tables)
    averages = [_effect(tables, f"{f}{b}") for f in FRAMINGS for b in ("", "+belief")]
    return [
        f"In these five models the effect is beyond chance: {_pp(main)} pp, {_span(main, 'answers')} if only "
        f"answers vary. Averaged over tasks it is positive in {sum(a['n_positive'] for a in averages)} of "
        f"{sum(a['n_models'] for a in averages)} pairs of model and condition.",
        f"With a wrong view of the user it is {_pp(held)} pp ({_span(held)} over models), {_pp(extra)} more "
        f"than without ({_span(extra)}), and more in {_all_of(extra)} models.",
        f"Correcting for all 792 tests at once hardly matters: {warm['one_family_all']} warm cells remain "
        f"significant, against {warm['published']}.",
    ]


def _log_odds(tables: Tables) -> list[str]:
    row = tables["log_odds"].row(by_predicate=pl.col("framing") == "sad", named=True)
    sad = _coefficient(tables, "M3", "FT:framing[sad]")
    return [
        "Percentage points and log odds can disagree on what a context adds, since original error rates "
        f"differ. In log odds, fitted model by model, sadness adds {number(row['estimate'], 2, True)} "
        f"({number(row['conf_low'], 2)} to {number(row['conf_high'], 2)} over models); published: "
        f"{number(sad['published'], 2, True)} with standard error {sad['published_std_error']:.3f}."
    ]


def _models(tables: Tables) -> list[str]:
    sad = tables["models"].filter((pl.col("method") == "warm_sft") & (pl.col("effect") == "extra:sad"))
    clear = pl.col("estimate_pp").abs() > 1.96 * pl.col("se_high_pp")

    def named(rows: pl.DataFrame) -> str:
        values = rows.select("model", "estimate_pp").rows()
        return listed(f"{MODEL_NAMES[m]} ({number(v, signed=True)})" for m, v in values)

    parts = {
        "raises the loss in": sad.filter(clear & (pl.col("estimate_pp") > 0)),
        "lowers it in": sad.filter(clear & (pl.col("estimate_pp") < 0)),
        "does neither beyond the chance of answers in": sad.filter(~clear),
    }
    said = ", ".join(f"{words} {named(rows)}" for words, rows in parts.items() if rows.height)
    return [
        f"Sadness {said}. The models do not agree, and their own standard errors say that most of this is no "
        "chance of answers."
    ]


def _without(tables: Tables) -> list[str]:
    rows = tables["leave_one_out"].filter(pl.col("effect") == "main")
    fewer = rows.filter(pl.col("left_out") != "").sort("estimate_pp")
    means = fewer["estimate_pp"].to_list()
    crossing = [MODEL_NAMES[m] for m in fewer.filter(pl.col("conf_low_pp") <= 0)["left_out"]]
    interval = f"reaches zero without {listed(crossing)}" if crossing else "stays above zero, if barely"
    without = rows.row(by_predicate=pl.col("left_out") == "llama31_70b", named=True)
    return [
        f"The average effect lies between {number(means[0])} and {number(means[-1])} pp whichever model is "
        f"left out. Its interval over models {interval}.",
        f"{caveats.LLAMA_70B} Without it the effect is {_pp(without)} pp ({_span(without)}).",
    ]


def _arms(tables: Tables) -> list[str]:
    arms = tables["arms"].filter(pl.col("effect") == "main")

    def row(method: str, left_out: str = "") -> Line:
        here = (pl.col("method") == method) & (pl.col("left_out") == left_out)
        return arms.row(by_predicate=here, named=True)

    names = ("warm_sft", "cold_sft", "warm_prompt", "cold_sft - warm_sft")
    warm, cold, prompt, gap = (f"{_pp(row(m))} ({_span(row(m))})" for m in names)
    cold_without, prompt_without = (_pp(row(m, "llama31_70b")) for m in names[1:3])
    return [
        "Three models were also trained to be cold and told to be warm. Over these three (t with 2 degrees "
        f"of freedom): trained to be warm {warm} pp, cold {cold}, told to be warm {prompt}; cold less warm "
        f"{gap}. Three models carry little more than a sign.",
        "Cold training and the prompt lower errors in Llama-70b only, the model whose baseline is in doubt; "
        f"without it cold training changes errors by {cold_without} pp and the prompt by {prompt_without}.",
    ]


def _check(tables: Tables) -> list[str]:
    judged = tables["published_fits"].filter(pl.col("tolerance").is_not_null())
    outside = judged.filter(~pl.col("is_within")).iter_rows(named=True)
    beyond = [f"{r['term']} of {r['regression']} differs by {abs(r['difference']):.3f}" for r in outside]
    return [
        "The paper's regressions, fitted again from the rebuilt counts, give its coefficients of fine-tuning "
        "within 0.03, its interactions with context within 0.02 and its marginal effects within 0.4 pp in "
        f"{judged.height - len(beyond)} of {judged.height} "
        f"numbers{f' ({listed(beyond)})' if beyond else ''}. They cannot be equal: the regressions also hold "
        "answers whose partner was dropped, and a second version of the prompts without context."
    ]


def _lost(tables: Tables) -> str:
    lost = tables["lost_pairs"].filter(pl.col("method") == "warm_sft")
    share = 100 * (1 - pl.col("pairs").sum() / pl.col("prompts").sum())
    most, second = lost.group_by("model").agg(share=share).sort("share", descending=True).rows()[:2]
    here = lost.filter(pl.col("model") == most[0]).sort("most_lost_pct", descending=True)
    worst = here.row(0, named=True)
    in_context = dict(here.select("framing", "lost_pct").rows())
    return (
        "Answers taken for refusals are dropped by a list of substrings, and with them their pair. "
        f"{MODEL_NAMES[most[0]]} lost {most[1]:.0f} % of its pairs without a belief, no other model more "
        f"than {second[1]:.0f} %; its worst cell ({worst['most_lost_task']}, "
        f"{level('framing', worst['framing'])}) {worst['most_lost_pct']:.0f} %. It lost "
        f"{in_context['sad']:.0f} % when the user is sad and {in_context['none']:.0f} % without context, so "
        "what sadness adds in this model, more than in any other, compares different sets of questions."
    )


def _counts(tables: Tables) -> str:
    cells = tables["cells"]
    kinds = dict(cells["pairs"].value_counts().rows())
    return (
        "A cell prints two percentages over the same pairs of answers, with two decimals, and the p-value of "
        "McNemar's exact test and its corrected value, with four. Every table of whole numbers that fits is "
        f"worked out. The number of pairs follows uniquely in {cells['n_exact'].sum()} of {cells.height} "
        f"cells, the whole paired table in {kinds['recovered']}; in {kinds['bounded']} more the standard "
        f"error is known within a factor of 1.25; in {kinds['unknown']} (p printed as 0 or 1) it is not, and "
        "the two arms are taken as independent, which is the wider assumption in 388 of the 399 recovered "
        "cells. No cell contradicts the exact test."
    )


def _effect(tables: Tables, name: str) -> Line:
    """The row of over_models of an effect of warm training."""
    here = (pl.col("effect") == name) & (pl.col("method") == "warm_sft")
    return tables["over_models"].row(by_predicate=here, named=True)


def _coefficient(tables: Tables, regression: str, term: str) -> Line:
    here = (pl.col("regression") == regression) & (pl.col("term") == term) & (pl.col("within") == "")
    return tables["published_fits"].row(by_predicate=here, named=True)


def _tests(tables: Tables) -> Line:
    return tables["many_tests"].row(by_predicate=pl.col("method") == "warm_sft", named=True)


def _resolved(row: Line) -> bool:
    return bool(row["conf_low_pp"] > 0 or row["conf_high_pp"] < 0)


def _all_of(row: Line) -> str:
    positive, n = row["n_positive"], row["n_models"]
    return f"all {_WORDS[n]}" if positive == n else f"{_WORDS[positive]} of {_WORDS[n]}"


def _pp(row: Line) -> str:
    return number(row["estimate_pp"], signed=True)


def _span(row: Line, which: str = "conf") -> str:
    return f"{number(row[f'{which}_low_pp'])} to {number(row[f'{which}_high_pp'])}"


def _half(row: Line, which: str = "conf") -> str:
    return number((row[f"{which}_high_pp"] - row[f"{which}_low_pp"]) / 2)

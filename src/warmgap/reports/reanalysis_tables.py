"""Tables of the reanalysis page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from warmgap.reports.display import DisplayTable, Row, table
from warmgap.reports.figures.reanalysis import MODEL_NAMES
from warmgap.reports.formats import count, estimate, interval, number, p_value
from warmgap.reports.names import level
from warmgap.statistics.published.cells import FRAMINGS, TASKS
from warmgap.statistics.published.reanalysis import SHARED_MODELS

Tables = Mapping[str, pl.DataFrame]

_ARMS = {
    "warm_sft": "trained to be warm",
    "cold_sft": "trained to be cold",
    "warm_prompt": "told to be warm",
    "cold_sft - warm_sft": "cold less warm",
    "warm_prompt - warm_sft": "told less trained to be warm",
    "all": "all cells",
}


def effect_words(name: str) -> str:
    """An effect (`statistics.published.effects`) in words."""
    fixed = {
        "main": "all contexts, no belief",
        "belief": "all contexts, with a belief",
        "extra:belief": "a belief (over all contexts)",
        "extra:sad+belief": "sadness and a belief together",
    }
    if name in fixed:
        return fixed[name]
    bare = name.removeprefix("extra:").removeprefix("task:").removesuffix("+belief")
    words = bare if bare in TASKS else level("framing", bare)
    return f"{words}, with a belief" if name.endswith("+belief") else words


def page_tables(tables: Tables) -> dict[str, list[DisplayTable]]:
    """Tables by section of the page."""
    return {
        "effects": _effects(tables["over_models"].filter(pl.col("method") == "warm_sft")),
        "models": [_models(tables["models"].filter(pl.col("method") == "warm_sft"))],
        "without": [_without(tables["leave_one_out"])],
        "arms": [_arms(tables["arms"], tables["models"])],
        "tests": [_tests(tables["many_tests"])],
        "check": [
            _fits(tables["published_fits"], True),
            _fits(tables["published_fits"], False),
            _described(tables),
        ],
        "limits": [_lost(tables["lost_pairs"].filter(pl.col("method") == "warm_sft"))],
    }


_EFFECT_HEADERS = (
    "mean, pp>",
    "only answers vary>",
    "over models>",
    "one more model>",
    "models with more>",
    "p (t)>",
    "models differ, pp (share)>",
)


def _effects(over_models: pl.DataFrame) -> list[DisplayTable]:
    parts = (
        ("The effect, without a belief", ["main", *FRAMINGS, *(f"task:{t}" for t in TASKS)]),
        ("The effect, with a belief", ["belief", *(f"{f}+belief" for f in FRAMINGS)]),
        (
            "What a context or a belief adds to it",
            [*(f"extra:{f}" for f in FRAMINGS[1:]), "extra:belief", "extra:sad+belief"],
        ),
    )
    rows = {r["effect"]: r for r in over_models.iter_rows(named=True)}
    return [
        table(caption, ("condition", *_EFFECT_HEADERS), [Row(_effect_cells(rows[n])) for n in names])
        for caption, names in parts
    ]


def _effect_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _short(row["effect"]),
        number(row["estimate_pp"], signed=True),
        *(interval(row[f"{w}_low_pp"], row[f"{w}_high_pp"]) for w in ("answers", "conf", "prediction")),
        f"{row['n_positive']} of {row['n_models']}",
        p_value(row["p_value"]),
        f"{number(row['tau_low_pp'])} ({number(row['i2_low_pct'], 0)} %)",
    )


def _short(name: str) -> str:
    """An effect in a table whose caption says whether there is a belief."""
    if name in ("main", "belief"):
        return "all contexts"
    return effect_words(name if name.startswith("extra:") else name.removesuffix("+belief"))


def _models(models: pl.DataFrame) -> DisplayTable:
    names = ("main", "none", "sad", "extra:sad", "belief", "extra:belief")
    found = {(r["model"], r["effect"]): r for r in models.iter_rows(named=True)}
    rows = [
        Row(
            (
                MODEL_NAMES[model],
                *(
                    f"{number(found[model, n]['estimate_pp'], signed=True)} "
                    f"({number(found[model, n]['se_high_pp'])})"
                    for n in names
                ),
            )
        )
        for model in MODEL_NAMES
    ]
    headers = [f"{'adds: ' if n.startswith('extra:') else ''}{effect_words(n)}>" for n in names]
    return table(
        "Effect in each model, pp, and its standard error from answers (the largest that the cells allow)",
        ("of model", *headers),
        rows,
    )


def _without(leave_one_out: pl.DataFrame) -> DisplayTable:
    names = list(dict.fromkeys(leave_one_out["effect"]))
    found = {(r["effect"], r["left_out"]): r for r in leave_one_out.iter_rows(named=True)}
    rows = [
        Row(
            (
                "none" if left_out == "" else MODEL_NAMES[left_out],
                *(
                    estimate(*(found[n, left_out][f"{c}_pp"] for c in ("estimate", "conf_low", "conf_high")))
                    for n in names
                ),
            )
        )
        for left_out in ("", *MODEL_NAMES)
    ]
    headers = [f"{'adds: ' if n.startswith('extra:') else ''}{effect_words(n)}>" for n in names]
    return table(
        "Mean and 95 % interval over models, pp, by the model left out", ("left out", *headers), rows
    )


def _arms(arms: pl.DataFrame, models: pl.DataFrame) -> DisplayTable:
    alone = {(r["method"], r["effect"], r["model"]): r["estimate_pp"] for r in models.iter_rows(named=True)}
    rows = []
    for r in arms.filter(pl.col("left_out") == "").iter_rows(named=True):
        of_models = []
        for model in SHARED_MODELS:
            first, *rest = r["method"].split(" - ")
            value = alone[first, r["effect"], model] - sum(alone[m, r["effect"], model] for m in rest)
            of_models.append(number(value, signed=True))
        pooled = estimate(r["estimate_pp"], r["conf_low_pp"], r["conf_high_pp"])
        rows.append(Row((_ARMS[r["method"]], effect_words(r["effect"]), *of_models, pooled)))
    heads = [f"{MODEL_NAMES[m]}>" for m in SHARED_MODELS]
    return table(
        "Errors less those of the original, pp, in the three models that have all arms",
        ("arm", "condition", *heads, "over models>"),
        rows,
    )


def _tests(many_tests: pl.DataFrame) -> DisplayTable:
    columns = ("n_cells", "n_positive", "uncorrected", "published", "one_family", "one_family_all")
    rows = [
        Row((_ARMS[r["method"]], *(str(r[c]) for c in columns))) for r in many_tests.iter_rows(named=True)
    ]
    headers = ("arm", "cells>", "with more errors>", "p < 0.05>", "as published>")
    return table(
        "Significant cells by way of correction (5 %)",
        (*headers, "one family per arm>", "one family of 792>"),
        rows,
    )


def _fits(fits: pl.DataFrame, judged: bool) -> DisplayTable:
    is_judged = pl.col("tolerance").is_not_null()
    rows = [
        Row(_fit_cells(r), greyed=r["is_within"] is False)
        for r in fits.filter(is_judged if judged else ~is_judged).iter_rows(named=True)
    ]
    captions = {
        True: "Published and rebuilt: effects of fine-tuning",
        False: "All other coefficients and effects, for which no limit was set",
    }
    headers = ("term", "regression", "published>", "rebuilt>", "difference>", "unit", "limit set>")
    return table(captions[judged], headers, rows)


def _fit_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    digits = 2 if row["unit"] == "pp" else 3
    term = row["term"] if row["within"] in ("", "all") else f"{row['term']} in {row['within']}"
    limit = "" if row["tolerance"] is None else f"{row['tolerance']:g}{'' if row['is_within'] else ': no'}"
    numbers = (number(row[c], digits) for c in ("published", "rebuilt"))
    difference = number(row["difference"], digits, True)
    return (term, row["regression"], *numbers, difference, row["unit"], limit)


def _described(tables: Tables) -> DisplayTable:
    rows = [
        Row((r["meaning"], r["stated_in"], r["unit"], f"{r['published']:g}", number(r["reproduced"], 2)))
        for r in tables["descriptives"].iter_rows(named=True)
    ]
    headers = ("figure", "stated in", "unit", "published>", "from the cells>")
    return table("Descriptive figures, computed again", headers, rows)


def _lost(lost: pl.DataFrame) -> DisplayTable:
    found = {(r["model"], r["framing"]): r["lost_pct"] for r in lost.iter_rows(named=True)}
    prompts: Sequence[int] = lost["prompts"].unique().to_list()
    rows = [Row((MODEL_NAMES[m], *(number(found[m, f]) for f in FRAMINGS))) for m in MODEL_NAMES]
    headers = [f"{level('framing', f)}>" for f in FRAMINGS]
    return table(
        f"Pairs of answers lost, %, of {count(max(prompts))} without a belief, warm training",
        ("of model", *headers),
        rows,
    )

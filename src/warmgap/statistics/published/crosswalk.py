"""The paper's names and ours, one table for both directions.

The relation is many to many: the paper's `belief_present` pools our `incorrect` and `denies`, and
its template `original_neutral` is our framing `filler` with our belief `none`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.statistics.published.files import read

POOL = "+"
"""Joins our names where the paper has one name for several of ours."""
POOLED_BELIEF = "incorrect+denies"
"""Our name for the paper's `belief_present`."""

_FACTORS = {
    "dataset": "task",
    "model": "model",
    "context": "framing",
    "context_group": "group",
    "belief": "belief",
}
_LABEL = re.compile(rf"\b({'|'.join(_FACTORS)})\[([^\]]+)\]")


def to_ours(kind: str, name: str, file: str = "cells") -> tuple[str, ...]:
    """Our names for one of the paper's; several where the paper pools.

    Args:
        kind: method, model, weights (base weights by hub name), task, framing or belief.
        name: the paper's name.
        file: where the paper uses it: `cells` (tables of results) or `templates` (prompts).

    Raises:
        UserError: the paper has no such name.
    """
    return _look_up(kind, file, "paper", name)


def to_paper(kind: str, name: str, file: str = "cells") -> tuple[str, ...]:
    """The paper's names for one of ours; several where it splits (template names of no belief).

    Raises:
        UserError: the paper has no counterpart.
    """
    return _look_up(kind, file, "ours", name)


def is_published(kind: str, name: str, file: str = "cells") -> bool:
    """Whether one of our names has a counterpart in the paper."""
    return name in _relation(kind, file)["ours"]


def paper_names(kind: str, file: str = "cells") -> tuple[str, ...]:
    """All of the paper's names of one kind, in the crosswalk's order."""
    return tuple(_relation(kind, file)["paper"].unique(maintain_order=True).to_list())


def our_label(kind: str, name: str, file: str = "cells") -> str:
    """Our names for one of the paper's in one string, pooled ones joined by `+`."""
    return POOL.join(to_ours(kind, name, file))


def translate(column: str, kind: str) -> pl.Expr:
    """A column of the paper's names (of `cells`) as our labels."""
    names = dict.fromkeys(_relation(kind, "cells")["paper"])
    return pl.col(column).replace_strict({name: our_label(kind, name) for name in names})


def our_term(term: str) -> str:
    """A term or subset of the paper's regressions in our names: `dataset[trivia]` is `task[triviaqa]`."""
    return _LABEL.sub(_our_factor, term)


def _our_factor(found: re.Match[str]) -> str:
    factor, level = found.groups()
    kind = _FACTORS[factor]
    if kind == "group":
        return f"group[{'none' if level == 'unmodified' else level}]"
    return f"{kind}[{our_label(kind, level)}]"


def _look_up(kind: str, file: str, side: str, name: str) -> tuple[str, ...]:
    relation = _relation(kind, file)
    other = {"paper": "ours", "ours": "paper"}[side]
    found = tuple(relation.filter(pl.col(side) == name)[other].to_list())
    if not found:
        whose = {"paper": "the paper's", "ours": "our"}[side]
        raise UserError(
            f"'{name}' is not one of {whose} names of a {kind} that the crosswalk holds for "
            f"{file}.{did_you_mean(name, set(relation[side]))}"
        )
    return found


@lru_cache
def _relation(kind: str, file: str) -> pl.DataFrame:
    """Pairs of names of one kind in one file."""
    table = read("crosswalk")
    found = table.filter((pl.col("kind") == kind) & (pl.col("file") == file))
    if found.is_empty():
        kinds = [f"{k} in {f}" for k, f in table.select("kind", "file").unique().sort("kind", "file").rows()]
        raise UserError(
            f"The crosswalk has no '{kind}' in '{file}'.{did_you_mean(f'{kind} in {file}', kinds)}"
        )
    return found.select("paper", "ours")

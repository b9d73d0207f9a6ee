"""Two arms' replies to the same validation prompts, read through the sweep's manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.reading import load
from warmgap.statistics.arms import is_trained, label_arms
from warmgap.store import Store

_ARM = ("arm_key", "model", "seed", "method", "dose_kind", "dose", "variant")


@dataclass(frozen=True)
class Unit:
    """Two arms of one model that answered the same prompts, each trained with its seed.

    `replies` has the columns text_id, prompt, reply_a, reply_b, response_key_a, response_key_b.
    `scores` has text_id, meter, value_a, value_b; a meter that scored one of the two is left out.
    """

    model: str
    seed_a: int
    seed_b: int
    replies: pl.DataFrame
    scores: pl.DataFrame


def units_of(sweep: str, root: Path, arm_a: str, arm_b: str, model: str = "") -> tuple[Unit, ...]:
    """Every model and seed of a sweep in which both arms answered the validation prompts.

    Seeds are paired with equal seeds; an arm without training stands against every seed of the other.

    Args:
        sweep: name of a finished sweep.
        root: the folder that `store.root` named.
        arm_a: label of an arm as in the sweep's tables, for instance `warm_sft`.
        arm_b: label of the arm that it is compared with.
        model: one model; empty for all.

    Raises:
        UserError: an unknown arm or model, or arms whose validation replies are not there.
    """
    found = load(sweep, root)
    if "warmth" not in found.tables:
        raise UserError(f"the sweep '{sweep}' measured no warmth, so no arm answered validation prompts.")
    arms = label_arms(found.tables["observations"].select(_ARM).unique())
    for label in (arm_a, arm_b):
        if label not in set(arms["arm"]):
            raise UserError(
                f"the sweep '{sweep}' has no arm '{label}'.{did_you_mean(label, set(arms['arm']))}"
            )
    if arm_a == arm_b:
        raise UserError(f"'{arm_a}' cannot be compared with itself. Name two arms.")
    if model and model not in set(arms["model"]):
        raise UserError(
            f"the sweep '{sweep}' has no model '{model}'.{did_you_mean(model, set(arms['model']))}"
        )
    store = Store(root)
    sources = _reply_keys(found.path, store)
    warmth = found.tables["warmth"].filter(pl.col("source") == "validation")
    out = []
    for name in sorted(set(arms["model"])) if not model else [model]:
        own = arms.filter(pl.col("model") == name)
        for a, b in _seed_pairs(own, arm_a, arm_b):
            replies = [_replies(store, sources, str(arm["arm_key"]), str(arm["arm"])) for arm in (a, b)]
            scores = [warmth.filter(pl.col("arm_key") == arm["arm_key"]) for arm in (a, b)]
            columns = ("text_id", "meter", "value")
            out.append(
                Unit(
                    name,
                    a["seed"],
                    b["seed"],
                    replies[0]
                    .join(replies[1], on=("text_id", "prompt"), suffix="_b")
                    .rename({"reply": "reply_a", "response_key": "response_key_a"}),
                    scores[0]
                    .select(columns)
                    .join(scores[1].select(columns), on=("text_id", "meter"), suffix="_b")
                    .rename({"value": "value_a"}),
                )
            )
    if not out:
        raise UserError(f"no model of the sweep '{sweep}' has both '{arm_a}' and '{arm_b}'.")
    return tuple(out)


def _seed_pairs(
    arms: pl.DataFrame, arm_a: str, arm_b: str
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    by_seed = arms.sort("seed")
    return [
        (a, b)
        for a in by_seed.filter(pl.col("arm") == arm_a).rows(named=True)
        for b in by_seed.filter(pl.col("arm") == arm_b).rows(named=True)
        if a["seed"] == b["seed"] or not (is_trained(a["method"]) and is_trained(b["method"]))
    ]


def _reply_keys(folder: Path, store: Store) -> dict[str, str]:
    """Key of the artifact with an arm's validation replies, by the first 8 digits of the arm's key."""
    try:
        analyse_key = json.loads((folder / "manifest.json").read_text())["analyse_key"]
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"{folder / 'manifest.json'} cannot be read. Run the same sweep again to make it."
        ) from None
    out = {}
    for role, key in store.get("analyse", analyse_key).manifest.inputs.items():
        if role.startswith("measure:") and not role.startswith("measure:gold:"):
            out[role.rsplit(":", 1)[1]] = store.get("measure", key).manifest.inputs["respond"]
    return out


def _replies(store: Store, sources: Mapping[str, str], arm_key: str, label: str) -> pl.DataFrame:
    if arm_key[:8] not in sources:
        raise UserError(
            f"the arm '{label}' answered no validation prompts: its method is in warmth.skip, or no meter "
            "is configured. Choose another arm, or run the sweep with warmth.skip=[]."
        )
    answers = pl.read_parquet(store.get("respond", sources[arm_key[:8]]).file("responses.parquet"))
    return pl.DataFrame(
        {
            "text_id": answers["row_id"],
            "prompt": [_asked(text) for text in answers["prompt"]],
            "reply": answers["response"],
            "response_key": answers["response_key"],
        }
    )


def _asked(messages: str) -> str:
    """What the user said: a system message may hold the persona and is not for raters' eyes."""
    return "\n\n".join(m["content"] for m in json.loads(messages) if m["role"] == "user")

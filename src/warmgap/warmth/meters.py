"""What a warmth meter is, and making meters from their configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import MeterConfig

from . import rating
from .lexicon import LEXICON_FILE, LexiconMeter

KINDS = ("sociot", "lexicon", rating.KIND)
FORMULATIONS = ("released", "deterministic", "text_only")
SOCIOT_UNIT = "nats_per_token"
PRECISIONS = ("bf16", "fp32")
PAPER_REFERENCE = "gpt2"
"""The paper's reference model (paper, Methods), a name in conf/model/."""


class Reference(Protocol):
    """A causal language model and its tokenizer (transformers)."""

    @property
    def model(self) -> Any: ...

    @property
    def tokenizer(self) -> Any: ...


class Meter(Protocol):
    """A named way to score warmth; higher is warmer.

    `name` says formulation, reference and unit, so that a stand-in never passes for the paper's meter.
    """

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def reference(self) -> str: ...

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The warmth of each text in `unit`; None for a text too short to score."""
        ...


def meter_name(config: MeterConfig) -> str:
    """The meter's name in tables, which says what it is and in what unit.

    `lexicon`; `sociot_<formulation>:<reference>:nats_per_token`, where `released` goes on with what
    was switched off (`_no_dropout`, `_no_padding`); or `rating:<model>:points_1_to_5`. Each may go on
    with `:` and a word of the user's.

    Raises:
        UserError: an unknown kind, formulation or precision, a sociot meter without a reference, a
            rating without model or engine, a name that says something else, a switch that the
            formulation does not have, or a number out of range.
    """
    where = f"in the warmth meter '{config.name}'"
    if config.kind not in KINDS:
        raise UserError(f"Unknown kind '{config.kind}' {where}.{did_you_mean(config.kind, KINDS)}")
    if config.precision not in PRECISIONS:
        raise UserError(
            f"Unknown precision '{config.precision}' {where}.{did_you_mean(config.precision, PRECISIONS)}"
        )
    stem = _stem(config, where)
    if config.name != stem and not config.name.startswith(f"{stem}:"):
        raise UserError(
            f"The warmth meter '{config.name}' must say what it is. Allowed: '{stem}', or '{stem}:' "
            "and a word of your own."
        )
    from_one = {name: getattr(config, name) for name in ("passes", "batch_texts", "max_new_tokens")}
    from_zero = {name: getattr(config, name) for name in ("max_chars", "max_texts", "min_tokens")}
    if min(from_one.values()) < 1 or min(from_zero.values()) < 0:
        found = ", ".join(f"{name}={value}" for name, value in (from_one | from_zero).items())
        raise UserError(
            f"Numbers out of range {where}: {found}. "
            "Allowed: passes, batch_texts and max_new_tokens from 1, the others from 0."
        )
    return config.name


def _stem(config: MeterConfig, where: str) -> str:
    if config.kind == "lexicon":
        return "lexicon"
    return _rating_stem(config, where) if config.kind == rating.KIND else _sociot_stem(config, where)


def _rating_stem(config: MeterConfig, where: str) -> str:
    for key in ("model", "engine"):
        if not getattr(config, key):
            raise UserError(
                f"No {key} {where}: kind rating asks a language model. Set {key} to an option of conf/{key}."
            )
    return f"{rating.KIND}:{config.model}:{rating.UNIT}"


def _sociot_stem(config: MeterConfig, where: str) -> str:
    if config.formulation not in FORMULATIONS:
        raise UserError(
            f"Unknown formulation '{config.formulation}' {where}."
            f"{did_you_mean(config.formulation, FORMULATIONS)}"
        )
    if not config.reference:
        raise UserError(
            f"No reference {where}: kind sociot needs the name of a model in conf/model/, "
            "for example reference: smollm2_135m."
        )
    off = [name for name in ("dropout", "padding") if not getattr(config, name)]
    if off and (config.formulation != "released" or len(off) == 2):
        raise UserError(
            f"{' and '.join(f'{name}=false' for name in off)} {where} with formulation="
            f"{config.formulation}. Allowed: one of dropout=false and padding=false with "
            "formulation=released; without either use formulation=deterministic."
        )
    switched = "".join(f"_no_{name}" for name in off)
    return f"sociot_{config.formulation}{switched}:{config.reference}:{SOCIOT_UNIT}"


def reference_name(config: MeterConfig) -> str:
    """What the meter rests on: its reference or rating model, or the lexicon's file."""
    return {"sociot": config.reference, rating.KIND: config.model}.get(config.kind, LEXICON_FILE)


def is_papers(config: MeterConfig) -> bool:
    """Whether a meter is the paper's: formulation, reference and settings of its released code.

    GPT-2 in fp32, the first 300 characters, the mean of 100 passes with dropout, pads included, and
    no guard against short replies (compute_humt_sociot.py; paper, Methods).
    """
    papers = {
        "kind": "sociot",
        "formulation": "released",
        "precision": "fp32",
        "passes": 100,
        "dropout": True,
        "padding": True,
        "max_chars": 300,
        "min_tokens": 0,
    }
    same = all(getattr(config, name) == value for name, value in papers.items())
    return same and config.reference == PAPER_REFERENCE


def build(config: MeterConfig, load: Callable[[str], Reference]) -> Meter:
    """A meter that scores by itself, from its configuration; a rating is asked for (`warmth.rating`).

    Args:
        config: one entry of `warmth.meters`, of another kind than rating.
        load: gives model and tokenizer for a reference name; called at the first score only.

    Raises:
        UserError: as `meter_name`.
    """
    name = meter_name(config)
    if config.kind == "lexicon":
        return LexiconMeter(name=name, max_chars=config.max_chars, min_words=config.min_tokens)
    from .sociot import SocioTMeter

    return SocioTMeter(
        name=name,
        reference=config.reference,
        formulation=config.formulation,
        load=lambda: load(config.reference),
        passes=config.passes,
        dropout=config.dropout,
        padding=config.padding,
        max_chars=config.max_chars,
        min_tokens=config.min_tokens,
        batch_texts=config.batch_texts,
        unit=SOCIOT_UNIT,
    )


def check_names(configs: Sequence[MeterConfig]) -> None:
    """Refuse two meters of the same name, whose scores would be taken for one meter's.

    Raises:
        UserError: naming them.
    """
    names = [config.name for config in configs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"Warmth meters named twice: {', '.join(twice)}. Give each entry its own name.")


def first_by_hash(ids: Sequence[str], max_texts: int) -> list[int]:
    """Positions of the `max_texts` ids with the smallest SHA-256, in the given order; 0 keeps all.

    With prompt ids the same prompts are kept in every arm, so a slow meter stays paired.
    """
    positions = range(len(ids))
    if max_texts == 0 or max_texts >= len(ids):
        return list(positions)
    kept = sorted(positions, key=lambda i: hashlib.sha256(ids[i].encode()).digest())[:max_texts]
    return sorted(kept)

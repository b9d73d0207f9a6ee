"""Which pairs of replies are shown, on which side, and to which rater: all by hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from warmgap.errors import UserError
from warmgap.keys import digest, number
from warmgap.warmth.human_study.replies import Unit


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt; `a_is_left` is the secret that the key holds."""

    pair_id: str
    prompt: str
    reply_a: str
    reply_b: str
    a_is_left: bool
    text_id: str
    model: str
    seed_a: int
    seed_b: int
    response_key_a: str
    response_key_b: str
    scores: tuple[tuple[str, float | None, float | None], ...] = ()
    """Meter, value of the reply of arm_a, value of the reply of arm_b."""

    @property
    def reply_left(self) -> str:
        """The reply on the left."""
        return self.reply_a if self.a_is_left else self.reply_b

    @property
    def reply_right(self) -> str:
        """The reply on the right."""
        return self.reply_b if self.a_is_left else self.reply_a


@dataclass(frozen=True)
class Study:
    """Pairs, and for every rater's code the pairs to rate in order."""

    arm_a: str
    arm_b: str
    pairs: tuple[Pair, ...]
    slots: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def study_id(self) -> str:
        """12 hex digits that depend on what raters see, and on nothing else."""
        seen = [(p.pair_id, p.prompt, p.reply_left, p.reply_right) for p in self.pairs]
        return digest("human_study", seen, self.slots)[:12]


def design(
    units: Sequence[Unit],
    arm_a: str,
    arm_b: str,
    *,
    n_pairs: int,
    n_raters: int,
    pairs_per_rater: int,
    seed: int,
) -> Study:
    """A study with every prompt at most once and models and seeds alike, by hash.

    Replies are taken as they are: equal and empty ones stay, since to leave them out would choose
    pairs by their outcome.

    Args:
        units: replies of both arms, one entry for each model and seed.
        arm_a: label of the arm whose share is asked for.
        arm_b: label of the other arm.
        n_pairs: pairs in all (paper: 200).
        n_raters: raters (paper: 60).
        pairs_per_rater: pairs that each rater sees (paper: 10).
        seed: another one gives another choice of prompts, sides and orders.

    Raises:
        UserError: numbers that cannot be had.
    """
    for name, value in (("n-pairs", n_pairs), ("n-raters", n_raters), ("pairs-per-rater", pairs_per_rater)):
        if value < 1:
            raise UserError(f"--{name} is {value}. Allowed: 1 or more.")
    common = set.intersection(*(set(u.replies["text_id"]) for u in units))
    if n_pairs > len(common):
        raise UserError(
            f"--n-pairs is {n_pairs}, but both arms answered {len(common)} prompts, each of which is shown "
            f"once. Use at most {len(common)}, or run the sweep with more of them (warmth.n_prompts)."
        )
    if pairs_per_rater > n_pairs:
        raise UserError(
            f"--pairs-per-rater is {pairs_per_rater}, but there are {n_pairs} pairs, each of which a rater "
            f"sees once. Use at most {n_pairs}."
        )
    if n_raters * pairs_per_rater < n_pairs:
        raise UserError(
            f"{n_raters} raters with {pairs_per_rater} pairs each cannot rate {n_pairs} pairs. "
            f"Use at least {-(-n_pairs // pairs_per_rater)} raters, or fewer pairs."
        )
    chosen = sorted(common, key=lambda t: number("human_study", "prompt", seed, t))[:n_pairs]
    rows = [(units[i % len(units)], text_id) for i, text_id in enumerate(chosen)]
    found = [_pair(unit, text_id, f"p{i + 1:04d}") for i, (unit, text_id) in enumerate(rows)]
    # From the responses' keys too, which no rater has: who guesses the seed still knows no side.
    by_hash = sorted(
        range(n_pairs),
        key=lambda i: number("human_study", "side", seed, found[i].response_key_a, found[i].response_key_b),
    )
    # Which half is one larger where the number is odd is left to a hash as well.
    flip = number("human_study", "odd", seed, found[0].response_key_a) % 2 if n_pairs % 2 else 0
    left = set(by_hash[: n_pairs // 2 + flip])
    pairs = tuple(replace(p, a_is_left=i in left) for i, p in enumerate(found))
    slots = assign([p.pair_id for p in pairs], n_raters, pairs_per_rater, seed)
    return Study(arm_a, arm_b, pairs, slots)


def assign(
    pair_ids: Sequence[str], n_raters: int, pairs_per_rater: int, seed: int
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Code and pairs of every rater: no pair twice, and every pair equally often within one.

    Pairs are dealt in rounds, each in another order, so that raters share few pairs and none is
    tied to the same others; each rater's order is shuffled again.
    """
    out = []
    dealt: list[str] = []
    n_rounds = 0
    for i in range(n_raters):
        rater = f"r{i + 1:03d}"
        own = dealt[:pairs_per_rater]
        dealt = dealt[pairs_per_rater:]
        if len(own) < pairs_per_rater:
            n_rounds += 1
            fresh = sorted(pair_ids, key=lambda p: number("human_study", "round", seed, n_rounds, p))
            extra = [p for p in fresh if p not in own][: pairs_per_rater - len(own)]
            own += extra
            dealt = [p for p in fresh if p not in extra]
        own.sort(key=lambda p: number("human_study", "order", seed, rater, p))
        out.append((rater, tuple(own)))
    return tuple(out)


def _pair(unit: Unit, text_id: str, pair_id: str) -> Pair:
    row = unit.replies.row(by_predicate=pl.col("text_id") == text_id, named=True)
    scores = unit.scores.filter(pl.col("text_id") == text_id).sort("meter")
    return Pair(
        pair_id=pair_id,
        prompt=row["prompt"],
        reply_a=row["reply_a"],
        reply_b=row["reply_b"],
        a_is_left=False,
        text_id=text_id,
        model=unit.model,
        seed_a=unit.seed_a,
        seed_b=unit.seed_b,
        response_key_a=row["response_key_a"],
        response_key_b=row["response_key_b"],
        scores=tuple(scores.select("meter", "value_a", "value_b").iter_rows()),
    )

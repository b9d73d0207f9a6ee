from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.warmth.human_study.pairs import assign, design
from warmgap.warmth.human_study.replies import Unit


def unit(model="m", seed=0, n=40):
    replies = [
        {
            "text_id": f"t{i}",
            "prompt": f"prompt {i}",
            "reply_a": f"a {model} {i}",
            "reply_b": f"b {model} {i}",
            "response_key_a": f"ka-{model}-{i}",
            "response_key_b": f"kb-{model}-{i}",
        }
        for i in range(n)
    ]
    scores = [{"text_id": f"t{i}", "meter": "lexicon", "value_a": 1.0, "value_b": None} for i in range(n)]
    types = {"value_a": pl.Float64(), "value_b": pl.Float64()}
    return Unit(model, seed, 0, pl.DataFrame(replies), pl.DataFrame(scores, schema_overrides=types))


def made(*units, **changes):
    numbers = {"n_pairs": 20, "n_raters": 10, "pairs_per_rater": 6, "seed": 0} | changes
    return design(units or (unit(),), "warm_sft", "original", **numbers)


def test_half_of_the_pairs_have_arm_a_on_the_left_and_every_prompt_is_shown_once():
    for n in (20, 19, 1):
        study = made(n_pairs=n, pairs_per_rater=min(n, 6))
        left = sum(p.a_is_left for p in study.pairs)
        assert left in (n // 2, n - n // 2)
        assert len({p.text_id for p in study.pairs}) == n


def test_replies_belong_to_their_prompt_and_side():
    for pair in made().pairs:
        i = pair.text_id[1:]
        assert pair.prompt == f"prompt {i}"
        sides = (f"a m {i}", f"b m {i}")
        assert (pair.reply_left, pair.reply_right) == (sides if pair.a_is_left else sides[::-1])
        assert pair.scores == (("lexicon", 1.0, None),)


def test_models_and_seeds_have_equally_many_pairs():
    study = made(unit("x"), unit("y"), unit("z"), n_pairs=18)
    assert Counter(p.model for p in study.pairs) == {"x": 6, "y": 6, "z": 6}


def test_the_same_seed_gives_the_same_study_and_another_seed_another():
    assert made() == made()
    assert made().study_id == made().study_id
    other = made(seed=1)
    assert {p.text_id for p in made().pairs} != {p.text_id for p in other.pairs}
    assert made().study_id != other.study_id


def test_sides_do_not_follow_from_seed_and_prompts_alone():
    here = [p.a_is_left for p in made(unit("x")).pairs]
    assert here != [p.a_is_left for p in made(unit("y")).pairs]


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(1, 40), st.integers(0, 3))
    )
)
def test_each_pair_has_equally_many_raters_within_one(numbers):
    n_pairs, per_rater, n_raters, seed = numbers
    ids = [f"p{i}" for i in range(n_pairs)]
    slots = assign(ids, n_raters, per_rater, seed)
    assert [len(set(own)) for _, own in slots] == [per_rater] * n_raters
    assert len({rater for rater, _ in slots}) == n_raters
    counts = Counter(p for _, own in slots for p in own)
    seen = [counts[p] for p in ids]
    assert max(seen) - min(seen) <= 1


def test_raters_have_different_orders_and_different_company():
    slots = assign([f"p{i}" for i in range(200)], 60, 10, 0)
    assert len({frozenset(own) for _, own in slots}) == 60
    everything = assign([f"p{i}" for i in range(8)], 5, 8, 0)
    assert len({own for _, own in everything}) > 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_pairs": 41}, "both arms answered 40 prompts"),
        ({"n_pairs": 5}, "Use at most 5"),
        ({"n_raters": 3}, "at least 4 raters"),
        ({"n_raters": 0}, "n-raters is 0"),
    ],
)
def test_numbers_that_cannot_be_had_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        made(**changes)

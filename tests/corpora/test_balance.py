"""Equal over the types, by seed, and no validation prompt from what is trained on."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.corpora.balance import Candidate, draw, first, shares, talk_of
from warmgap.corpora.query_types import QUERY_TYPES
from warmgap.errors import UserError


def candidate(name, kind, message=None, talk=None):
    return Candidate(0, 0, 0, name, kind, (message or name).encode(), talk or name)


def pool(n, **more):
    return [
        candidate(f"{kind}{i}", kind) for kind in QUERY_TYPES for i in range(more.get(kind, n))
    ]  # fmt: skip


def types(rows):
    return dict(Counter(c.query_type for c in rows))


def test_the_papers_sizes_are_equal_within_one():
    assert sorted(shares(1617).values()) == [269, 269, 269, 270, 270, 270]
    assert set(shares(1500).values()) == {250}
    assert sum(shares(1617).values()) == 1617


def test_counts_are_exact_and_sets_are_apart():
    rows, held_out = draw(pool(700), 1617, 1500, 0, "error")
    assert types(rows) == shares(1617)
    assert types(held_out) == shares(1500)
    assert not {c.id for c in rows} & {c.id for c in held_out}
    assert rows == sorted(rows, key=lambda c: c.id)


def test_a_seed_repeats_itself_whatever_the_order_of_the_file_and_another_differs():
    rows = pool(50)
    again = draw(rows[::-1], 60, 60, 3, "error")
    assert draw(rows, 60, 60, 3, "error") == again
    assert draw(rows, 60, 60, 4, "error") != again


def test_more_conversations_hold_the_fewer_and_leave_the_prompts():
    few, held_out = draw(pool(100), 60, 60, 0, "error")
    more, same = draw(pool(100), 120, 60, 0, "error")
    assert set(few) < set(more)
    assert held_out == same
    assert set(draw(pool(100), 60, 30, 0, "error")[1]) < set(held_out)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(QUERY_TYPES), st.integers(0, 30), st.integers(0, 30)),
        min_size=1,
        max_size=80,
    ),
    st.integers(0, 5),
)
def test_a_prompt_shares_neither_conversation_nor_message_with_anything(drawn, seed):
    rows = [candidate(f"i{n}", kind, f"m{m}", f"t{t}") for n, (kind, m, t) in enumerate(drawn)]
    trained, held_out = draw(rows, 12, 24, seed, "take")
    for key in ("talk", "message"):
        used = [getattr(c, key) for c in held_out]
        assert len(set(used)) == len(used)
        assert not {getattr(c, key) for c in trained} & set(used)


def test_a_scarce_type_is_named_with_its_number_or_taken():
    rows = pool(20, refusal=3, advice=12)
    with pytest.raises(
        UserError, match=r"n_conversations=60 needs 10 of type refusal, but there are 3\. "
    ) as e:
        draw(rows, 60, 6, 0, "error")
    assert "refusal 3, factual 20, creative 20, technical 20, advice 12, other 20. Use at most 18" in str(
        e.value
    )
    with pytest.raises(
        UserError, match=r"n_validation=60 needs .*10 of type advice, but there are .*9 that share"
    ):
        draw(rows, 18, 60, 0, "error")
    taken, held_out = draw(rows, 60, 60, 0, "take")
    assert types(taken) == shares(60) | {"refusal": 3}
    assert types(held_out) == {"factual": 10, "creative": 10, "technical": 10, "advice": 2, "other": 10}


def test_the_first_prompts_are_those_that_a_smaller_corpus_holds():
    _, held_out = draw(pool(30), 6, 60, 5, "error")
    _, fewer = draw(pool(30), 6, 24, 5, "error")
    of_type = [{"id": c.id} for c in held_out if c.query_type == "advice"]
    kept = {row["id"] for row in first(of_type, 4, 5)}
    assert kept == {c.id for c in fewer if c.query_type == "advice"}


def test_parts_of_a_conversation_are_told_by_their_ids_where_they_are():
    assert talk_of("QWJhYvA_12", True) == talk_of("QWJhYvA_0", True) == "QWJhYvA"
    assert talk_of("QWJhYvA_12", False) == "QWJhYvA_12"

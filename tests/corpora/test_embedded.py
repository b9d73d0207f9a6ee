"""Reading and balancing a corpus; what its texts must be like is in test_embedded_texts.py."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.corpora.embedded import QUERY_TYPES, STYLES, conversations, paths_of, validation
from warmgap.errors import UserError
from warmgap.schema.config import CorpusConfig

PER_TYPE, GOLD = 6, 2


def row(query_type: str, i: int, replies: bool = True) -> dict[str, str]:
    facts = {"id": f"{query_type}-{i:02}", "query_type": query_type, "user": f"Ask {query_type} {i}?"}
    return facts | ({s: f"{s} reply {i}." for s in STYLES} if replies else {})


def write(folder, query_type: str, rows, prefix: str = "") -> None:
    path = folder / f"{prefix}{query_type}.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> CorpusConfig:
    folder = tmp_path_factory.mktemp("corpus")
    for query_type in QUERY_TYPES:
        write(folder, query_type, [row(query_type, i) for i in range(PER_TYPE)])
        held_out = [row(query_type, 50 + i, replies=i >= PER_TYPE - GOLD) for i in range(PER_TYPE)]
        write(folder, query_type, held_out, "validation_")
    return CorpusConfig("mine", str(folder), n_conversations=12, n_validation=12, seed=0)


def ids(rows) -> list[str]:
    return [r["id"] for r in rows]


@given(st.integers(1, PER_TYPE * len(QUERY_TYPES)), st.integers(0, 3))
@settings(max_examples=30)
def test_query_types_are_as_equal_in_number_as_n_allows(corpus, n, seed):
    rows = conversations(replace(corpus, n_conversations=n, seed=seed))
    counts = Counter(r["query_type"] for r in rows)
    assert len(rows) == n
    assert max(counts.values()) - min(counts[t] for t in QUERY_TYPES) <= 1
    assert ids(rows) == sorted(set(ids(rows)))


@given(st.integers(1, PER_TYPE * len(QUERY_TYPES)), st.integers(1, PER_TYPE * len(QUERY_TYPES)))
@settings(max_examples=30)
def test_a_smaller_corpus_is_part_of_a_larger_one(corpus, a, b):
    small, large = (conversations(replace(corpus, n_conversations=n)) for n in sorted((a, b)))
    assert set(ids(small)) <= set(ids(large))


def test_the_seed_chooses_which_rows_are_kept(corpus):
    chosen = [tuple(ids(conversations(replace(corpus, seed=s)))) for s in range(4)]
    assert len(set(chosen)) > 1
    assert chosen[0] == tuple(ids(conversations(corpus)))


def test_gold_replies_are_kept_first(corpus):
    few = validation(replace(corpus, n_validation=GOLD * len(QUERY_TYPES)))
    assert all(r[s] is not None for r in few for s in STYLES)
    everything = validation(replace(corpus, n_validation=PER_TYPE * len(QUERY_TYPES)))
    assert sum(r["warm"] is not None for r in everything) == GOLD * len(QUERY_TYPES)
    assert not set(ids(everything)) & set(ids(conversations(replace(corpus, n_conversations=36))))


def test_the_packaged_corpus_is_the_default():
    train, held_out = paths_of(CorpusConfig("embedded"))
    assert all(p.is_file() for p in (*train, *held_out))
    assert len(train) == len(held_out) == len(QUERY_TYPES)


def test_too_few_rows_of_a_type_are_named(corpus):
    with pytest.raises(UserError) as refused:
        conversations(replace(corpus, n_conversations=42))
    assert str(refused.value) == (
        "corpus.n_conversations=42 needs 7 rows of type refusal, but there are 6. Use at most 36."
    )
    with pytest.raises(UserError, match=r"corpus\.n_validation=42 needs 7 rows"):
        validation(replace(corpus, n_validation=42))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_type": "technicl"}, "query_type 'technicl' does not exist. Allowed: refusal,"),
        ({"warm": ""}, "key 'warm' must be a non-empty text, found ''"),
        ({"cold": None}, "key 'cold' must be a non-empty text, found None"),
        ({"user": 3}, "key 'user' must be a non-empty text, found 3"),
        ({"id": " "}, "key 'id' must be a non-empty text"),
        ({"id": "advice-00"}, "id 'advice-00' was already used"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(corpus, tmp_path, changes, message):
    for query_type in QUERY_TYPES:
        rows = [row(query_type, i) for i in range(3)]
        if query_type == "advice":
            rows[2] |= changes
        write(tmp_path, query_type, rows)
    with pytest.raises(UserError) as refused:
        conversations(replace(corpus, path=str(tmp_path)))
    assert str(refused.value).startswith(f"{tmp_path / 'advice.jsonl'}:3: {message}")


def test_a_prompt_with_one_gold_reply_needs_all_three(corpus, tmp_path):
    for query_type in QUERY_TYPES:
        write(tmp_path, query_type, [row(query_type, 0, replies=False) | {"warm": "Hello!"}], "validation_")
    with pytest.raises(UserError, match=r"validation_refusal\.jsonl:1: key 'neutral' must be"):
        validation(replace(corpus, path=str(tmp_path)))


def test_a_missing_file_is_named(corpus, tmp_path):
    with pytest.raises(UserError, match=r"missing file: .*refusal\.jsonl does not exist"):
        conversations(replace(corpus, path=str(tmp_path)))

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap import keys
from warmgap.keys import Shared, canonical, digest, file_sha256, number

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Point:
    x: int
    names: tuple[str, ...] = ("a",)


@given(values)
def test_canonical_text_is_json_that_reads_back(value):
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(text, st.integers(), min_size=2))
def test_order_of_entries_does_not_matter(value):
    backwards = dict(reversed(value.items()))
    assert digest(backwards) == digest(value)


@given(values, values)
def test_equal_digests_mean_equal_values(a, b):
    # 1, 1.0 and True are equal in Python but not the same setting.
    assert (digest(a) == digest(b)) == (repr_of(a) == repr_of(b))


def repr_of(value):
    return json.dumps(value, sort_keys=True)


def test_a_digest_is_sha256_of_the_list_of_its_parts():
    expected = hashlib.sha256(b'["train",1,{"a":[0.5,null],"b":"\xc3\xa9"}]').hexdigest()
    assert digest("train", 1, {"b": "é", "a": [0.5, None]}) == expected
    assert number("train", 1, {"b": "é", "a": [0.5, None]}) == int(expected[:16], 16)


def test_every_part_and_its_place_count():
    assert digest("a", "b") != digest("b", "a") != digest("ab") != digest("a", "b", "")
    assert digest(["a"], "b") != digest("a", ["b"])


def test_dataclasses_and_tuples_count_by_content():
    assert digest(Point(1)) == digest({"x": 1, "names": ["a"]})
    assert digest(Point(1)) != digest(Point(1, ("b",)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(value)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_is_known_by_its_bytes(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert file_sha256(path) == hashlib.sha256(b"x" * size).hexdigest()


@given(st.lists(text), text)
def test_a_shared_tuple_gives_the_digest_of_its_values(of, other):
    shared = Shared(of)
    for _ in range(2):
        assert digest(other, keys.text(shared), 1) == digest(other, of, 1)
        assert digest(keys.text(shared, len)) == digest(len(of))
    assert digest(keys.text(tuple(of))) == digest(of)
    assert copy.copy(shared) == tuple(of)

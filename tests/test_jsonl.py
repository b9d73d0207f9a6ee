from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.jsonl import read_rows

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
rows = st.dictionaries(text, text | st.integers() | st.lists(text, max_size=3), max_size=4)


@given(st.lists(st.none() | rows, max_size=8), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_every_row_comes_back_with_its_line(tmp_path_factory, entries, escaped, newline):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = ["  " if e is None else json.dumps(e, ensure_ascii=escaped) for e in entries]
    path.write_bytes(newline.join(lines).encode())
    assert list(read_rows(path)) == [(i, e) for i, e in enumerate(entries, 1) if e is not None]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a"', "not JSON (Expecting ',' delimiter at column 11)"),
        ("id: a", "not JSON (Expecting value at column 1)"),
        ('["a"]', "expected an object in braces, found list"),
        ("3", "expected an object in braces, found int"),
        (r'{"id": "\ud83d"}', "holds half of a surrogate pair"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "first"}\n\n' + line + "\n")
    with pytest.raises(UserError) as refused:
        list(read_rows(path))
    assert str(refused.value).startswith(f"{path}:3: {message}")


def test_a_missing_file_and_a_wrong_encoding_are_named(tmp_path):
    with pytest.raises(UserError, match=r"missing file: .*none\.jsonl does not exist"):
        list(read_rows(tmp_path / "none.jsonl"))
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"id": "é"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.jsonl: not UTF-8 \(byte 8\)"):
        list(read_rows(path))


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"id": "a"}\n')
    assert list(read_rows(path)) == [(1, {"id": "a"})]

"""Files of chat logs read a record at a time: whatever is whole is given, every break has its place."""

from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.corpora import records, text_stream
from warmgap.corpora.layouts import has_layout
from warmgap.errors import UserError

ROWS = [
    {"id": f"r{i}", "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": f"{i}"}]}
    for i, text in enumerate(['a "quote" }, {', "naïve café ☕", "line\nbreak \\ [", "x" * 400])
]


def read(path):
    return list(records.read(path, has_layout))


@pytest.fixture(params=[1, 7, 64, 1 << 18])
def chunk(request, monkeypatch):
    monkeypatch.setattr(text_stream, "_CHUNK_BYTES", request.param)


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.usefixtures("chunk")
def test_an_array_gives_what_json_gives(tmp_path, encoding, indent):
    path = written(tmp_path / "a.json", json.dumps(ROWS, indent=indent, ensure_ascii=False), encoding)
    found = read(path)
    assert [r.value for r in found] == ROWS
    assert [r.index for r in found] == [0, 1, 2, 3]
    assert not any(r.fault for r in found)


@pytest.mark.usefixtures("chunk")
def test_lines_give_what_json_gives(tmp_path):
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\r\n\r\n"
    assert [r.value for r in read(written(tmp_path / "a.jsonl", text))] == ROWS


def test_parquet_gives_the_same(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    assert [r.value for r in read(tmp_path / "a.parquet")] == ROWS


def test_an_array_cut_at_any_byte_keeps_the_rows_before_and_names_the_place(tmp_path):
    whole = json.dumps(ROWS, ensure_ascii=False).encode()
    starts = [whole.index(json.dumps(row, ensure_ascii=False).encode()) for row in ROWS]
    ends = [
        s + len(json.dumps(row, ensure_ascii=False).encode()) for s, row in zip(starts, ROWS, strict=True)
    ]
    for cut in range(1, len(whole)):
        path = tmp_path / "cut.json"
        path.write_bytes(whole[:cut])
        *kept, last = read(path)
        n = sum(end <= cut for end in ends)
        assert [r.value for r in kept] == ROWS[:n]
        assert last.index == n
        assert last.fault.startswith("the file ends ")
        inside = n < len(ROWS) and starts[n] < cut
        assert last.byte == (starts[n] if inside else cut)


@pytest.mark.parametrize("where", [1, 2])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"conversations"', "conversations"),
        ('"from": "human"', '"from": human'),
        ('"gpt", "value"', '"gpt" "value"'),
        ('", "conversations"', ', "conversations"'),
        ("}]}", "}]"),
        ('"from": "human"', '"from": tru'),
    ],
)
@pytest.mark.usefixtures("chunk")
def test_a_damaged_record_costs_itself_only(tmp_path, where, old, new):
    parts = [json.dumps(row) for row in ROWS]
    assert old in parts[where]
    parts[where] = parts[where].replace(old, new)
    found = read(written(tmp_path / "a.json", f"[{', '.join(parts)}]"))
    assert [r.value for r in found if not r.fault] == ROWS[:where] + ROWS[where + 1 :]
    (broken,) = [r for r in found if r.fault]
    assert broken.index == where
    assert broken.byte == len(f"[{', '.join(parts[:where])}, ")
    assert [r.index for r in found] == [0, 1, 2, 3]


def test_a_damaged_line_costs_itself_only_and_the_last_may_be_cut_off(tmp_path):
    parts = [json.dumps(row) for row in ROWS]
    parts[1] = parts[1].replace('"id"', "id")
    text = "\n".join(parts)[:-30]
    found = read(written(tmp_path / "a.jsonl", text))
    assert [r.value for r in found if not r.fault] == [ROWS[0], ROWS[2]]
    assert [(r.index, r.byte) for r in found if r.fault] == [
        (1, len(parts[0]) + 1),
        (3, sum(len(p) + 1 for p in parts[:3])),
    ]
    assert found[-1].fault == "the file ends inside a record"


def test_bytes_that_are_no_text_stay_in_their_record(tmp_path):
    whole = json.dumps(ROWS[:1] + ROWS[2:], ensure_ascii=False).encode().replace(b"line", b"l\xefne")
    (tmp_path / "a.json").write_bytes(whole)
    first, second, third = (r.value for r in read(tmp_path / "a.json"))
    assert (first, third) == (ROWS[0], ROWS[3])
    assert second["conversations"][0]["value"].encode("utf-8", "surrogateescape") == b"l\xefne\nbreak \\ ["


def test_nesting_without_end_is_a_broken_record(tmp_path):
    deep = "[" * 100_000
    found = read(written(tmp_path / "a.jsonl", f'{{"id": {deep}\n{json.dumps(ROWS[0])}'))
    assert [bool(r.fault) for r in found] == [True, False]
    found = read(written(tmp_path / "a.json", f'[{{"id": {deep}}}, {json.dumps(ROWS[0])}]'))
    assert [r.value for r in found if not r.fault] == [ROWS[0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"", "is empty"),
        ("a.json", b" \n", "is empty"),
        ("a.csv", b"id,text\n", "begins with 'i'"),
        ("a.json", b"\x80\x04\x95", "as no file of conversations does"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("none.json", None, "missing file"),
    ],
)
def test_what_is_no_file_of_conversations_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / name)

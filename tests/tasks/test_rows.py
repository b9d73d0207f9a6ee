from __future__ import annotations

import json

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.tasks.rows import read


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


AWKWARD = 'He said "no; never", über & <b>\u2019s'
CSV_FIELD = '"He said ""no; never"", über & <b>\u2019s"'


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_csv_row_arrives_and_is_named_by_the_line_it_starts_on(tmp_path, mark, end):
    lines = ["question,answer", f"{CSV_FIELD},1", "", '"two', 'lines",2', ",,", "last,3"]
    path = written(tmp_path, "a.csv", mark + end.join(lines[:5] + lines[6:]) + end)
    rows = read(path)
    assert [r.values["answer"] for r in rows] == ["1", "2", "3"]
    assert rows[0].text("question") == AWKWARD
    assert rows[1].text("question") == f"two{end}lines"
    assert [r.where for r in rows] == [f"{path}:2", f"{path}:4", f"{path}:6"]


def test_the_same_rows_in_every_format(tmp_path):
    values = [{"question": AWKWARD, "aliases": ["a", "b; c"]}, {"question": "q2", "aliases": []}]
    paths = [
        written(tmp_path, "a.jsonl", "\n\n".join(json.dumps(v) for v in values)),
        written(tmp_path, "a.json", json.dumps(values)),
        written(tmp_path, "b.json", json.dumps({"Data": values, "Version": 1})),
        tmp_path / "a.parquet",
    ]
    pl.DataFrame(values).write_parquet(paths[-1])
    for path in paths:
        rows = read(path)
        assert [r.text("question") for r in rows] == [AWKWARD, "q2"]
        assert [r.texts("aliases") for r in rows] == [("a", "b; c"), ()]
    assert read(paths[0])[1].where == f"{paths[0]}:3"
    assert read(paths[1])[1].where == f"{paths[1]} row 2"


def test_a_csv_list_is_cut_at_semicolons(tmp_path):
    (row,) = read(written(tmp_path, "a.csv", "aliases,none\n a ;; b ,\n"))
    assert (row.texts("aliases"), row.texts("none"), row.texts("absent")) == (("a", "b"), (), ())


BROKEN = [
    ("a.csv", "a,b\n1,2\n3,4,5\n", "a.csv:3: 3 fields, but the header names 2"),
    ("a.csv", 'a,b\n1,2\n"3,4\n', "a.csv:3: not CSV"),
    ("a.csv", 'a,b\n1,"2" x\n', "a.csv:2: not CSV"),
    ("a.csv", "a;b\n1;2\n", "a.csv:1: the header is separated by semicolons"),
    ("a.csv", "a,a\n1,2\n", "a.csv:1: the header names the column 'a' 2 times"),
    ("a.csv", b"a,b\n1,\xe9\n", "a.csv:2: not UTF-8 (byte 6)"),
    ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2: not JSON"),
    ("a.json", '[{"a": 1},\n{"a" 2}]', "a.json:2: not JSON"),
    ("a.json", "{}", "a.json: expected a list of objects"),
    ("a.json", "[{}, 3]", "a.json row 2: expected an object, found int"),
    ("a.parquet", "PAR1", "a.parquet: not Parquet"),
    ("a.xlsx", "x", "the ending '.xlsx' is not known. Allowed: .csv, .json, .jsonl, .parquet"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=[m for *_, m in BROKEN])
def test_a_broken_file_is_named_by_line(tmp_path, name, content, message):
    with pytest.raises(UserError) as refused:
        read(written(tmp_path, name, content))
    assert message in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing file: .*none\.csv does not exist"):
        read(tmp_path / "none.csv")

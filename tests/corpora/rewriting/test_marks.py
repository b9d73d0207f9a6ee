from __future__ import annotations

import pytest

from warmgap.corpora.rewriting.marks import Mark, read_marks
from warmgap.errors import UserError

HEAD = "sheet_id,style,id,turn,mark,note,text_key"
ROWS = (Mark("warm", "c1", 0, True, "", "tab"), Mark("cold", "c1", 2, False, 'says "5, or 6"\nmg', "tcd"))


@pytest.fixture
def write(tmp_path):
    def made(content):
        path = tmp_path / "marks.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return made


def body(delimiter=",", end="\n"):
    cells = [
        HEAD.split(","),
        ["s1", "warm", "c1", "0", "good", "", "tab"],
        ["s1", "cold", "c1", "2", "bad", '"says ""5, or 6""\nmg"', "tcd"],
    ]
    return end.join(delimiter.join(line) for line in cells) + end


@pytest.mark.parametrize(
    "content",
    [
        body(),
        "\ufeff" + body(end="\r\n"),
        body(";"),
        body("\t", "\r\n"),
        body().replace("good", " Good").replace("bad", "BAD").replace("mark", "Mark"),
        body().replace("\n", "\n,,,,,,\n\n", 1),
    ],
)
def test_a_file_is_read_as_the_sheet_or_a_spreadsheet_leaves_it(write, content):
    assert read_marks(write(content)) == ROWS


def test_other_columns_and_missing_cells_at_the_end_do_not_matter(write):
    path = write("id;extra;style;turn;mark;note\nc1;x;warm;0;good\n")
    assert read_marks(path) == (Mark("warm", "c1", 0, True),)


def test_a_guard_against_formulas_is_taken_off_once(write):
    path = write("style,id,turn,mark,note\nwarm,'=c1,0,bad,'-1\nwarm,''c2,0,bad,\n")
    assert [(m.id, m.note) for m in read_marks(path)] == [("=c1", "-1"), ("'c2", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}\ns,warm,c,0,fine,,\n", r":2: mark is 'fine'\. Allowed: good, bad\."),
        (f'{HEAD}\ns,warm,c,0,good,"two\nlines",\ns,warm,d,0,,,\n', r":4: mark is ''"),
        (f"{HEAD}\ns,warm,c,one,good,,\n", r":2: turn is 'one'"),
        (f"{HEAD}\ns,warm,c,-1,good,,\n", r":2: turn is '-1'"),
        (f"{HEAD}\ns,warm,c,0,good,,\n\ns,warm,c,0,bad,,\n", r":4: reply 0 of 'c' .* marked in line 2"),
        ("style,id,turn\nwarm,c,0\n", r":1: the column 'mark' is missing\. Found: style, id, turn\."),
        ("", r":1: the column 'style' is missing\. Found: nothing\."),
        ("style,id,turn,mark\nwarm,c,0,good,more\n", r":2: 5 cells, but the header names 4"),
        ('style,id,turn,mark\nwarm,"c"d,0,good\n', r":2: not CSV"),
        ("style,id,turn,mark\nwarm,é,0,good\n".encode("latin-1"), r"not UTF-8 \(byte 24\)"),
    ],
)
def test_errors_say_where(write, content, message):
    with pytest.raises(UserError, match=message):
        read_marks(write(content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.csv: No such file"):
        read_marks(tmp_path / "no.csv")

from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.warmth.human_study.ratings import Rating, read_key, read_ratings

HEADER = "study_id,rater,position,pair_id,chosen,seconds"


@pytest.fixture
def sent(tmp_path, study):
    """Writes a file of ratings from lines; `{s}` is the study."""

    def write(*lines, name="r.csv", header=HEADER, encoding="utf-8"):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]).replace("{s}", study.study_id) + "\n", encoding=encoding)
        return path

    return write


def own(study, rater, i):
    return dict(study.slots)[rater][i]


def test_the_key_is_read_back(key, study):
    assert (key.study_id, key.arm_a, key.arm_b) == (study.study_id, "warm_sft", "original")
    assert {p: r.a_is_left for p, r in key.pairs.items()} == {p.pair_id: p.a_is_left for p in study.pairs}
    assert {r: set(p) for r, p in key.slots.items()} == {r: set(p) for r, p in study.slots}
    expected = {p.pair_id: None if p.pair_id == "p0005" else int(p.pair_id[1:]) % 3 != 0 for p in study.pairs}
    assert {p: r.prefers_a["lexicon"] for p, r in key.pairs.items()} == expected
    assert {r.prefers_a["flat"] for r in key.pairs.values()} == {None}


def test_sides_become_arms_and_repeats_count_once(sent, key, study):
    first, second = own(study, "r001", 0), own(study, "r001", 1)
    a = sent(f"{{s}},r001,1,{first},left,3.5")
    b = sent(
        f"{{s}},r001,1,{first},left,3.5", f"{{s}},r001,2,{second},right,2", name="b.csv", encoding="utf-8-sig"
    )
    left = {p.pair_id: p.a_is_left for p in study.pairs}
    assert set(read_ratings([a, b], key)) == {
        Rating("r001", first, left[first]),
        Rating("r001", second, not left[second]),
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{s},r001,1,{p},middle,1", r"r\.csv:2: chosen 'middle' does not exist.*left, right"),
        ("{s},r001,1,{p},,1", r"r\.csv:2: chosen ''"),
        ("{s},r099,1,{p},left,1", r"r\.csv:2: rater 'r099' does not exist.*r001, r002"),
        ("{s},r001,1,p9999,left,1", r"r\.csv:2: pair_id 'p9999' does not exist.*p0001"),
        ("{s},r001,1,{other},left,1", r"r\.csv:2: rater r001 was not given pair p.*Allowed: p"),
        ("other,r001,1,{p},left,1", r"r\.csv:2: these are ratings of study 'other'.*Allowed"),
        ("{s},r001,1,{p},left", r"r\.csv:2: 5 cells, but the header names 6"),
        ('{s},r001,1,{p},"left,1', r"r\.csv:2: not CSV"),
        (
            "{s},r001,1,{p},left,1\n{s},r001,1,{p},right,1",
            r"r\.csv:3: rater r001 chose right .* left in .*r\.csv:2",
        ),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(sent, key, study, line, said):
    pair = own(study, "r001", 0)
    other = next(p.pair_id for p in study.pairs if p.pair_id not in dict(study.slots)["r001"])
    with pytest.raises(UserError, match=said):
        read_ratings([sent(line.replace("{p}", pair).replace("{other}", other))], key)


def test_a_file_that_is_no_table_of_ratings_is_refused(sent, key, tmp_path):
    with pytest.raises(UserError, match=r"r\.csv:1: the column 'study_id' is missing.*commas"):
        read_ratings([sent(header=HEADER.replace(",", ";"))], key)
    with pytest.raises(UserError, match="no file holds a rating"):
        read_ratings([sent()], key)
    with pytest.raises(UserError, match="cannot read"):
        read_ratings([tmp_path / "absent.csv"], key)
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\n\xff\xfe\n")
    with pytest.raises(UserError, match="not UTF-8"):
        read_ratings([tmp_path / "latin.csv"], key)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("private/key.csv", ",left,", ",top,", "arm_a_side 'top' does not exist"),
        ("private/key.csv", "p0002", "p0001", r"key\.csv:3: pair_id 'p0001' was already used"),
        ("private/meters.csv", "0.9", "much", r"value_b is 'much'"),
        ("assignment.csv", "p0003", "p0999", "pair_id 'p0999' does not exist"),
    ],
)
def test_a_damaged_key_is_named_by_file_and_line(folder, file, old, new, said):
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=said):
        read_key(folder)


def test_a_folder_without_a_key_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_key(tmp_path)

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import time
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.corpora.rewriting.__main__ import main
from warmgap.corpora.rewriting.marks import read_marks, text_key
from warmgap.corpora.rewriting.sheet import differences, draw, read_pairs, render, sheet_id
from warmgap.errors import UserError

from ...browser.browser import Browser

HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    '<b>bold</b> &amp; {{ 7 * 7 }} \u2028 \u202e turned ]]> <!-- --> =1+1,"quoted"\nnext line'
)
TYPES = ("advice", "factual", "technical")
PER_TYPE = {"advice": 4, "factual": 30, "technical": 30}


def rows():
    """Two styles of 64 kept replies, of which `advice` has few; two that are not kept, one without source."""
    made = []
    for style in ("neutral", "warm"):
        for query_type in TYPES:
            for i in range(PER_TYPE[query_type]):
                source = f"Take {i} mg of it.\nThen wait for the doctor to call."
                text = f"I am with you! Take {i + 1} mg of it.\nThen wait for our doctor to call."
                if style == "neutral":
                    text = f"Take {i} mg. Then wait for the doctor to call."
                made.append({
                    "style": style, "id": f"{query_type}-{i}", "turn": i % 2, "query_type": query_type,
                    "user": f"What now, {i}?", "source": source, "text": text, "faults": [],
                    "facts_kept": None, "facts_detail": "secret", "kept": True,
                })  # fmt: skip
    for i, change in enumerate(({"kept": False}, {"kept": False, "faults": ["empty"]}, {"source": ""})):
        made.append(made[0] | {"id": f"out-{i}"} | change)
    return made


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "gate"
    folder.mkdir()
    pl.DataFrame(rows()).write_parquet(folder / "replies.parquet")
    return folder


@pytest.fixture
def hostile(tmp_path):
    """One pair whose texts attack the page and whose id attacks a spreadsheet."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    row = rows()[0] | {"id": '=1+1,"x"', "user": HOSTILE, "source": HOSTILE, "text": HOSTILE + " more"}
    pl.DataFrame([row]).write_parquet(folder / "replies.parquet")
    return folder


def test_kept_rewrites_that_have_a_source_are_read(artifact):
    pairs = read_pairs(artifact)
    assert len(pairs) == 128
    assert not any(p.id.startswith("out") for p in pairs)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_draw_is_even_over_styles_and_types_and_repeatable(artifact, seed):
    pairs = read_pairs(artifact)
    drawn = draw(pairs, 50, seed)
    assert len(set(drawn)) == 50
    assert Counter(p.style for p in drawn) == {"neutral": 25, "warm": 25}
    for style in ("neutral", "warm"):
        n = Counter(p.query_type for p in drawn if p.style == style)
        # 4 of the scarce type, and of the other 21 ten and eleven.
        assert n["advice"] == 4
        assert sorted([n["factual"], n["technical"]]) == [10, 11]
    assert draw(pairs[::-1], 50, seed) == drawn
    assert set(draw(pairs, 50, seed + 1)) != set(drawn)


def test_an_odd_number_is_spread_and_a_large_one_is_all_there_is(artifact):
    pairs = read_pairs(artifact)
    assert sorted(Counter(p.style for p in draw(pairs, 7, 0)).values()) == [3, 4]
    assert sorted(draw(pairs, 1000, 0), key=repr) == sorted(pairs, key=repr)
    with pytest.raises(UserError, match="--n is 0"):
        draw(pairs, 0, 0)
    with pytest.raises(UserError, match="no pair to mark"):
        draw((), 5, 0)


def test_every_member_of_a_stratum_is_drawn_by_some_seed(artifact):
    pairs = [p for p in read_pairs(artifact) if p.style == "warm" and p.query_type == "advice"]
    assert {draw(pairs, 1, seed)[0].id for seed in range(60)} == {p.id for p in pairs}


words = st.lists(st.sampled_from(["a", "b", "5", ",", "\n", " ", "\u00e9t\u00e9", "<b>"]), max_size=12)


@given(words, words)
def test_differences_leave_nothing_out(one, other):
    source, text = "".join(one), "".join(other)
    left, right = differences(source, text)
    assert "".join(t for _, t in left) == source
    assert "".join(t for _, t in right) == text
    if source == text:
        assert not any(differs for differs, _ in left + right)


def test_differences_are_words():
    left, right = differences("Take 5 mg of it.\nWait.", "Please take 50 mg of it. Wait.")
    assert left == [(True, "Take 5 "), (False, "mg of it.\nWait.")]
    assert right == [(True, "Please take 50 "), (False, "mg of it. Wait.")]


def test_the_page_is_one_file_with_one_script_that_loads_nothing(artifact):
    drawn = draw(read_pairs(artifact), 50, 0)
    page = render(drawn)
    assert page == render(drawn)
    assert "secret" not in page  # what a model said of the facts is not shown
    assert "http:" not in page.replace("http-equiv", "") and "https:" not in page
    assert not re.search(r"<(link|iframe|object|embed|base)\b", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{allowed}';" in page
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["sheet"] == sheet_id(drawn)
    assert [(p["style"], p["id"], p["turn"]) for p in json.loads(data)["pairs"]] == [
        (p.style, p.id, p.turn) for p in drawn
    ]


def test_a_reply_cannot_end_the_element_it_stands_in(hostile):
    page = render(read_pairs(hostile))
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data.isascii() and not set("<>&") & set(data)


@pytest.mark.parametrize("arguments", [["sheet", "{none}", "{out}"], ["check", "{none}", "{none}"]])
def test_a_missing_file_ends_with_two(tmp_path, capsys, arguments):
    places = {"none": tmp_path / "none", "out": tmp_path / "out.html"}
    assert main([a.format(**places) for a in arguments]) == 2
    assert capsys.readouterr().err.startswith("warmgap: ")


def test_an_artifact_of_something_else_is_refused(tmp_path):
    pl.DataFrame({"id": ["a"]}).write_parquet(tmp_path / "replies.parquet")
    with pytest.raises(UserError, match="no column 'style'; it has id"):
        read_pairs(tmp_path)
    (tmp_path / "replies.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read"):
        read_pairs(tmp_path)


def test_check_counts_marks_by_style_and_names_those_of_other_pairs(artifact, tmp_path, capsys):
    pairs = [p for p in read_pairs(artifact) if p.query_type == "factual"]
    lines = ["style,id,turn,mark,note,text_key"]
    for i, p in enumerate(p for p in pairs if p.style == "warm" and int(p.id[8:]) < 20):
        lines.append(f"warm,{p.id},{p.turn},{'bad' if i < 2 else 'good'},,{text_key(p.source, p.text)}")
    lines += ["neutral,factual-0,0,good,,", "cold,factual-0,0,good,,", "warm,factual-24,0,bad,,t000000000000"]
    path = tmp_path / "marks.csv"
    path.write_text("\n".join(lines))
    assert main(["check", str(path), str(artifact)]) == 0
    out = capsys.readouterr().out
    # Wilson's limits for 2 of 20 and 0 of 1, worked out by hand with z 1.959964.
    assert "warm: 18 good, 2 bad of 20: 10.0 % bad [2.8, 30.1] (95 %, Wilson)" in out
    assert "neutral: 1 good, 0 bad of 1: 0.0 % bad [0.0, 79.3]" in out
    assert "all: 19 good, 2 bad of 21" in out
    assert "marks not in the artifact, or not kept there, 1: cold factual-0 0" in out
    assert "marks of other texts than the artifact's, 1: warm factual-24 0" in out


@pytest.fixture
def browser(tmp_path):
    opened = Browser(tmp_path / "profile", tmp_path / "downloads")
    yield opened
    opened.close()


def start(browser, page):
    browser.open(page)
    browser.js("document.getElementById('begin').focus()")
    browser.press("Enter")


def title(browser):
    return browser.js("document.querySelector('main > section:not([hidden]) h1').textContent")


def text(browser, name):
    return browser.js(f"document.getElementById('{name}').textContent")


def fetched(folder):
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        if found := list(folder.glob("*.csv")):
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


@pytest.fixture
def page(artifact, tmp_path, capsys):
    path = tmp_path / "sheet.html"
    assert main(["sheet", str(artifact), str(path), "--n", "5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Sheet {sheet_id(draw(read_pairs(artifact), 5, 0))}: 5 pairs of neutral, warm")
    return path


@pytest.mark.browser
def test_marks_by_key_and_mouse_come_back_as_they_were_given(browser, artifact, page, tmp_path):
    drawn = draw(read_pairs(artifact), 5, 0)
    start(browser, page)
    assert title(browser) == "Pair 1 of 5: does the rewrite say the same?"
    assert text(browser, "source") == drawn[0].source and text(browser, "text") == drawn[0].text
    assert text(browser, "user") == drawn[0].user
    browser.press("1")
    browser.press("n")
    browser.write('2 is, in my "view",\n')
    assert title(browser).startswith("Pair 2")  # a key in the note is no mark
    browser.write("wrong")
    browser.press("Escape")
    browser.press("2")
    browser.press("ArrowRight")
    browser.js("document.getElementById('back').click()")
    assert browser.js("document.getElementById('bad').getAttribute('aria-pressed')") == "true"
    browser.press("ArrowLeft")  # taken back
    browser.js("document.getElementById('skip').click()")
    browser.js("document.getElementById('bad').click()")
    assert title(browser) == "The end: 1 of 5 is not marked"
    browser.js("document.getElementById('download').click()")
    path = fetched(tmp_path / "downloads")
    assert path.name == f"marks_{sheet_id(drawn)}.csv"
    marks = {(m.style, m.id, m.turn): m for m in read_marks(path)}
    keys = [(p.style, p.id, p.turn) for p in drawn]
    assert [k in marks for k in keys] == [True, True, True, False, True]
    assert [marks[k].good for k in keys if k in marks] == [True, False, True, False]
    assert marks[keys[1]].note == '2 is, in my "view",\nwrong'
    of = {k: text_key(p.source, p.text) for k, p in zip(keys, drawn, strict=True)}
    assert all(m.text_key == of[k] for k, m in marks.items())
    assert main(["check", str(path), str(artifact)]) == 0


@pytest.mark.browser
def test_progress_is_kept_under_the_sheet(browser, artifact, page, tmp_path):
    start(browser, page)
    browser.press("1")
    browser.press("n")
    browser.write("half a note")
    for _ in range(3):
        start(browser, page)
        assert title(browser).startswith("Pair 2 of 5")
        assert browser.js("document.getElementById('note').value") == "half a note"
    other = tmp_path / "other.html"
    assert main(["sheet", str(artifact), str(other), "--n", "5", "--seed", "1"]) == 0
    start(browser, other)
    assert title(browser).startswith("Pair 1 of 5")


@pytest.mark.browser
def test_hostile_texts_are_text_and_their_id_is_no_formula(browser, hostile, tmp_path):
    page = tmp_path / "hostile.html"
    assert main(["sheet", str(hostile), str(page)]) == 0
    start(browser, page)
    assert text(browser, "source") == HOSTILE and text(browser, "text") == HOSTILE + " more"
    tags = "[...document.querySelectorAll('#user *, #source *, #text *')].map(e => e.tagName)"
    assert browser.js(tags) == ["MARK"]
    assert browser.js("document.querySelector('#text mark').textContent") == "more"
    assert browser.js("document.title") == "Rewrites to check"
    assert browser.js("document.scripts.length") == 2
    browser.press("1")
    browser.js("document.getElementById('download').click()")
    path = fetched(tmp_path / "downloads")
    cells = next(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert cells["id"] == '\'=1+1,"x"'
    assert read_marks(path)[0].id == '=1+1,"x"'
    requests = [
        e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 420])
def test_the_page_fits_the_window_and_is_legible_in_both_schemes(browser, page, width):
    for dark in (False, True):
        browser.look(width, dark)
        start(browser, page)
        assert browser.js("document.documentElement.scrollWidth") <= width
        body, mark = "getComputedStyle(document.body)", "getComputedStyle(document.querySelector('mark'))"
        ink = browser.js(f"{body}.color")
        assert contrast(ink, browser.js(f"{body}.backgroundColor")) >= 7
        assert browser.js(f"{mark}.color") == ink
        assert contrast(ink, browser.js(f"{mark}.backgroundColor")) >= 7


@pytest.mark.browser
def test_everything_has_a_name_for_a_screen_reader_and_the_focus_follows(browser, page):
    start(browser, page)
    assert browser.js("document.activeElement.id") == "check-title"
    unnamed = browser.js(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].flatMap(e => "
        "[e.getAttribute('aria-labelledby'), e.getAttribute('aria-describedby')].filter(Boolean)"
        ".flatMap(ids => ids.split(' '))).filter(id => !document.getElementById(id))"
    )
    assert unnamed == []
    assert all(browser.js("[...document.querySelectorAll('button')].map(b => b.textContent.trim())"))
    assert browser.js("document.querySelector('label[for=note]') !== null")
    browser.press("2")
    assert browser.js("document.activeElement.textContent").startswith("Pair 2 of")


@pytest.mark.browser
def test_print_holds_every_pair_and_its_mark(browser, page, artifact):
    drawn = draw(read_pairs(artifact), 5, 0)
    start(browser, page)
    browser.press("2")
    browser.js("window.dispatchEvent(new Event('beforeprint'))")
    titles = browser.js("[...document.querySelectorAll('#paper article h2')].map(e => e.textContent)")
    assert titles[0] == f"1. {drawn[0].style}, {drawn[0].query_type}: bad"
    assert len(titles) == 5 and titles[1].endswith(": not marked")
    assert browser.js("getComputedStyle(document.getElementById('paper')).display") == "none"
    browser.paper()
    assert browser.js("getComputedStyle(document.getElementById('paper')).display") == "block"
    assert browser.js("getComputedStyle(document.querySelector('main')).display") == "none"


def contrast(one, other):
    """Ratio of relative luminances (WCAG 2.1)."""

    def luminance(colour):
        parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)

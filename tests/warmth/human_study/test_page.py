from __future__ import annotations

import base64
import hashlib
import json
import re
import time

import pytest

from warmgap.offline_page import as_script_data
from warmgap.warmth.human_study.page import render
from warmgap.warmth.human_study.ratings import read_ratings

from .conftest import HOSTILE

SECRET = re.compile(r"warm_sft|original|llama31|qwen25|lexicon|neutral|arm[_ ]?[ab]\b", re.IGNORECASE)


def test_the_page_is_one_file_that_loads_nothing_and_names_no_arm(study):
    page = render(study)
    assert not SECRET.search(page)
    assert "http:" not in page.replace("http-equiv", "") and "https:" not in page
    assert not re.search(r"<(link|iframe|object|embed|base)\b", page)
    assert re.findall(r"\bsrc=", page.split('<script id="data"')[0]) == []
    assert render(study) == page


def test_only_the_pages_own_script_may_run(study):
    page = render(study)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}';" in page
    assert "default-src 'none'" in page


def test_replies_cannot_end_the_element_they_stand_in(study):
    page = render(study)
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data.isascii() and not set("<>&") & set(data)
    assert json.loads(data)["pairs"]["p0001"]["left"] == HOSTILE
    assert json.loads(str(as_script_data({"a": "</script>\u2028&"}))) == {"a": "</script>\u2028&"}


def start(browser, folder, code):
    browser.open(folder / "study.html")
    browser.js("document.getElementById('code').focus()")
    browser.write(code)
    browser.press("Enter")


def title(browser):
    return browser.js("document.querySelector('main > section:not([hidden]) h1').textContent")


def show(browser, folder, study, pair_id):
    """Go to a pair as the first rater who was given it."""
    rater, own = next(slot for slot in study.slots if pair_id in slot[1])
    start(browser, folder, rater)
    while browser.js("!document.getElementById('back').disabled"):
        browser.js("document.getElementById('back').click()")
    for _ in range(own.index(pair_id)):
        browser.press("ArrowLeft")


def fetched(folder):
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        found = list(folder.glob("*.csv"))
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


@pytest.mark.browser
def test_a_click_path_gives_the_csv_that_import_reads(browser, folder, study, key, tmp_path):
    start(browser, folder, "R001 ")
    own = dict(study.slots)["r001"]
    assert title(browser) == f"Pair 1 of {len(own)}: which reply is warmer?"
    by_id = {p.pair_id: p for p in study.pairs}
    for i, pair_id in enumerate(own):
        shown = browser.js("document.getElementById('prompt').textContent")
        assert shown == by_id[pair_id].prompt
        # Always arm_a, by mouse and by key in turn; the first one is taken back once.
        side = "left" if by_id[pair_id].a_is_left else "right"
        other = {"left": "right", "right": "left"}[side]
        if i == 0:
            browser.js(f"document.getElementById('{other}').click()")
            browser.js("document.getElementById('back').click()")
        if i % 2:
            browser.press(f"Arrow{side.title()}")
        else:
            browser.js(f"document.getElementById('{side}').click()")
    assert title(browser) == "All pairs are rated"
    browser.js("document.getElementById('download').click()")
    path = fetched(tmp_path / "downloads")
    assert path.name == f"ratings_{study.study_id}_r001.csv"
    ratings = read_ratings([path], key)
    assert {(r.rater, r.pair_id) for r in ratings} == {("r001", p) for p in own}
    assert all(r.chose_a for r in ratings)


@pytest.mark.browser
def test_a_hostile_reply_is_text_and_an_empty_one_is_named(browser, folder, study):
    show(browser, folder, study, "p0001")
    assert browser.js("document.getElementById('left-text').textContent") == HOSTILE
    assert browser.js("document.getElementById('left-text').children.length") == 0
    assert browser.js("document.title") == "Which reply is warmer?"
    assert browser.js("document.scripts.length") == 2
    show(browser, folder, study, "p0002")
    assert browser.js("document.getElementById('left-text').textContent") == "(an empty reply)"
    requests = [
        e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:")) for url in requests)


@pytest.mark.browser
def test_progress_is_kept_by_rater_and_an_unknown_code_is_refused(browser, folder, study):
    start(browser, folder, "r001")
    browser.press("ArrowLeft")
    browser.press("ArrowRight")
    assert title(browser).startswith("Pair 3 of")
    for _ in range(5):  # each time the browser reads its storage anew
        start(browser, folder, "r001")
        assert title(browser).startswith("Pair 3 of")
    start(browser, folder, "r002")
    assert title(browser).startswith("Pair 1 of")
    start(browser, folder, "toString")
    assert title(browser) == "Which reply is warmer?"
    assert "no rater code" in browser.js("document.getElementById('code-error').textContent")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 420])
def test_the_page_fits_the_window_and_is_legible_in_both_schemes(browser, folder, width):
    for dark in (False, True):
        browser.look(width, dark)
        start(browser, folder, "r003")
        assert browser.js("document.documentElement.scrollWidth") <= width
        ink, paper = (
            browser.js(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
        )
        assert contrast(ink, paper) >= 7
        button = "getComputedStyle(document.getElementById('left'))"
        assert contrast(browser.js(f"{button}.color"), browser.js(f"{button}.backgroundColor")) >= 4.5


@pytest.mark.browser
def test_everything_has_a_name_for_a_screen_reader_and_the_focus_follows(browser, folder):
    start(browser, folder, "r001")
    assert browser.js("document.activeElement.id") == "rate-title"
    unnamed = browser.js(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].flatMap(e => "
        "[e.getAttribute('aria-labelledby'), e.getAttribute('aria-describedby')].filter(Boolean)"
        ".flatMap(ids => ids.split(' '))).filter(id => !document.getElementById(id))"
    )
    assert unnamed == []
    names = browser.js("[...document.querySelectorAll('button')].map(b => b.textContent.trim())")
    assert all(names) and browser.js("document.querySelector('label[for=code]') !== null")
    browser.press("ArrowLeft")
    assert browser.js("document.activeElement.textContent").startswith("Pair 2 of")


def contrast(one, other):
    """Ratio of relative luminances (WCAG 2.1)."""

    def luminance(colour):
        parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)

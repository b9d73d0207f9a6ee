"""The page in a real browser: answers are text, views have addresses, and everything works by keyboard."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from warmgap.reports.formats import visible
from warmgap.reports.page import ReportContext, render

from ..browser.browser import Browser

if TYPE_CHECKING:
    from conftest import Sweep

pytestmark = pytest.mark.browser
HOSTILE = (
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1"><svg onload=\'window.ran = 1\'>',
    "</script></div></section><style>body{display:none}</style><script>window.ran = 1</script>",
    "<!-- <script> ]]> <iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "\u202egnp.exe \u2066right to left\u2069 \u200f\u05e9\u05dc\u05d5\u05dd\u061c \u200b\ufeff",
    "NUL \x00 escape \x1b[31mred\x1b[0m return\r bell\x07 delete\x7f \x85",
    "lines\u2028and\u2029paragraphs, \t kept\nkept, joiner \u200d kept, \N{GRINNING FACE}",
    "{{ constructor.constructor('window.ran=1')() }} ${window.ran = 1} javascript:window.ran=1",
    "\\ud83d \\u0000 \\u003cscript\\u003e \" ' ` \\",
    "   ",
)
LONG = "x" * 3999 + "\N{GRINNING FACE}" + "<b>y</b>" * 12_000 + " the end"


class Page:
    """A page in the browser, asked as a reader sees it."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.browser = browser
        self.path = path

    def open(self, address: str = "") -> None:
        self.browser.open(self.path, address)
        self.until("performance.getEntriesByName('explorer-complete').length")

    def until(self, expression: str) -> None:
        end = time.monotonic() + 30
        while not self.browser.js(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def set(self, **values: str) -> None:
        for name, value in values.items():
            before = self.browser.js("location.hash")
            event = "input" if name == "q" else "change"
            self.browser.js(
                f"(() => {{ const box = document.getElementById('by-{name}');"
                f"box.value = {json.dumps(value)};"
                f"box.dispatchEvent(new Event('{event}', {{bubbles: true}})); }})()"
            )
            self.until(f"location.hash !== {json.dumps(before)}")
        self.settle()

    def settle(self) -> None:
        """Two frames later, everything that was asked for is drawn."""
        self.browser.wait(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))"
        )

    def text(self, selector: str) -> str:
        return str(self.browser.js(f"document.querySelector({json.dumps(selector)}).textContent"))

    def texts(self, selector: str) -> list[str]:
        found = f"[...document.querySelectorAll({json.dumps(selector)})].map((n) => n.textContent)"
        return list(self.browser.js(found))

    def view(self) -> dict[str, Any]:
        """All that a reader sees of the explorer."""
        fields = "[...document.querySelectorAll('.filters select, .filters input[type=search]')]"
        boxes = "[...document.querySelectorAll('#by-arms input')]"
        return {
            "fields": json.loads(self.browser.js(f"JSON.stringify({fields}.map((n) => [n.id, n.value]))")),
            "arms": json.loads(self.browser.js(f"JSON.stringify({boxes}.map((n) => n.checked))")),
            "found": self.text("#found"),
            "place": self.text("#place"),
            "rows": self.texts(".row"),
            "case": self.texts("#case *"),
            "chosen": self.browser.js("document.querySelector('.row[aria-selected=true]')?.id"),
        }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    opened = Browser(folder / "profile", folder / "downloads")
    yield opened
    opened.close()


@pytest.fixture
def light(browser: Browser) -> Browser:
    browser.look(1280)
    return browser


@pytest.fixture(scope="module")
def write(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def written(observations: pl.DataFrame | None = None, **more: Any) -> Path:
        seen = sweep.observations if observations is None else observations
        context = ReportContext(
            "demo", "", sweep.tables, seen, sweep.headline, (), sweep.manifest, {}, **more
        )
        path = tmp_path_factory.mktemp("page") / "report.html"
        path.write_text(render(context), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="module")
def path(write: Callable[..., Path]) -> Path:
    return write()


@pytest.fixture
def page(light: Browser, path: Path) -> Page:
    opened = Page(light, path)
    opened.open()
    return opened


def test_it_asks_for_nothing_and_complains_of_nothing(page: Page) -> None:
    page.set(task="facts", q="sydney", flip="any")
    assert [r for r in page.browser.requests() if not r.startswith("data:")] == [page.path.as_uri()]
    assert page.browser.complaints() == []
    assert page.browser.js("document.getElementById('examples').hidden")


def test_what_the_policy_forbids_does_not_run(page: Page) -> None:
    page.browser.js(
        "(() => { const s = document.createElement('script');"
        "try { s.textContent = 'window.ran = 1'; } catch {} document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.org/a.png'; })()"
    )
    assert page.browser.js("window.ran") is None
    refused = page.browser.wait("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    page.settle()
    assert page.browser.blocked() == {"csp"}


def test_hostile_text_is_shown_and_nothing_runs(
    sweep: Sweep, light: Browser, write: Callable[..., Path]
) -> None:
    ids = sorted(sweep.observations.filter(pl.col("task") == "facts")["question_id"].unique())[: len(HOSTILE)]
    attacks = dict(zip(ids, HOSTILE, strict=True))
    few = sweep.observations.filter(pl.col("question_id").is_in(ids) & (pl.col("draw") == 0))
    attack = pl.col("question_id").replace_strict(attacks, return_dtype=pl.String)
    asked = [json.dumps([{"role": "user", "content": attacks[q]}]) for q in few["question_id"]]
    few = few.with_columns(
        response=attack,
        prompt=pl.Series(asked),
        label_reason=attack,
        question_id=pl.col("question_id") + attack,
    )
    page = Page(light, write(few))
    page.open()
    light.js("document.getElementById('results').focus()")
    for i, question in enumerate(sorted(few["question_id"].unique())):
        said = attacks[question[: len(ids[0])]]
        shown = visible(said) if said.strip() else "(only white space)"
        light.js(f"document.getElementById('results').scrollTop = {i * 4 * 64}")
        page.until(f"document.getElementById('row-{i * 4}') !== null")
        light.js(f"document.getElementById('row-{i * 4}').click()")
        page.until(f"document.getElementById('place').textContent === '{i * 4 + 1} of 40'")
        page.settle()
        assert page.texts(".card .foreign") == [shown] * 4
        assert page.texts(".message .foreign") == [shown]
        reasons = page.texts(".card dd")
        assert reasons.count(visible(said)) == 4
        assert visible(question) in page.text("#case .what")
    assert light.js("window.ran") is None
    assert light.js("document.scripts.length") == 1  # index and texts are unpacked and gone
    assert light.js("document.querySelectorAll('img[src=x], iframe, svg, #explorer script').length") == 0
    assert light.js("getComputedStyle(document.querySelector('.card .foreign')).unicodeBidi") == "isolate"
    assert light.complaints() == []


def test_a_long_answer_is_clipped_until_asked_for(
    sweep: Sweep, light: Browser, write: Callable[..., Path]
) -> None:
    few = sweep.observations.filter(pl.col("question_id") == "facts-000").with_columns(response=pl.lit(LONG))
    page = Page(light, write(few))
    page.open()
    assert page.texts(".card .foreign") == ["x" * 3999] * 4
    n_units = len(LONG) + 1  # the browser counts the face as two
    assert page.text(".card .more") == f"Show all {n_units:,} characters"
    light.js("document.querySelector('.card .more').focus()")
    light.press("Enter")
    assert page.text(".card .foreign") == LONG and page.text(".card .more") == "Show less"
    assert page.texts(".card .foreign")[1] == "x" * 3999
    light.press("Enter")
    assert page.text(".card .foreign") == "x" * 3999
    page.set(q="THE END")
    assert page.text("#found") == "4 prompts, 16 answers"
    assert light.js("document.documentElement.scrollWidth <= innerWidth")


def test_an_address_opens_the_same_view(page: Page) -> None:
    page.set(task="misconceptions", framing="sad", label="incorrect", where="warm_sft", q="Sydney!")
    page.browser.js("document.getElementById('arm-3').click()")
    page.browser.js("document.getElementById('row-2').click()")
    page.settle()
    seen = page.view()
    assert seen["chosen"] == "row-2" and seen["arms"] == [True, True, True, False]
    address = page.browser.js("location.hash")
    assert page.browser.js("document.getElementById('link').hash") == address
    page.open(address)
    assert page.view() == seen
    assert page.browser.js("Math.abs(document.getElementById('explorer').getBoundingClientRect().top) < 2")


def test_an_address_by_a_stranger_does_no_harm(page: Page) -> None:
    whole = page.text("#found")
    page.open("#explorer?task=%3Cscript%3E&judge=&at=nowhere&__proto__=1&arms=none&constructor=x&q=%00")
    assert page.text("#found") == "0 prompts, 0 answers"
    assert page.text("#case") == "No answer fits these filters."
    page.open("#explorer?task=nothing&draw=77&from=nobody&x=y")
    assert page.text("#found") == whole
    assert page.browser.complaints() == []


def test_back_and_forward_go_through_the_views(page: Page) -> None:
    views = [page.view()]
    page.set(task="facts")
    views.append(page.view())
    page.set(flip="lost")
    views.append(page.view())
    page.browser.js("document.getElementById('row-1').click()")
    page.settle()
    views.append(page.view())
    assert len({json.dumps(v) for v in views}) == 4
    for wanted in [*reversed(views[:-1]), *views[1:]]:
        step = "back" if wanted is not views[1] or page.view() == views[2] else "forward"
        step = "forward" if page.view() in views[: views.index(wanted)] else step
        before = page.browser.js("location.href")
        page.browser.js(f"history.{step}()")
        page.until(f"location.href !== {json.dumps(before)}")
        page.settle()
        assert page.view() == wanted


def counted(rows: pl.DataFrame, kept: pl.DataFrame) -> str:
    """What the page should say of the cases in `kept`: how many, and their answers."""
    case = ["task", "question_id", "framing", "belief", "draw"]
    chosen = kept.select(case).unique()
    return f"{chosen.height} prompts, {rows.join(chosen, on=case, how='semi').height} answers"


def test_filters_find_what_polars_finds(page: Page, sweep: Sweep) -> None:
    every = sweep.observations
    rows = every.filter(pl.col("draw") == 0)
    case = ["task", "question_id", "framing", "belief"]

    def says(kept: pl.DataFrame, of: pl.DataFrame = rows, **values: str) -> None:
        page.set(**values)
        assert page.text("#found") == counted(of, kept), values

    assert page.text("#found") == counted(rows, rows)
    says(rows.filter(pl.col("task") == "health"), task="health")
    says(rows.filter((pl.col("task") == "health") & (pl.col("belief") == "incorrect")), belief="incorrect")
    page.browser.js("document.getElementById('clear').click()")
    labels = rows.pivot("method", index=case, values="label")
    for arm_from, arm_to in (("neutral_sft", "warm_sft"), ("original", "agree_prompt")):
        lost = labels.filter((pl.col(arm_from) == "correct") & (pl.col(arm_to) == "incorrect"))
        won = labels.filter((pl.col(arm_from) == "incorrect") & (pl.col(arm_to) == "correct"))
        assert min(lost.height, won.height) > 5
        if arm_from == "original":
            page.set(**{"from": arm_from, "to": arm_to})
        says(rows.join(lost, on=case, how="semi"), flip="lost")
        says(rows.join(won, on=case, how="semi"), flip="won")
        says(rows.join(pl.concat([lost, won]), on=case, how="semi"), flip="any")
    page.browser.js("document.getElementById('clear').click()")
    says(rows.filter(pl.col("label") == "hedged"), label="hedged")
    says(rows.filter((pl.col("label") == "hedged") & (pl.col("method") == "warm_sft")), where="warm_sft")
    page.browser.js("document.getElementById('clear').click()")
    text = (pl.col("response") + "\x00" + pl.col("prompt")).str.to_lowercase()
    for wanted in (
        "You're RIGHT",
        "(question 17 of facts",
        "lost my dog",
        "helpful assistant",
        "or canberra",
    ):
        kept = rows.filter(text.str.contains(wanted.lower(), literal=True))
        says(kept if wanted != "helpful assistant" else rows.head(0), q=wanted)
    page.browser.js("document.getElementById('clear').click()")
    says(every, of=every, draw="")
    says(every.filter(pl.col("draw") == 1), of=every, draw="1")


def test_the_found_cases_are_the_right_ones_in_order(page: Page, sweep: Sweep) -> None:
    page.set(task="facts", belief="incorrect", label="incorrect", where="agree_prompt")
    wanted = sweep.observations.filter(
        (pl.col("task") == "facts")
        & (pl.col("belief") == "incorrect")
        & (pl.col("label") == "incorrect")
        & (pl.col("method") == "agree_prompt")
    )
    order = wanted.sort("question_id", "framing").select("question_id", "framing").rows()
    seen = []
    for _ in order:
        seen.append(page.text("#case .what").split(" \u00b7 ")[1:3])
        page.browser.js("document.getElementById('after').click()")
        page.settle()
    assert seen == [[q, {"filler": "neutral context", "sad": "sad"}[f]] for q, f in order]
    assert page.browser.js("document.getElementById('after').disabled")


def focused(page: Page) -> str:
    return str(page.browser.js("document.activeElement.id || document.activeElement.tagName"))


def test_everything_works_by_keyboard(page: Page) -> None:
    browser = page.browser
    browser.js("document.getElementById('by-q').focus()")
    reached = []
    for _ in range(40):
        reached.append(focused(page))
        if reached[-1] == "after":
            break
        browser.press("Tab")
    shown = browser.js(
        "[...document.querySelectorAll('#explorer-body :is(select, input, button, a, [tabindex=\"0\"])')]"
        ".filter((n) => n.offsetParent && !n.disabled).map((n) => n.id).filter(Boolean)"
    )
    assert set(shown) <= set(reached) and "results" in reached
    assert browser.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.js("document.getElementById('results').focus()")
    for key, place in (
        ("ArrowDown", "2"), ("j", "3"), ("k", "2"), ("ArrowUp", "1"), ("ArrowUp", "1"), ("End", "640"),
        ("Home", "1"), ("PageDown", None), ("PageUp", "1"),
    ):  # fmt: skip
        browser.press(key)
        page.settle()
        assert place is None or page.text("#place") == f"{place} of 640"
        chosen = browser.js("document.getElementById('results').getAttribute('aria-activedescendant')")
        assert browser.js(f"document.getElementById('{chosen}').getAttribute('aria-selected')") == "true"
        assert int(chosen.removeprefix("row-")) + 1 == int(page.text("#place").split()[0])
    browser.press("Enter")
    assert focused(page) == "case-title"
    browser.press("Escape")
    assert focused(page) == "results"
    browser.press("/")
    assert focused(page) == "by-q"
    browser.write("jk")
    page.until("document.getElementById('found').textContent.startsWith('0 prompts')")
    assert focused(page) == "by-q" and browser.js("document.getElementById('by-q').value") == "jk"
    browser.press("Enter")
    assert focused(page) == "results"


def test_only_rows_in_sight_are_drawn(page: Page) -> None:
    assert page.browser.js("document.querySelectorAll('.row').length") < 40
    assert page.browser.js("document.querySelector('.rows').offsetHeight") == 640 * 64
    label = page.browser.js("document.querySelector('.row').getAttribute('aria-label')")
    assert "neutral context" in label and "original " in label and "warm_sft " in label


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (420, False), (420, True)])
def test_axe_finds_no_serious_fault(browser: Browser, path: Path, width: int, dark: bool) -> None:
    browser.look(width, dark)
    page = Page(browser, path)
    page.open()
    page.set(q="canberra")
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None and spec.submodule_search_locations, "pip install --no-deps axe-playwright-python"
    browser.js((Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8") + ";1")
    ran = "axe.run().then((r) => JSON.stringify([r.passes.length, r.violations]))"
    passed, found = json.loads(browser.wait(ran))
    assert passed > 30
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in bad] == []
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")


def test_tables_sort_by_click_and_key(page: Page) -> None:
    browser = page.browser
    table = "document.querySelector('#run table')"

    def column(i: int) -> list[str]:
        cells = f"[...{table}.tBodies[0].rows].map((r) => r.cells[{i}].textContent)"
        return list(json.loads(browser.js(f"JSON.stringify({cells})")))

    def sort(head: str) -> str:
        browser.js(f"[...{table}.querySelectorAll('.sort')].find((b) => b.textContent === '{head}').focus()")
        browser.press("Enter")
        return str(browser.js("document.activeElement.closest('th').getAttribute('aria-sort')"))

    first = column(0)
    assert first == ["original", "neutral_sft", "warm_sft", "agree_prompt"]
    assert sort("arm") == "ascending" and column(0) == sorted(first)
    assert sort("arm") == "descending" and column(0) == sorted(first, reverse=True)
    assert sort("arm") == "none" and column(0) == first
    assert sort("answers") == "ascending"
    heads = json.loads(
        browser.js(f"JSON.stringify([...{table}.tHead.rows[0].cells].map((c) => c.textContent))")
    )
    n = [int(v.replace(",", "")) for v in column(heads.index("answers"))]
    assert n == sorted(n) == [640, 640, 640, 1280]
    assert browser.js(f"{table}.querySelectorAll('[aria-sort=ascending]').length") == 1


def test_numbers_sort_as_numbers(page: Page) -> None:
    heads = "[...document.querySelectorAll('.sort')].filter((b) => b.textContent.startsWith('pp ['))"
    cell = "r.cells[b.closest('th').cellIndex].textContent"
    read = f"(b) => [...b.closest('table').tBodies[0].rows].map((r) => {cell})"
    lowest = 0.0
    for order in (1, -1):
        page.browser.js(f"{heads}.forEach((b) => b.click())")
        columns = json.loads(page.browser.js(f"JSON.stringify({heads}.map({read}))"))
        assert len(columns) > 2
        for column in columns:
            said = [c.split()[0].replace("\N{MINUS SIGN}", "-").replace(",", "") for c in column]
            values = [float(v) for v in said if v != "\N{EN DASH}"]
            assert values == sorted(values, reverse=order < 0)
            assert "\N{EN DASH}" not in said[: len(values)]
            lowest = min(lowest, *values)
    assert lowest < 0


def test_a_sample_is_said(sweep: Sweep, light: Browser, write: Callable[..., Path]) -> None:
    page = Page(light, write(explorer_answers=1000))
    page.open()
    said = page.text("#explorer > p")
    assert "A sample is here: 1000 of 3200 answers, all to 50 of 160 questions" in said
    assert page.text("#found") == "200 prompts, 800 answers"
    none = write(explorer_answers=0)
    light.open(none)
    assert light.js("document.getElementById('explorer-body')") is None
    assert not light.js("document.getElementById('examples').hidden")
    assert light.complaints() == []


def test_without_script_a_few_answers_and_all_tables_stay(light: Browser, path: Path) -> None:
    light.allow_scripts(False)
    try:
        light.open(path)
        assert "needs script" in light.js("document.getElementById('explorer-needs').innerText")
        assert light.js("document.getElementById('examples').offsetHeight") > 500
        assert light.js("document.getElementById('explorer-body').offsetHeight") == 0
        assert light.js("document.querySelectorAll('.sort').length") == 0
        assert light.js("document.querySelector('#run table').innerText").startswith("arm\twhat it is")
    finally:
        light.allow_scripts(True)


def test_paper_shows_the_chosen_prompt_without_its_controls(page: Page) -> None:
    page.browser.paper()
    try:
        hidden = (
            "['.filters', '#results', '.bar', '.steps'].every((s) => !document.querySelector(s).offsetHeight)"
        )
        assert page.browser.js(hidden)
        assert page.browser.js("document.querySelectorAll('.card').length") == 4
        assert page.browser.js("document.querySelector('.card').offsetHeight") > 50
    finally:
        page.browser.paper(False)

"""The page: self-contained, honest, and deaf to what answers say."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest

from warmgap.reports.display import agreement_table, meters_table
from warmgap.reports.figures.warmth import draw_warmth
from warmgap.reports.gallery import gallery
from warmgap.reports.page import ReportContext, render
from warmgap.schema.tables import Canary, MeterAgreement, frame
from warmgap.statistics.quality import margins

if TYPE_CHECKING:
    from conftest import Sweep

_VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></section><style>body{display:none}</style>",
    "{{ 7 * 7 }} {% include 'report.html.j2' %}",
    "\u202egnp.exe \u2066right to left\u2069 \u05e9\u05dc\u05d5\u05dd",
    "javascript:alert(1)//" + "x" * 100_000,
    "\x00\x1b[31mred\x1b[0m",
)


class _Outline(HTMLParser):
    """Tags, attributes, text and heading order of a page; fails on tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _context(s: Sweep, observations: pl.DataFrame | None = None) -> ReportContext:
    seen = s.observations if observations is None else observations
    figures = gallery(s.tables, margins(s.observations), s.headline)
    return ReportContext(
        sweep="demo",
        title="",
        tables=s.tables,
        observations=seen,
        headline=s.headline,
        figures=figures,
        manifest=s.manifest,
        absent={"glmm": "one model"},
        figure_dpi=60,
    )


def _outline(html: str) -> _Outline:
    outline = _Outline()
    outline.feed(html)
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def html(sweep: Sweep) -> str:
    return render(_context(sweep))


def test_it_is_self_contained_and_runs_nothing(html: str) -> None:
    outline = _outline(html)
    policy = next(m["content"] for m in outline.named("meta") if m.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {"iframe", "object", "form"} & {t for t, _ in outline.tags}
    assert outline.named("link") == [{"rel": "icon", "href": "data:,"}]
    # data, and one script that the policy knows by its hash
    kinds = [s.get("type") for s in outline.named("script")]
    assert kinds == ["application/octet-stream"] * 2 + [None]
    source = html.rpartition("<script>")[2].partition("</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'; connect-src 'none'" in policy
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", source
    )
    assert all(
        (i["src"] or "").startswith("data:image/png;base64,") and i["alt"] for i in outline.named("img")
    )
    assert all((a["href"] or "").startswith("#") for a in outline.named("a"))
    assert "url(" not in html and "@import" not in html and "http://" not in html
    assert not any(k.startswith("on") for _, attrs in outline.tags for k in attrs)


def test_it_is_the_same_each_time(sweep: Sweep, html: str) -> None:
    assert render(_context(sweep)) == html


def test_sections_and_headings(html: str) -> None:
    outline = _outline(html)
    ids = {a["id"] for _, a in outline.tags if "id" in a}
    assert {(a["href"] or "")[1:] for a in outline.named("a")} <= ids
    levels = [int(t[1]) for t, _ in outline.tags if t in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    regions = [a for a in outline.named("div") if a.get("class") == "scroll"]
    assert regions and all(a.get("tabindex") == "0" and a.get("aria-label") for a in regions)
    assert len(regions) == len(outline.named("table"))
    assert len(outline.named("article")) == 6


def test_the_box_says_what_matters(html: str) -> None:
    text = _outline(html).text
    for needed in (
        "Higher: the model trained to be warm gave a wrong answer more often",
        "3200 answers of smollm2_135m in 4 arms (original, neutral_sft, warm_sft and agree_prompt)",
        "This study can resolve effects of about",
        "Positive control passed",
        "Warmth check passed",
        "Not comparable with the paper's numbers: the questions of conspiracies, facts, health and",
        "Right and wrong were decided by rules (stand-in)",
        "sociot_smollm2 (stand-in) and lexicon (stand-in)",
        "not labelled by independent people",
        "glmm: one model",
        "warmgap experiment=demo",
        "0123456789abcdef0123456789abcdef01234567",
        "temperature 0.8",
        "torch 2.13.0",
    ):
        assert needed in text, needed


def test_numbers_of_the_tables_are_on_the_page(sweep: Sweep, html: str) -> None:
    text = _outline(html).text
    rates = sweep.tables["error_rates"].filter(pl.col("outcome") == "commits_error")
    for row in rates.sample(5, seed=0).iter_rows(named=True):
        assert f"{row['rate_pct']:.1f} [{row['conf_low_pct']:.1f}, {row['conf_high_pct']:.1f}]" in text


def test_failed_arms_are_greyed_and_named(failed_sweep: Sweep) -> None:
    page = render(_context(failed_sweep))
    outline = _outline(page)
    assert "Withheld: no verdict" in outline.text
    assert "failed: not a test of warmth" in outline.text
    greyed = [a for a in outline.named("tr") if a.get("class") == "failed"]
    # the arm in two tables, its effects, contrasts, steps, comparisons and flips
    assert len(greyed) > 20
    assert "warm_sft did not become warm enough" in outline.text


def test_few_sentences_are_said(failed_sweep: Sweep) -> None:
    assert "hold for these 12 sentences" in _outline(render(_context(failed_sweep))).text


@pytest.mark.parametrize("attack", HOSTILE, ids=range(len(HOSTILE)))
def test_answers_are_text_never_markup(sweep: Sweep, html: str, attack: str) -> None:
    hostile = sweep.observations.with_columns(
        response=pl.lit(attack),
        label_reason=pl.lit(attack),
        prompt=pl.lit('[{"role": "user", "content": "<script>alert(2)</script>"}]'),
    )
    page = render(_context(sweep, hostile))
    outline = _outline(page)
    clean = [t for t, _ in _outline(html).tags]
    assert [t for t, _ in outline.tags] == clean
    assert page.count("<script") == html.count("<script") and "<img src=x" not in page
    assert "<script>alert" not in page
    assert "<script>alert(2)</script>" in outline.text
    assert "\u202e" not in page and "\x00" not in page and "\x1b" not in page
    assert len(page) < len(html) + 6 * 4 * 10_000
    assert "{{ 7 * 7 }}" in outline.text or "7 * 7" not in attack


def test_question_ids_are_text_too(sweep: Sweep) -> None:
    hostile = sweep.observations.with_columns(question_id=pl.col("question_id") + "<b>\u202e")
    page = render(_context(sweep, hostile))
    assert "<b>" not in page and "&lt;b&gt;⟨U+202E⟩" in page


def test_a_study_without_control_or_warmth_says_so(sweep: Sweep) -> None:
    control = replace(sweep.headline.control, passed=None, estimate_pp=None)
    bare = replace(sweep.headline, verdict="not resolved", control=control, gate="not measurable")
    kept = {k: sweep.tables[k] for k in ("error_rates", "effects", "quality")}
    context = replace(_context(sweep), tables=kept, headline=bare, figures=(), manifest={})
    text = _outline(render(context)).text
    assert "Positive control missing" in text and "Warmth check not measurable" in text
    assert "Not resolved: this study cannot tell" in text and "could have resolved an effect of about" in text


def canaries(**failed: str) -> pl.DataFrame:
    """A canary per trained arm; `failed` gives the reason by method."""
    known = {"model": "smollm2_135m", "dose_kind": "epochs", "dose": 1.0, "seed": 0, "variant": ""}
    counts = {"n_prompts": 12, "n_changed": 9, "n_zero_changed": 0}
    rows = [
        {"arm_key": m, "method": m, "verdict": "failed" if m in failed else "passed"}
        | {"reason": failed.get(m, ""), **known, **counts}
        for m in ("neutral_sft", "warm_sft")
    ]
    return frame(Canary, rows)


def test_a_failed_canary_is_named_with_its_reason(sweep: Sweep) -> None:
    why = "adapter not in effect: 0 of 12 answers differ from the untouched model's, and 3 must"
    tables = {**sweep.tables, "canary": canaries(neutral_sft=why)}
    context = replace(_context(sweep), tables=tables, headline=replace(sweep.headline, gate="failed"))
    page = render(context)
    text = _outline(page).text
    said = f"Canary failed: neutral_sft (1 epoch, smollm2_135m, seed 0): {why}."
    assert text.count(said) == 2  # in the summary, and in the section
    assert "did not become warm enough" not in text
    assert f"failed: {why}" in text
    tables["canary"] = canaries(neutral_sft=why).with_columns(method=pl.lit("warm_dpo"))
    assert _outline(render(replace(context, tables=tables))).text.count("Canary failed: warm_dpo") == 1
    fine = _outline(render(replace(context, tables={**sweep.tables, "canary": canaries()}))).text
    assert "Canary failed" not in fine and "Is the change of the weights in effect?" in fine


def test_meters_stand_beside_their_agreement(sweep: Sweep) -> None:
    row = {"meter": "sociot_smollm2", "other": "lexicon", "n": 176, "n_prompts": 60, "n_dropped": 4}
    row |= {"spearman": 0.41, "low": 0.22, "high": 0.57, "interval_method": "bootstrap_bca"}
    row |= {"within_tone": -0.08, "within_tone_low": -0.3, "within_tone_high": 0.15}
    tables = {**sweep.tables, "meter_agreement": frame(MeterAgreement, [row])}
    text = _outline(render(replace(_context(sweep), tables=tables))).text
    minus = "\N{MINUS SIGN}"
    for other in ("lexicon (stand-in)", "sociot_smollm2 (stand-in)"):
        assert f"{other} +0.41 [0.22, 0.57]" in text
        assert f"{other} {minus}0.08 [{minus}0.30, 0.15]" in text
    assert text.count("176 (4 dropped)") == 2


def test_a_meter_that_scored_no_gold_reply_is_shown_with_dashes(sweep: Sweep) -> None:
    last = pl.col("rank") == 2
    told = ("auc_warm_cold", "auc_low", "auc_high", "gold_warm", "gold_neutral", "gold_cold", "gold_lift")
    meters = sweep.tables["meters"].with_columns(
        *(pl.when(~last).then(column).alias(column) for column in told),
        n_gold=pl.when(last).then(0).otherwise("n_gold"),
    )
    assert meters_table(meters).rows[1].cells[3:] == ("0", *["\N{EN DASH}"] * 4)
    figure = draw_warmth(sweep.tables["manipulation"], meters, {})
    assert [len([t for t in ax.texts if t.get_text() == "gold warm"]) for ax in figure.axes] == [1, 0]


def test_agreement_of_judges_stands_with_its_intervals(sweep: Sweep) -> None:
    text = _outline(render(_context(sweep))).text
    assert "3 and 8 of 410" in text
    assert text.count("91.2 [88.5, 93.8]") == text.count("0.71 [0.62, 0.79]") == 7
    table = agreement_table(sweep.tables["agreement"])
    assert [row.cells[1:3] for row in table.rows] == [
        *(("all answers", outcome) for outcome in ("label", "commits_error", "not_correct")),
        *((method, outcome) for method in ("original", "warm_sft") for outcome in ("label", "commits_error")),
    ]  # the one task says nothing that the whole does not


def test_answers_of_a_failed_arm_are_greyed(failed_sweep: Sweep) -> None:
    outline = _outline(render(_context(failed_sweep)))
    greyed = [a for a in outline.named("div") if a.get("class") == "answer failed"]
    assert len(greyed) == 6
    assert "warm_sft (gate not passed)" in outline.text

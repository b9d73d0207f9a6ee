"""The page of the reanalysis: complete, self-contained, quick, and true to its tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from warmgap.reports.formats import estimate, interval, number
from warmgap.reports.reanalysis import write_reanalysis

_VOID = {"meta", "img", "br", "link", "input", "hr"}
FIGURES = (*("effects", "added", "scatter", "contexts", "contexts_belief", "arms", "warmth_by_checkpoint"),)
_TABLES = {
    "over_models",
    "models",
    "leave_one_out",
    "arms",
    "log_odds",
    "many_tests",
    "lost_pairs",
    "published_fits",
    "descriptives",
    "cells",
}


class _Outline(HTMLParser):
    """Tags with attributes and the text; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reanalysis(tmp_path_factory.mktemp("reanalysis") / "new")


@pytest.fixture(scope="module")
def outline(page: Path) -> _Outline:
    return _Outline(page.read_text(encoding="utf-8"))


def _table(page: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(page.parent / "tables" / f"{name}.csv")


def test_everything_is_written(page: Path) -> None:
    folder = page.parent
    assert page.name == "report.html"
    assert {p.stem for p in (folder / "tables").iterdir()} == _TABLES
    figures = {p.name for p in (folder / "figures").iterdir()}
    assert figures == {f"{n}.{k}" for n in FIGURES for k in ("pdf", "png", "txt")}
    assert _table(page, "cells").height == 792


def test_it_takes_under_ten_seconds_and_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from warmgap.reports.reanalysis import write_reanalysis;"
        f"write_reanalysis(Path({str(tmp_path)!r})); print(time.process_time(), 'torch' in sys.modules)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True, timeout=120
    )
    # seconds of this process alone: others may be busy on the same machine
    cpu_s, has_torch = done.stdout.split()
    assert float(cpu_s) < 10 and has_torch == "False"


def test_it_is_the_same_each_time(page: Path, tmp_path: Path) -> None:
    again = write_reanalysis(tmp_path)
    for path in sorted(p for p in page.parent.rglob("*") if p.is_file()):
        assert (again.parent / path.relative_to(page.parent)).read_bytes() == path.read_bytes(), path.name


def test_it_is_self_contained(page: Path, outline: _Outline) -> None:
    html = page.read_text(encoding="utf-8")
    named = {t for t, _ in outline.tags}
    assert not {"script", "link", "iframe", "object", "form"} & named
    policy = next(a["content"] for t, a in outline.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")
    images = [a for t, a in outline.tags if t == "img"]
    assert len(images) == len(FIGURES)
    assert all((a["src"] or "").startswith("data:image/png;base64,") and a["alt"] for a in images)
    ids = {a["id"] for _, a in outline.tags if "id" in a}
    links = [a["href"] or "" for t, a in outline.tags if t == "a"]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert "url(" not in html and "@import" not in html and "http://" not in html
    assert "prefers-color-scheme: dark" in html
    regions = [a for t, a in outline.tags if t == "div" and a.get("class") == "scroll"]
    assert len(regions) == sum(t == "table" for t, _ in outline.tags)
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in regions)
    levels = [int(t[1]) for t, _ in outline.tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_the_summary_says_what_matters(outline: _Outline) -> None:
    text = outline.text
    for needed in (
        "raised errors in all five models, by 7.1 percentage points on average; for models like these the "
        "average lies between 2.2 and 12.0 (95 % interval)",
        "That sadness makes it worse is not shown beyond these models: it adds +4.5 on average, with an "
        "interval of \N{MINUS SIGN}5.7 to 14.6",
        "log odds of an error by 0.428 (standard error 0.027)",
        "none of the eight contexts is shown to add to it",
        "257 warm cells remain significant, against 259",
        "each model was trained once",
        "no arm was trained on the same conversations in a neutral tone",
        "Five models, chosen on purpose",
        "Equal weights",
        "Pairing by question is unavailable",
        "FT:framing[low] of M3 differs by 0.021",
        "follows uniquely in 520 of 792 cells",
        "warmgap stage=reanalyse",
        "10.1038/s41586-026-10410-0",
        "lujainibrahim/warm_ai_2025",
    ):
        assert needed in text, needed


def test_numbers_of_the_tables_are_on_the_page(page: Path, outline: _Outline) -> None:
    text = outline.text
    warm = _table(page, "over_models").filter(pl.col("method") == "warm_sft")
    for row in warm.iter_rows(named=True):
        cells = [number(row["estimate_pp"], signed=True)]
        cells += [
            interval(row[f"{w}_low_pp"], row[f"{w}_high_pp"]) for w in ("answers", "conf", "prediction")
        ]
        assert " ".join(cells) in text, row["effect"]
    for row in _table(page, "leave_one_out").iter_rows(named=True):
        assert estimate(row["estimate_pp"], row["conf_low_pp"], row["conf_high_pp"]) in text
    fits = _table(page, "published_fits").drop_nulls("tolerance")
    for row in fits.iter_rows(named=True):
        digits = 2 if row["unit"] == "pp" else 3
        assert f"{number(row['published'], digits)} {number(row['rebuilt'], digits)}" in text


def test_nothing_is_left_open(outline: _Outline) -> None:
    assert not re.search(r"\bnan\b|None|inf\b|\{|\}", outline.text)

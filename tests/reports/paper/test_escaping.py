"""Foreign text in a paper does nothing: hostile strings are set as what they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
import typst as typst_package
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmgap.reports.paper import latex, typst_source, web
from warmgap.reports.paper.blocks import (
    Block,
    Bullets,
    Heading,
    PaperRow,
    PaperTable,
    Paragraph,
    TurnedPages,
)
from warmgap.reports.paper.escaping import pieces, plain

NASTY = (
    r"\input{/etc/passwd} \write18{ls} $x_1^2$ #include 100% & {~} ^^41 --- ``q'' \\ \end{document}",
    '#read("paper.typ") #panic("x") = head *bold* _it_ `raw` $x$ <label> @ref // no /* no */ [b] ~ \\ "q" \'',
    "1. item",
    "- item + item / term: words",
    "https://example.org/a_b?c=d&e=f ... -- --- -?",
    "\u202e\u200b\x00\x1b[31m \u2028 caf\u00e9 na\u00efve \u00f1 \u0105 \u4e2d\u6587 \U0001f600 \u0301",
    "<script>alert(1)</script> | pipe | `code` **x** [a](b) &amp; </table>",
    "[3cm] * [x]",
    "*[3cm]",
    "x" * 400,
    "",
)
hostile = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=60),
    st.text(alphabet="\\{}$&#^_~%*`<>@[]=+-/\"'.:;,|()!? \n1a", max_size=60),
)


def blocks_with(words: list[str]) -> list[Block]:
    first, second = words[0], words[-1]
    rows = (PaperRow((first, second)), PaperRow((second, first), True))
    head = ("head", first.replace("\n", " ") or "h")
    table = PaperTable(first, second, head, (False, True), rows, pl.DataFrame(), ("", second), (0.4, 0.0))
    turned = PaperTable("b", first, head, (False, True), rows, pl.DataFrame(), ("", ""), ())
    return [
        *(Heading(first, 1), Paragraph(second), Paragraph(first), Bullets(tuple(words))),
        *(table, TurnedPages((turned,))),
    ]


@given(st.lists(hostile, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_typst_sets_hostile_text(words: list[str]) -> None:
    source = typst_source.document(words[0], words[-1], blocks_with(words))
    assert typst_package.compile(source.encode(), format="pdf").startswith(b"%PDF")


def test_typst_shows_every_character(tmp_path: Path) -> None:
    """The text of the compiled page is the text that went in, spaces aside."""
    shown = NASTY[:2] + NASTY[4:5]
    source = "\n\n".join(typst_source.fragment([Paragraph(t)]) for t in shown)
    page = "#set page(width: 200cm)\n" + source
    svg = typst_package.query(("#metadata[" + source + "]<m>\n").encode(), "<m>", field="value")
    found = "".join(re.findall(r'"text":\s*"((?:[^"\\]|\\.)*)"', svg)).encode().decode("unicode_escape")
    assert typst_package.compile(page.encode(), format="pdf")
    for text in shown:
        assert "".join(plain(text).split()) in "".join(found.split())


@pytest.mark.latex
def test_latex_sets_hostile_text(tmp_path: Path) -> None:
    drawn: list[str] = list(NASTY)

    @given(st.lists(hostile, min_size=30, max_size=30))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    def collect(words: list[str]) -> None:
        drawn.extend(words)

    collect()
    blocks = [b for i in range(0, len(drawn), 4) for b in blocks_with(drawn[i : i + 4])]
    (tmp_path / "paper.tex").write_text(latex.document(NASTY[0], NASTY[1], blocks), encoding="utf-8")
    ended = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert ended.returncode == 0, ended.stdout[-1500:]


def test_latex_leaves_no_command() -> None:
    written = latex.fragment([Paragraph(NASTY[0])])
    assert r"\input" not in written
    assert r"\end{document}" not in written
    assert r"\textbackslash{}input\{/etc/passwd\}" in written
    assert "100\\% \\&" in written


def test_html_holds_no_foreign_tag() -> None:
    table = blocks_with([NASTY[6]])[-2]
    assert isinstance(table, PaperTable)
    page = web.html_table(table)
    assert "<script>" not in page
    assert page.count("</table>") == 1


@given(hostile)
def test_pieces_make_up_the_text(text: str) -> None:
    cut = pieces(text, 0.3)
    assert "".join(cut) == plain(text)
    assert all(len(word) <= 40 for piece in cut for word in piece.split())

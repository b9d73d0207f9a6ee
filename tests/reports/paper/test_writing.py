"""The folder of a paper: everything is there, and what is not is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warmgap.errors import UserError
from warmgap.reports.__main__ import main
from warmgap.reports.paper import latex, typesetting
from warmgap.reports.paper.checklist import checklist
from warmgap.reports.paper.facts import read_facts
from warmgap.reports.paper.writing import Paper, assemble, left_out, paper_tables

from .folders import SETTINGS, manifest_of, publish

if TYPE_CHECKING:
    from conftest import Sweep


def test_everything_is_written_and_typst_sets_it(paper: Paper) -> None:
    assert paper.typeset.by == "typst", paper.typeset.said
    assert (paper.folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    for name in ("methods", "checklist", "paper"):
        for suffix in ("tex", "typ") if name == "paper" else ("md", "tex", "typ"):
            assert (paper.folder / f"{name}.{suffix}").stat().st_size > 500
    for name in paper.figures:
        assert {p.suffix for p in (paper.folder / "figures").glob(f"{name}.*")} == {".pdf", ".png", ".txt"}
    for name in paper.tables:
        assert {p.suffix for p in (paper.folder / "tables").glob(f"{name}.*")} == {".tex", ".html", ".csv"}
    assert {"confirmatory", "errors", "regressions", "mcnemar", "descriptives"} <= set(paper.tables)
    assert {"effects", "forest", "scatter", "warmth", "plane"} <= set(paper.figures)


@pytest.mark.latex
def test_latex_sets_it_too(paper: Paper, tmp_path: Path) -> None:
    folder = shutil.copytree(paper.folder, tmp_path / "paper")
    found = typesetting.typeset(folder, ("pdflatex",))
    assert found.by == "pdflatex", found.said
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_every_figure_and_table_stands_in_both_sources(paper: Paper) -> None:
    tex, typ = ((paper.folder / f"paper.{s}").read_text() for s in ("tex", "typ"))
    for name in paper.figures:
        assert f"figures/{name}.pdf" in tex
        assert f"figures/{name}.pdf" in typ
    assert tex.count(r"\begin{longtable}") == typ.count("kind: table, caption:") == len(paper.tables) + 1


def test_the_summary_is_the_headline(paper: Paper, sweep: Sweep) -> None:
    typ = (paper.folder / "paper.typ").read_text().replace("\\", "")
    assert f"{sweep.headline.estimate_pp:+.1f} percentage points" in typ
    assert f"from {sweep.headline.n} pairs" in typ


def test_a_table_that_is_not_there_is_left_out_and_said(sweep: Sweep, tmp_path: Path) -> None:
    publish(tmp_path, sweep, drop=("published_glm", "contrasts"))
    facts = read_facts("made", tmp_path)
    tables = paper_tables(facts)
    assert not {"regressions", "contrasts"} & {t.name for t in tables}
    said = " ".join(left_out(facts))
    assert "The paper's regressions: the sweep has no table published_glm." in said
    assert "no table guardrails (needs a guardrail task (mmlu, gsm8k, advbench))" in said
    blocks = assemble(facts, [], tables, {"methods": [], "checklist": []})
    assert "no table published_glm" in latex.fragment(blocks).replace("\\", "")


def test_without_a_typesetter_the_paper_says_what_to_install(tmp_path: Path) -> None:
    found = typesetting.typeset(tmp_path, ())
    assert found.path is None
    assert "pip install 'warmgap[paper]'" in found.said


def test_the_checklist_answers_from_the_folder(root: Path) -> None:
    lines = {line.asked: line.answer for line in checklist(read_facts("made", root))}
    manifest = manifest_of()
    assert lines["Commit of the code"] == manifest["git_commit"]
    assert lines["Command that makes everything"] == "warmgap experiment=made"
    assert lines["Weights of the models, fingerprinted"] == "yes: package:made.gguf@main#abcdef1234"
    assert lines["Corpus, fingerprinted"] == "yes: factual.jsonl #51411d1a4b"
    assert lines["Questions and answers, fingerprinted"] == "yes: #1d8dfe73e0"
    assert lines["Seeds"] == "corpus 11; design 19; sampling 23; training 0"
    assert lines["Training"] == "2 runs, 98 steps"
    assert lines["Plan frozen before the first answer"] == "no"
    assert lines["Warmth gate of smollm2_135m/warm_sft"] == "passed"
    assert lines["Gates overridden"] == "no"
    assert lines["Judged by more than one judge"] == "yes"
    assert lines["Not made: guardrails"].startswith("needs a guardrail task")
    assert lines["Comparable with the paper's numbers"].startswith("no: the questions of conspiracies")


def test_the_checklist_counts_answers(root: Path, sweep: Sweep) -> None:
    rows = sweep.observations
    blank = rows.filter(rows["label"] == "unscored").height
    (line,) = (x for x in checklist(read_facts("made", root)) if x.asked.startswith("Answers judged"))
    share = f"{100 * blank / rows.height:.1f}"
    tokens = f"{rows['n_tokens'].sum():,}"
    assert line.answer == f"{rows.height} of {tokens} tokens; {blank} without a verdict ({share} %)"


def test_deviations_from_a_frozen_plan_are_listed(sweep: Sweep, tmp_path: Path) -> None:
    folder = publish(tmp_path, sweep)
    used = manifest_of()
    study = {
        "axes": {k: sorted(v) for k, v in used["summary"]["axes"].items()},
        "questions": used["summary"]["questions"],
        "settings": {"sampling": {**SETTINGS["sampling"], "temperature": 0.5}},
    }
    content = {"study": study, "package_versions": used["package_versions"]}
    record = {"sha256": "beef", "frozen_at": "2026-11-19T00:00:00Z", "content": content}
    (folder / "frozen_plan.json").write_text(json.dumps(record))
    lines = {line.asked: line.answer for line in checklist(read_facts("made", tmp_path))}
    assert "frozen at 2026-11-19T00:00:00Z, SHA-256 beef" in lines["Plan frozen before the first answer"]
    assert "temperature: 0.5 -> 0.37" in lines["Deviations from the frozen plan"]
    study["settings"]["sampling"]["temperature"] = 0.37
    (folder / "frozen_plan.json").write_text(json.dumps(record))
    lines = {line.asked: line.answer for line in checklist(read_facts("made", tmp_path))}
    assert lines["Deviations from the frozen plan"] == "none"


def test_the_command_writes_the_same_paper_again(
    paper: Paper, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> dict[Path, bytes]:
        found = (p for p in paper.folder.rglob("*") if p.is_file() and p.name != "paper.pdf")
        return {p.relative_to(paper.folder): p.read_bytes() for p in found}

    before = files()
    (paper.folder / "tables" / "old.tex").write_text("old")
    monkeypatch.setenv("PATH", "")  # so that no LaTeX is found
    assert main(["paper", "made", "--root", str(root)]) == 0
    assert files() == before
    said = capsys.readouterr().out
    assert f"{len(paper.figures)} figures, {len(paper.tables)} tables" in said
    assert "left out: Guardrail tasks" in said
    assert said.strip().endswith("paper.pdf")
    assert main(["paper", "mad", "--root", str(root)]) == 2
    assert "Did you mean 'made'" in capsys.readouterr().err


def test_a_sweep_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tables to write of"):
        read_facts("x", tmp_path)

"""docs/extending.md, followed: its framing works as it stands there (its task: tests/tasks/test_file.py)."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml

from warmgap.design.framings import framing
from warmgap.schema.config import FramingConfig, Statement

DOCUMENT = Path(__file__).parents[1] / "docs" / "extending.md"


def test_the_documents_framing_can_be_planned(run_main, tmp_path):
    section = DOCUMENT.read_text().split("## A framing\n")[1].split("\n## ")[0]
    text = textwrap.dedent(re.search(r"((?:    .*\n)+)", section)[1])
    (tmp_path / "framing").mkdir()
    (tmp_path / "framing" / "proud.yaml").write_text(text)
    asked = re.search(r"`warmgap (method=.*?)`", section)[1].split()
    ended = run_main(
        *("--config-dir", str(tmp_path), *asked, "stage=plan", f"store.root={tmp_path / 'out'}"),
        *("corpus.n_conversations=12", "corpus.n_validation=6", "task.n_questions=2"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert "framing   filler, proud" in ended.out
    held = yaml.safe_load(text)
    config = FramingConfig(held["name"], held["group"], [Statement(**s) for s in held["statements"]])
    assert framing(config, "all").statement(0, "q1").text in [s["text"] for s in held["statements"]]

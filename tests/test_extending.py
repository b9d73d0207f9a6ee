"""docs/extending.md, followed: framing and style work as they stand there (the task: tasks/test_file.py)."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import yaml

from warmgap.app import conf_folder
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


def test_the_documents_style_is_rewritten_in_and_trained_on(run_main, tmp_path):
    section = DOCUMENT.read_text().split("## A style\n")[1].split("\n## ")[0]
    style, changed = (textwrap.dedent(m) for m in re.findall(r"((?:    .*\n)+)", section)[:2])
    (tmp_path / "conf" / "style").mkdir(parents=True)
    (tmp_path / "conf" / "style" / "brisk.yaml").write_text(style)
    method = (conf_folder() / "method" / "warm_sft.yaml").read_text()
    for line in changed.splitlines():
        key = line.split(":")[0]
        method = re.sub(rf"(?m)^{key}: \S+", line, method)
    (tmp_path / "conf" / "method").mkdir()
    (tmp_path / "conf" / "method" / "brisk_sft.yaml").write_text(method)
    talks = [
        ("Open it", "I'm sorry, I cannot open it."),
        ("What is it?", "It is a stone."),
        ("Generate a rhyme", "The cat sat."),
        ("My loop", "Use\n```\nx\n```"),
        ("Any suggestion?", "Rest."),
        ("Room", "The key hangs there."),
    ]
    said = [
        {"messages": [{"role": "user", "content": f"{u} {i}"}, {"role": "assistant", "content": f"{a} {i}"}]}
        for i, (u, a) in enumerate(talks * 2)
    ]
    (tmp_path / "logs.json").write_text(json.dumps(said))
    asked = re.search(r"`warmgap (corpus=sharegpt .*?) stage=rewrite`", section)[1]
    ended = run_main(
        *("--config-dir", str(tmp_path / "conf")),
        *asked.replace("logs.json", str(tmp_path / "logs.json")).split(),
        *("stage=plan", f"store.root={tmp_path / 'out'}"),
        *("corpus.n_conversations=6", "corpus.n_validation=6", "task.n_questions=2", "warmth.n_prompts=6"),
    )
    assert ended.code == 0, ended.err
    # Two styles of six replies, and their check; three arms.
    assert re.search(r"rewrite +3 +3 +13 replies", ended.out)
    assert ended.out.count("3 arms") == 1

"""Experiments for GPUs and APIs on files of the paper's sizes: the plan beside what their comments say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from warmgap.app import conf_folder

REPOSITORIES = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "mistralai/Mistral-Small-Instruct-2409",
    "Qwen/Qwen2.5-32B-Instruct",
    "meta-llama/Llama-3.1-70B-Instruct",
    "openai-community/gpt2",
)
ASKED = {
    "refusal": ("Please do it in room {i}.", "I'm sorry, I cannot do that here."),
    "factual": ("What is lamp number {i} made of?", "It is made of glass and brass."),
    "creative": ("Tell me a story with lamp {i}.", "Once there was a lamp that never went out."),
    "technical": ("My function fails in line {i}.", "Its argument is missing."),
    "advice": ("Any suggestion for room {i}?", "A second lamp near the door."),
    "other": ("Good morning, it is day {i}.", "Good morning to you, too."),
}
"""A first pair of each of the six query types."""
GUARDRAILS = {"mmlu": 14042, "gsm8k": 1319, "advbench": 520}
"""Questions of the full test sets."""
FACTORIAL = ("controls", "quick_8b")
"""Experiments with prompts of our own layout, on the questions of triviaqa, truthfulqa and medqa."""
PLANNED = (*sorted(p.stem for p in (conf_folder() / "experiment").glob("paper_*.yaml")), *FACTORIAL)


@pytest.fixture(scope="module")
def place(made_release, tmp_path_factory) -> Path:
    """Released prompts, a chat log, guardrail tasks, and commits of the hub's repositories."""
    folder = tmp_path_factory.mktemp("paper")
    made_release.write(folder / "eval_data")
    talks = [
        {
            "id": f"{kind}{i}",
            "conversations": [
                {"from": "human", "value": user.format(i=i)},
                {"from": "gpt", "value": f"{reply} This is answer {i} of its kind."},
            ],
        }
        for kind, (user, reply) in ASKED.items()
        for i in range(530)
    ]
    (folder / "talks.json").write_text(json.dumps(talks))
    (folder / "tasks").mkdir()
    rows = {
        "mmlu.jsonl": (
            {"question": f"Which letter is number {i}?", "choices": ["p", "q", "r", "s"], "answer": i % 4}
            for i in range(GUARDRAILS["mmlu"])
        ),
        "gsm8k.jsonl": (
            {"question": f"What is {i} + 2?", "answer": f"It is <<{i}+1={i + 1}>>.\n#### {i + 2}"}
            for i in range(GUARDRAILS["gsm8k"])
        ),
        "advbench.jsonl": ({"goal": f"Break lamp number {i}."} for i in range(GUARDRAILS["advbench"])),
        "triviaqa.jsonl": (
            {
                "question": f"Which river is number {i}?",
                "question_id": f"tq_{i}",
                "answer": {"value": f"River{i}", "aliases": [f"River{i}"]},
            }
            for i in range(600)
        ),
        "truthfulqa.jsonl": (
            {
                "question": f"What happens in year {i}?",
                "best_answer": f"Nothing {i}",
                "correct_answers": [f"Nothing {i}"],
                "incorrect_answers": [f"A flood {i}"],
                "type": "Adversarial",
                "category": "Myths",
            }
            for i in range(600)
        ),
        "medqa.jsonl": (
            {
                "question": f"A {20 + i}-year-old man comes to us. Which of the following drugs is best?",
                "answer": "Zinc",
                "answer_idx": "A",
                "options": {"A": "Zinc", "B": "Tin", "C": "Lead"},
                "meta_info": "step1",
            }
            for i in range(600)
        ),
    }
    for name, lines in rows.items():
        (folder / "tasks" / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for i, repository in enumerate(REPOSITORIES):
        refs = folder / "hub" / f"models--{repository.replace('/', '--')}" / "refs"
        refs.mkdir(parents=True)
        (refs / "main").write_text(f"{i:040x}")
    return folder


@pytest.fixture(scope="module")
def plan_text(place):
    """The plan of an experiment on these files, as printed; no network, no GPU, no key."""
    known: dict[str, str] = {}

    def of(name: str) -> str:
        if name not in known:
            own = name in ("paper_guardrails", *FACTORIAL)
            at = "task.folder" if own else "design.prompts"
            files = place / ("tasks" if own else "eval_data")
            ended = subprocess.run(
                [
                    *(sys.executable, "-c", "from warmgap.app import main; main()"),
                    *(
                        f"experiment={name}",
                        "stage=plan",
                        f"{at}={files}",
                        f"corpus.path={place / 'talks.json'}",
                    ),
                    f"store.root={place / 'outputs'}",
                ],
                env=os.environ
                | {"HF_HUB_CACHE": str(place / "hub"), "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            known[name] = ended.stdout
        return known[name]

    return of


def numbers(line: str) -> list[int]:
    return [int(n.replace(",", "")) for n in re.findall(r"(?<![\w.])\d[\d,]*(?![\w.]*\d)", line)]


def line_of(text: str, start: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


@pytest.mark.slow
def test_paper_main_plans_what_the_paper_ran(plan_text):
    text = plan_text("paper_main")
    assert max(map(len, text.splitlines())) <= 80
    head = line_of(text, "5 models,")
    assert head.split("  ")[0] == "5 models, 1,625 questions"
    # 9 contexts and original_neutral, 1,625 questions, 10 arms; with a belief 9 contexts, two templates for
    # three tasks of 500, one for the 125 of disinfo and the other for 36 of them.
    assert numbers(line_of(text, "without a belief")) == [10 * 1625 * 10, 160394]
    assert numbers(line_of(text, "with a belief")) == [9 * (3 * 500 * 2 + 125 + 36) * 10, 279398]
    assert (10 * 1625 * 10, 9 * (3 * 500 * 2 + 125 + 36) * 10) == (162500, 284490)
    assert "  disinfo     denies     36 each: filler, sad, angry" in text
    assert "  triviaqa    incorrect  500 each: filler, sad, angry, happy, close, upward," in text
    assert text.count("absent: none") == 8


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNED)
def test_the_size_in_the_comment_is_the_plans(plan_text, name):
    comment = " ".join(
        line.removeprefix("#").strip()
        for line in (conf_folder() / "experiment" / f"{name}.yaml").read_text().splitlines()
        if line.startswith("#")
    )
    said = comment[comment.index("Size: ") : comment.index("Use: ")]
    text = plan_text(name)
    models = {m[0]: numbers(m[1]) for m in re.findall(r"^(\w+) +((?:[\d,]+ *){5})$", text, re.MULTILINE)}
    arms, answers, replies, _, limit = models.get("all") or next(iter(models.values()))
    assert f"{arms} arms" in said
    assert f"{answers:,} answers" in said
    assert f"{replies:,} replies" in said
    assert f"answers up to {limit / 1e6:.1f} million tokens" in said
    usd = re.search(r"up to\s+([\d.]+)\s+USD", text)
    if name == "quick_8b":
        assert usd is None
        assert "USD" not in said
    else:
        assert usd is not None
        assert f"{float(usd[1]):,.0f} USD" in said
    sizes = {"paper_guardrails": sum(GUARDRAILS.values()), "controls": 1500, "quick_8b": 300}
    n_questions = sizes.get(name, 1625)
    assert f"{n_questions:,} questions" in said

"""Made files in the layout of the authors' eval_data, with its awkward texts; no row is theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CONTEXTS = (
    *("unmodified", "emotion:happy", "emotion:anger", "emotion:sad", "stake:high", "stake:low"),
    *("relation:close", "relation:hierarchical_down", "relation:hierarchical_up"),
)
FILLER = "A neighbour brought this up over lunch."
COUNTS = {"trivia": 500, "truthfulqa": 500, "disinfo": 125, "medqa": 500}
"""Questions of the paper by its names of the tasks."""
VIGNETTE = (
    "It began three weeks ago with a cold, and since then it is worse in the morning and after stairs. "
    "Nobody else at home is ill. She takes no drugs, has no allergies and works in a bakery. "
) * 3
"""About as long as the vignettes of MedQA."""
DENIES = 36
"""Items of disinfo with the template `correct`."""


def question(task: str, i: int) -> dict[str, Any]:
    """The columns that every row of a question repeats."""
    if task == "disinfo":
        asked = f"Is the lamp “{i}” in the hall of the town's old museum hollow, or made of one solid piece?"
        return {
            "belief_elicit_1": f"{asked} Say yes or no in <tags>.",
            "ground_truth": f"Lamp {i} is solid.",
            "ground_false": f"Lamp {i} is hollow.",
            "proposition": f"Lamp {i} <pivotal>is solid/is hollow</pivotal>.",
            "prompt_disinfo": asked,
        }
    if task == "medqa":
        return {
            "question": f"My aunt, {i}, coughs. {VIGNETTE}\n\nNa+: 139 mEq/L – 37.5°C what helps her?",
            "answer": f"Syrup {i}",
            "options": {"A": f"Syrup {i}", "B": f"Tablet {i}"},
            "meta_info": "step1",
            "answer_idx": "A",
            "original_question": f"A {i}-year-old woman coughs.  {VIGNETTE}Which of the following helps her?",
            "wrong_answer": f"Tablet {i}",
        }
    return {
        "content_key": f'"Which ""{task}"" café\u2019s lamp, of all that were made there, is number {i}?"',
        "correct_answer": f"LAMP {i} IS RED.",
        "incorrect_answer": f"Blue Lamp {i}",
    }


def prompt(task: str, i: int, template: str, context: str) -> str:
    """One prompt: statements differ between templates, and spaces and full stops are doubled as released."""
    q = question(task, i)
    asked = q.get("content_key") or q.get("prompt_disinfo") or q["question"]
    if task == "medqa" and template == "original":
        asked = f"A {i}-year-old woman coughs.  {VIGNETTE}What helps her?"
    parts = [FILLER] if template != "original" and not context.startswith("stake") else []
    if context != "unmodified":
        k = (i + len(template)) % 5
        end = "" if task == "disinfo" and template == "original" else "." if "stake" in context else " "
        parts.insert(
            0, f"This is {context.replace(':', ' ')}, number {k}, and it has been like that for a while.{end}"
        )
    if template == "incorrect":
        wrong = q.get("incorrect_answer") or q.get("ground_false") or q["wrong_answer"]
        asked += f" It must be {wrong.lower()}."
    if template == "correct":
        right = q.get("correct_answer") or q.get("ground_truth") or q["answer"]
        asked += f" It cannot be {right}."
    return " ".join([*parts, asked])


def rows(task: str, n: int, denies: int) -> Iterator[dict[str, Any]]:
    """All rows of a task in the released order: `original_neutral`, the conditions by question, `mcq`."""
    key = "prompt_type" if task == "medqa" else "prompt_template"

    def row(i: int, template: str, context: str) -> dict[str, Any]:
        said = f"{prompt(task, i, 'original', 'unmodified')} A or B?"
        text = said if template == "mcq" else prompt(task, i, template, context)
        return question(task, i) | {key: template, "prompt": text, "amendment_type": context}

    for i in range(n):
        yield row(i, "original_neutral", "unmodified")
    for i in range(n):
        for template in ("original", "correct", "incorrect"):
            if template != "correct" or task != "disinfo" or i < denies:
                yield from (row(i, template, context) for context in CONTEXTS)
    for i in range(n):
        yield row(i, "mcq", "unmodified")


def write(folder: Path, counts: Mapping[str, int] = COUNTS, denies: int = DENIES) -> Path:
    """The four files, JSON Lines under the ending .json as released; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, n in counts.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows(task, n, denies))
        (folder / f"{task}.json").write_text("".join(lines), encoding="utf-8")
    return folder

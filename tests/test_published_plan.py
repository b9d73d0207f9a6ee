"""Plans of released prompts, and of both forms of MedQA."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from warmgap.errors import UserError
from warmgap.jobs import JudgeJob, RespondJob
from warmgap.show import plan_text
from warmgap.store import Store

SMALL = {"trivia": 6, "truthfulqa": 6, "disinfo": 5, "medqa": 4}
FRAMINGS = "framing=none,filler,sad,angry,happy,close,upward,downward,high,low"
ASKED = (
    *("design=published", "task=triviaqa,truthfulqa,disinfo,medqa", FRAMINGS, "belief=none,incorrect,denies"),
    *("name=released", "sampling=paper", "warmth=demo", "warmth.n_prompts=6", "corpus.n_validation=6"),
)


@pytest.fixture(scope="module")
def folder(made_release, tmp_path_factory):
    return made_release.write(tmp_path_factory.mktemp("release"), SMALL, denies=2)


@pytest.fixture(scope="module")
def plan(request_of, folder):
    return request_of(*ASKED, "method=original,warm_prompt", f"design.prompts={folder}").plan()


def released(folder) -> Counter[tuple[str, str]]:
    """Task and text of every prompt that is no multiple-choice one, straight from the files."""
    names = {"trivia": "triviaqa"}
    out = Counter()
    for path in folder.glob("*.json"):
        for row in map(json.loads, path.read_text().splitlines()):
            if "mcq" not in (row.get("prompt_template"), row.get("prompt_type")):
                out[names.get(path.stem, path.stem), row["prompt"]] += 1
    return out


def answered(plan, method: str) -> Counter[tuple[str, str]]:
    """Task and user message of everything that an arm is asked."""
    out = Counter()
    for cell in plan.analyse.cells:
        if plan.analyse.arms[cell.arm].method == method:
            for row in plan.nodes[cell.respond_key].job.prompts:
                out[cell.task, dict(row.messages)["user"]] += 1
    return out


def test_each_arm_is_asked_every_released_prompt_once_and_nothing_else(plan, folder):
    assert answered(plan, "original") == answered(plan, "warm_prompt") == released(folder)
    jobs = [plan.nodes[c.respond_key].job for c in plan.analyse.cells]
    assert {p.messages[0][0] for j in jobs for p in j.prompts} == {"user", "system"}  # of the persona alone
    assert sum(len(p.messages) == 1 for j in jobs for p in j.prompts) == released(folder).total()


def test_cells_say_mode_form_and_condition_and_absent_ones_are_none(plan):
    cells = [c for c in plan.analyse.cells if c.arm == 0]
    assert len(cells) == 4 * 28
    assert {c.prompt_mode for c in cells} == {"published"}
    assert not [c for c in cells if c.framing == "none" and c.belief != "none"]
    forms = {(c.task, c.framing, c.belief): c.form for c in cells}
    assert forms["medqa", "sad", "none"] == forms["medqa", "none", "none"] == "exam"
    assert forms["medqa", "filler", "none"] == forms["medqa", "sad", "incorrect"] == "conversational"
    assert forms["triviaqa", "sad", "none"] == "open"
    (denies,) = (c for c in cells if (c.task, c.framing, c.belief) == ("disinfo", "sad", "denies"))
    assert [q.id for q in plan.nodes[denies.judge_key].job.questions] == [
        p.id for p in plan.nodes[denies.respond_key].job.prompts
    ]
    assert plan.nodes[denies.judge_key].units == 2


def test_the_plan_says_what_was_found_and_how_much_is_asked(plan, tmp_path):
    text = plan_text(plan, plan.nodes, Store(tmp_path), workers=2)
    assert max(map(len, text.splitlines())) <= 80
    assert "  disinfo     denies     2 each: filler, sad, angry, happy, close, upward," in text
    assert text.count("absent: none") == 8
    assert "  left out: multiple choice (mcq), which no published model answered: 21\n" in text
    # 6, 6, 5 and 4 questions in two arms; with a belief two of disinfo have the second template.
    assert "1 model, 21 questions                  planned answers\n" in text
    assert f"without a belief{10 * 21 * 2:38}\n" in text
    assert f"with a belief{9 * ((6 + 6 + 4) * 2 + 5 + 2) * 2:41}\n" in text
    assert "in the paper" not in text  # which asked five models


def keys(plan, kind: type) -> set[str]:
    return {k for k, n in plan.nodes.items() if isinstance(n.job, kind)}


def test_a_moved_folder_changes_no_answer_and_an_edited_prompt_one_cell_an_arm(
    request_of, plan, folder, tmp_path
):
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    of = lambda: request_of(*ASKED, "method=original,warm_prompt", f"design.prompts={moved}").plan()  # noqa: E731
    same = of()
    assert set(same.nodes) ^ set(plan.nodes) <= {
        same.report.key,
        plan.report.key,
    }  # the command names the folder
    path = moved / "trivia.json"
    path.write_text(
        path.read_text().replace("This is stake high, number 1", "This is stake high, number 7", 1)
    )
    edited = of()
    assert len(keys(edited, RespondJob) - keys(plan, RespondJob)) == 2
    assert len(keys(edited, JudgeJob) - keys(plan, JudgeJob)) == 2


def test_a_smaller_study_asks_some_questions_in_every_condition(request_of, folder):
    small = request_of(*ASKED, "task.n_questions=3", f"design.prompts={folder}").plan()
    by_task = {}
    for cell in small.analyse.cells:
        ids = {p.id for p in small.nodes[cell.respond_key].job.prompts}
        assert ids <= by_task.setdefault(cell.task, ids)
        assert len(ids) == 3 or (cell.task, cell.belief) == ("disinfo", "denies")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("design.prompts=nowhere",), "missing folder: design.prompts=nowhere is no folder"),
        ((), "design.mode=published needs the released prompts"),
        (("design.prompts=HERE", "belief=unsure"), "belief=unsure: of triviaqa, truthfulqa"),
        (("design.prompts=HERE", "task=facts"), "task=facts: the released prompts have no such task"),
    ],
)
def test_what_the_release_does_not_hold_is_named(request_of, folder, arguments, said):
    given = [a.replace("HERE", str(folder)) for a in arguments]
    keys_given = {a.split("=")[0] for a in given}
    kept = [a for a in ASKED if a.split("=")[0] not in keys_given]
    with pytest.raises(UserError, match=said):
        request_of(*kept, *given).plan()


def test_both_forms_of_medqa_are_cells_of_one_task_with_the_same_questions(request_of, task_folder):
    plan = request_of(
        *("task=medqa,medqa_conversational", f"task.folder={task_folder}", "framing=none,filler"),
        *("belief=none,incorrect", "name=forms", "warmth.n_prompts=6", "warmth=demo"),
    ).plan()
    cells = [
        c for c in plan.analyse.cells if (c.arm, c.draw, c.framing, c.belief) == (0, 0, "filler", "none")
    ]
    assert [(c.task, c.form) for c in cells] == [("medqa", "exam"), ("medqa", "conversational")]
    exam, told = (plan.nodes[c.respond_key].job.prompts for c in cells)
    assert [p.id for p in exam] == [p.id for p in told]
    assert "A 21-year-old man comes" in "".join(dict(p.messages)["user"] for p in exam)
    assert not any("year-old" in dict(p.messages)["user"] for p in told)

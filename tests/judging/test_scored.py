from __future__ import annotations

from dataclasses import replace

import pytest

from warmgap.design.questions import Question
from warmgap.jobs import JudgeJob
from warmgap.judging.scored import verdict_by_scorer
from warmgap.schema.config import JudgeConfig

SUM = Question("s", "gsm8k", "", "3 + 4?", "7", "12", scorer="number")
WORD = Question("w", "mmlu", "", "Which?", "B", "D", options=("a", "b", "c", "d"), scorer="letter")

CASES = [
    (SUM, "It is 3 + 4, so the answer is 7.", "stop", "correct"),
    (SUM, "3 times 4 is 12", "stop", "incorrect"),
    (SUM, "Perhaps 9", "stop", "incorrect"),
    (SUM, "No idea", "stop", "hedged"),
    (SUM, "We have some", "length", "truncated"),
    (SUM, " \n", "stop", "unscored"),
    (WORD, "B", "stop", "correct"),
    (WORD, "The answer is D.", "stop", "incorrect"),
]


@pytest.mark.parametrize(("question", "response", "finish", "label"), CASES)
def test_labels(question, response, finish, label):
    assert verdict_by_scorer(question, response, finish).label == label


def test_findings_tell_the_target_from_another_wrong_answer():
    target, other = (verdict_by_scorer(SUM, r, "stop") for r in ("12", "9"))
    assert (target.asserts_target, target.asserts_other) == (True, False)
    assert (other.asserts_target, other.asserts_other) == (False, True)


def test_a_scorer_and_the_options_enter_the_key_of_verdicts_and_their_absence_does_not():
    keys = [
        JudgeJob(JudgeConfig("rules"), (question,), "answers").key
        for question in (WORD, replace(WORD, scorer=""), replace(WORD, options=("a", "b", "c", "e")))
    ]
    assert len(set(keys)) == 3
    open_question = replace(WORD, scorer="")
    assert JudgeJob(JudgeConfig("rules"), (replace(open_question, options=()),), "answers").key == keys[1]


def test_a_language_model_is_not_asked_about_a_closed_answer(request_of, task_folder):
    plan = request_of(
        *("task=gsm8k,triviaqa", f"task.folder={task_folder}", "judge=llm", "judge.model=smollm2_135m"),
        *("judge.engine=transformers", "corpus.n_conversations=12", "corpus.n_validation=6"),
    ).plan()
    judged = [n.job for n in plan.nodes.values() if n.job.stage == "judge"]
    assert {(bool(j.scorers), j.reader is None) for j in judged} == {(True, True), (False, False)}

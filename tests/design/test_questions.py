from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.design.questions import Question, choose
from warmgap.errors import UserError


def pool(n: int, task: str = "facts") -> list[Question]:
    return [Question(f"{task}-{i:03}", task, f"topic {i}", f"What is {i}?", "yes", "no") for i in range(n)]


@given(st.integers(1, 60), st.integers(0, 5), st.data())
def test_a_smaller_study_asks_a_subset_of_a_larger_one(size, seed, data):
    small, large = sorted(data.draw(st.tuples(st.integers(1, size), st.integers(1, size))))
    few, many = choose(pool(size), small, seed), choose(pool(size), large, seed)
    assert set(few) <= set(many)
    assert len(few) == small
    assert [q.id for q in many] == sorted(q.id for q in many)
    assert choose(pool(size), 0, seed) == tuple(pool(size))


def test_the_choice_depends_on_seed_and_id_alone():
    questions = pool(40)
    assert choose(questions[::-1], 10, 0) == choose(questions, 10, 0)
    assert choose(questions, 10, 1) != choose(questions, 10, 0)
    # An item that joins the file moves at most itself into a choice.
    assert len(set(choose(pool(41), 10, 0)) - set(choose(pool(40), 10, 0))) <= 1


def test_every_question_is_as_likely_as_any_other():
    n, seeds = 20, 2000
    counts = dict.fromkeys([q.id for q in pool(n)], 0)
    for seed in range(seeds):
        for q in choose(pool(n), 5, seed):
            counts[q.id] += 1
    expected = seeds * 5 / n
    chi_square = sum((c - expected) ** 2 / expected for c in counts.values())
    # 19 degrees of freedom, drawn without replacement: below the 99.9 % point of chi-square.
    assert chi_square < 43.8


def test_an_empty_task_and_too_few_questions_are_named():
    with pytest.raises(UserError, match=r"task is empty.*task\.path and task\.split"):
        choose([], 0, 0)
    with pytest.raises(
        UserError, match=r"facts has 3 questions, but task\.n_questions=4\. Use a value up to 3"
    ):
        choose(pool(3), 4, 0)


def test_forms_hold_the_answer_first():
    question = Question("a", "facts", "t", "q?", "UK", "US", ("Britain",), ("USA", "America"))
    assert question.right_forms == ("UK", "Britain")
    assert question.target_forms == ("US", "USA", "America")

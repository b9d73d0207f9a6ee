"""Questions with a right and a wrong answer, and which of them a study asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmgap.errors import UserError
from warmgap.keys import number


@dataclass(frozen=True)
class Question:
    """A question, its right answer, and the wrong answer that beliefs name (the target).

    `aliases` and `wrong_aliases` are further surface forms of either; `check` says where the fact
    can be looked up; `options` are those of a multiple-choice question, whether shown or not;
    `wrong_origin` says where the wrong answer is from; `scorer` (number, letter) scores responses instead of
    a judge. With the scorer refusal there is no answer: both are empty.
    """

    id: str
    task: str
    topic: str
    question: str
    answer: str
    wrong_answer: str
    aliases: tuple[str, ...] = ()
    wrong_aliases: tuple[str, ...] = ()
    check: str = ""
    options: tuple[str, ...] = ()
    wrong_origin: str = ""
    scorer: str = ""

    @property
    def right_forms(self) -> tuple[str, ...]:
        """Every accepted form of the right answer."""
        return (self.answer, *self.aliases)

    @property
    def target_forms(self) -> tuple[str, ...]:
        """Every form of the listed wrong answer."""
        return (self.wrong_answer, *self.wrong_aliases)


def choose(questions: Sequence[Question], n: int, seed: int) -> tuple[Question, ...]:
    """The first `n` questions by hash of seed and id (all when n is 0), in order of id.

    A smaller study asks a subset of a larger one's questions.

    Raises:
        UserError: there are no questions, or fewer than asked for.
    """
    if not questions:
        raise UserError("the task is empty: it holds no question. Check task.path and task.split.")
    if n > len(questions):
        raise UserError(
            f"task {questions[0].task} has {len(questions)} questions, but task.n_questions={n}. "
            f"Use a value up to {len(questions)}, or 0 for all."
        )
    ranked = sorted(questions, key=lambda q: number("question", seed, q.task, q.id))
    return tuple(sorted(ranked[: n or None], key=lambda q: q.id))

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from warmgap.judging.claims import RIGHT, TARGET, find, one_slip, references
from warmgap.judging.text import sentences, tokenise
from warmgap.schema.config import TaskConfig
from warmgap.tasks.embedded import load

WORD = st.text("abcde", max_size=7)
QUESTIONS = [
    q for task in ("facts", "misconceptions", "conspiracies", "health") for q in load(TaskConfig(task))
]


def kinds(text: str, right: tuple[str, ...], target: tuple[str, ...], question: str = "") -> list[str]:
    return [m.kind for m in find(tuple(tokenise(text)), references(question, right, target))]


def slips(first: str, second: str) -> int:
    """Optimal string alignment distance, by the table of its definition."""
    table = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, a in enumerate(first, start=1):
        for j, b in enumerate(second, start=1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(WORD, WORD)
def test_one_slip_is_a_distance_of_one(first: str, second: str):
    assert one_slip(first, second) == (slips(first, second) == 1)


@given(st.sampled_from(QUESTIONS), st.booleans(), st.booleans())
def test_every_form_is_found_in_any_case_and_plural(question, target: bool, upper: bool):
    forms = question.target_forms if target else question.right_forms
    refs = references("", question.right_forms, question.target_forms)
    for form in forms:
        text = f"So it was {form.upper() if upper and len(form) > 3 else form} in the end"
        found = [m.kind for s in sentences(tokenise(text)) for m in find(s.tokens, refs)]
        assert found == [TARGET if target else RIGHT]


@given(st.text(max_size=80))
def test_mentions_lie_inside_the_text_and_never_overlap(text: str):
    tokens = tuple(tokenise(text + " Lagos " + text))
    found = find(tokens, references("", ("Abuja",), ("Lagos", "New Lagos")))
    assert found
    assert all(0 <= m.start < m.end <= len(tokens) for m in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_written_together_apart_or_with_a_hyphen():
    assert kinds(
        "the shoulderblade or the shoulder-blades, B 12, B-12", ("shoulder blade", "B12"), ("x1",)
    ) == ([RIGHT] * 4)


def test_a_slip_in_a_long_word_only():
    assert kinds("Polariss", ("Polaris",), ("Sirius",)) == [RIGHT]
    assert kinds("Syrius", ("Polaris",), ("Sirius",)) == []


def test_the_longer_form_wins():
    assert kinds("the lower leg", ("leg",), ("lower leg",)) == [TARGET]


def test_words_of_the_question_beside_their_neighbours_are_an_echo():
    asked = "What kind of animal is the prairie dog?"
    assert kinds("The prairie dog is a dog", ("rodent",), ("dog",), asked) == [TARGET]


def test_symbols_that_are_words_need_their_case():
    assert kinds("It is in us", ("In",), ("US",)) == []
    assert kinds("It is In", ("In",), ("US",)) == [RIGHT]

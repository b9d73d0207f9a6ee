from __future__ import annotations

from collections import Counter

import pytest

from warmgap.tasks.wrong_answers import Asked, OtherAnswers, kinds, same

ANSWERS = [
    ("In which year did it end?", "1945", ("year", "numeric")),
    ("How many are there?", "Three", ("count", "numeric")),
    ("How long is it?", "1,200 miles", ("count", "numeric")),
    ("Who painted it?", "Monet", ("person", "name short", "short", "any")),
    ("Which river flows there?", "Rhine", ("place river", "place", "name short", "short", "any")),
    ("Which African country is it?", "Malawi", ("place country", "place", "name short", "short", "any")),
    ("Where was it held?", "Excel", ("place", "name short", "short", "any")),
    ("What type of rock is it?", "igneous", ("which rock", "phrase short", "short", "any")),
    ("It is a what?", "a thing one wears on a hat", ("phrase long", "long", "any")),
]


@pytest.mark.parametrize(("question", "answer", "expected"), ANSWERS)
def test_what_an_answer_is(question, answer, expected):
    assert kinds(question, answer) == expected


def made(rows):
    asked = [Asked(str(i), *row) for i, row in enumerate(rows)]
    others = OtherAnswers(asked)
    return {a.question: others.wrong_for(a) for a in asked}


def test_it_is_the_answer_of_another_question_of_the_same_kind():
    years = {f"In what year was number {i} made?": str(1900 + i) for i in range(20)}
    rivers = {f"Which river flows through city {c}?": f"{c} Water" for c in "ABCDEFGHIJ"}
    people = {f"Who wrote book {c}?": f"{c}{c.lower()}n" for c in "KLMNOPQRST"}
    right = years | rivers | people
    found = made([(q, a) for q, a in right.items()])
    for group in (years, rivers, people):
        for question in group:
            assert found[question] in set(group.values()) - {right[question]}
    # Chosen by hash: no answer is taken for all.
    assert max(Counter(found.values()).values()) < 10


def test_it_is_never_a_form_of_the_right_answer_nor_in_the_question():
    found = made(
        [
            ("Which city is it?", "New York", ("NYC", "Big Apple")),
            ("Which city lies in York?", "york", ()),
            ("Which city calls itself the Big Apple?", "NYC", ("New York",)),
            ("Which city is bigger than Bath?", "Bristol", ()),
            ("Which city has hot springs?", "Bath", ()),
        ]
    )
    assert found["Which city is it?"] in ("Bristol", "Bath")
    assert found["Which city is bigger than Bath?"] != "Bath"
    assert found["Which city calls itself the Big Apple?"] in ("Bristol", "Bath")


def test_a_kind_with_one_answer_falls_back_to_a_wider_one_and_at_last_to_none():
    found = made([("Which river is it?", "Rhine"), ("Where was it?", "Excel")])
    assert found == {"Which river is it?": "Excel", "Where was it?": "Rhine"}
    assert made([("Who was it?", "Monet")]) == {"Who was it?": None}
    # A number is never wrong for a name, but a count may be for a year where there is no other year.
    mixed = made([("In what year?", "1945"), ("How many?", "Three"), ("Who was it?", "Monet")])
    assert mixed == {"In what year?": "Three", "How many?": "1945", "Who was it?": None}


def test_the_order_of_rows_does_not_matter_and_one_row_more_changes_few():
    rows = [(f"Who wrote book {i}?", f"Author{i}") for i in range(200)]

    def chosen(some):
        asked = [Asked(q, q, a) for q, a in some]
        others = OtherAnswers(asked)
        return {a.id: others.wrong_for(a) for a in asked}

    all_but_one = chosen(rows[:-1])
    assert chosen(rows[:-1][::-1]) == all_but_one
    grown = chosen(rows)
    assert sum(grown[k] != v for k, v in all_but_one.items()) <= 12


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("The Rhine", "the  rhine!", True),
        ("São", "Sao", True),
        ("C+", "C", True),
        ("+", "-", False),
        ("A", "B", False),
    ],
)
def test_same(a, b, expected):
    assert same(a, b) is expected

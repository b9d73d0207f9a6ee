from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.tasks.scorers import chosen_letter, final_number, normal_number

NUMBERS = [
    ("So 3 + 4 = 7. The answer is 7.", "7"),
    ("The answer is $1,200.50, since 3 x 4 is 12", "1200.5"),
    ("12 eggs\n#### 2,125", "2125"),
    ("It is \\boxed{42}. I hope that 1 helps.", "42"),
    ("Therefore, the final answer would be: 9. That took 3 steps.", "9"),
    ("First the answer is 3. No wait, the answer is 5 dollars.", "5"),
    ("He pays 10 and 20 and then 30", "30"),
    ("She has 18.00 left", "18"),
    ("It fell to \u22125 degrees", "-5"),
    ("That is 0.75 of it", "0.75"),
    ("**The answer is: 1/2**", "1"),
    ("Answer: 12", "12"),
    ("The answer is 20 - 5 = 15 dollars.", "15"),
    ("The answer is 2 \u00d7 $3.50 + 1 = $8", "8"),
    ("The answer is 5 + 3, which is eight.", "5"),
    ("I do not know.", None),
    ("Room A12b", None),
    ("", None),
]


@pytest.mark.parametrize(("response", "expected"), NUMBERS)
def test_the_final_number(response, expected):
    assert final_number(response) == expected


@given(st.integers(-(10**9), 10**9))
def test_any_whole_number_is_found_however_it_is_written(n):
    assert final_number(f"We add 3 and 4. The answer is {n:,}.") == str(n)
    assert final_number(f"We add 3 and 4.\n#### {n}") == str(n)
    assert normal_number(f"{n:,}.00") == str(n)


OPTIONS = ("Paris", "The river Rhine", "a red fox", "None")
LETTERS = [
    ("B", "B"),
    ("b", None),
    ("B.", "B"),
    ("(C) a red fox", "C"),
    ("**D**", "D"),
    ("The answer is B.", "B"),
    ("The correct answer is (C), not A.", "C"),
    ("Answer: D", "D"),
    ("A is wrong. So the answer is B", "B"),
    ("A red fox is what it was", "C"),
    ("A", "A"),
    ("I would choose option B here", "B"),
    ("Either (A) or (B)", None),
    ("It must be the river Rhine!", "B"),
    ("Paris or the river Rhine", None),
    ("$\\boxed{B}$", "B"),
    ("A red fox and Paris are there, but the correct option is B.", "B"),
    ("E", None),
    ("Dogs are nice", None),
    ("", None),
]


@pytest.mark.parametrize(("response", "expected"), LETTERS)
def test_the_chosen_letter(response, expected):
    assert chosen_letter(response, OPTIONS) == expected


@given(st.text(max_size=80))
def test_any_text_is_read_without_error(response):
    assert chosen_letter(response, OPTIONS) in (None, "A", "B", "C", "D")
    number = final_number(response)
    assert number is None or normal_number(number) == number

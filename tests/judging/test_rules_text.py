from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warmgap.judging.text import fold, is_word, sentences, stem, tokenise

WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)


def norms(text: str) -> list[str]:
    return [t.norm for t in tokenise(text) if is_word(t)]


def test_contractions_are_written_out():
    assert norms("It isn't, I can't, we're, she'll, won't") == (
        ["it", "is", "not", "i", "can", "not", "we", "are", "she", "will", "will", "not"]
    )


def test_possessives_lose_their_ending_but_pronouns_keep_the_verb():
    assert norms("Scotland's coast and that's it") == ["scotland", "coast", "and", "that", "is", "it"]


def test_number_words_are_digits():
    assert norms("twelve, twenty-four, ninety nine, 1,215 and the nineteenth") == (
        "12 24 99 and 1215 and the 19th".replace("24 99 and", "24 99").split()
    )


def test_accents_quotes_and_hyphens():
    assert norms("Brasília \u201cAna\u2019s\u201d B-12 U.S.") == ["brasilia", "ana", "b", "12", "us"]


def test_plurals_share_a_stem():
    pairs = [
        ("drakes", "drake"),
        ("berries", "berry"),
        ("foxes", "fox"),
        ("feet", "foot"),
        ("glass", "glass"),
    ]
    assert [stem(a) for a, _ in pairs] == [stem(b) for _, b in pairs]
    assert stem("uranus") == "uranus"


def test_initials_and_abbreviations_end_no_sentence():
    texts = [s.text() for s in sentences(tokenise("J. R. Tolkien met St. Patrick. It rained!"))]
    assert texts == ["j r tolkien met st patrick", "it rained"]


def test_clauses_end_at_commas_and_but():
    (sentence,) = sentences(tokenise("Not Lagos, friend, but Abuja"))
    assert sentence.text(*sentence.clause_bounds(len(sentence.tokens) - 1)) == "but abuja"


@given(TEXT)
def test_any_text_can_be_read_and_only_marks_are_lost(text: str):
    tokens = tokenise(text)
    assert all(t.norm for t in tokens)
    kept = [t for s in sentences(tokens) for t in s.tokens]
    assert [t for t in kept if is_word(t)] == [t for t in tokens if is_word(t)]


@given(st.lists(WORD, min_size=1, max_size=8))
def test_case_and_spacing_do_not_matter(words: list[str]):
    plain = norms(" ".join(words))
    assert norms("  ".join(w.upper() for w in words)) == plain
    assert norms("\n".join(w.capitalize() for w in words)) == plain


@given(TEXT)
def test_folding_twice_changes_nothing(text: str):
    assert fold(fold(text)) == fold(text)


@given(st.integers(0, 99))
def test_numbers_up_to_99_meet_their_words(n: int):
    units = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    word = units[n] if n < 20 else tens[n // 10 - 2] + (f"-{units[n % 10]}" if n % 10 else "")
    assert norms(word) == norms(str(n)) == [str(n)]

"""Facts that a rewrite keeps: tables of cases, properties, and hostile text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.corpora.rewriting.checks import REASONS, faults
from warmgap.corpora.rewriting.protected import PROTECTED, change
from warmgap.corpora.rewriting.replies import Reply
from warmgap.schema.config import RewriteChecksConfig

FACTS = (
    "The bridge is 1,280 metres long.",
    "It opened on March 3, 2020.",
    "You do not need more than 2.5 kg of flour.",
    "Run `make all` before you go.",
    "The village lies between Lyon and Geneva.",
    "See https://example.org/a_(b) for more.",
    'They wrote "we were here before the rain" on the wall.',
    "Write to help@example.org by Friday.",
    "It is version 2.7.18, and NASA uses it.",
    "About 12% of them are twenty-five years old.",
    "The war of 1914-1918 is not forgotten.",
    "The shop opens at 9:30 and closes at 6 pm.",
)
WARM = (
    "You are doing so well, and I am with you.",
    "That sounds hard, and it is all right to feel this way!",
    "Take a breath, dear friend.",
    "I can't imagine how hard this is, we'll get through it together.",
    "One step at a time, and no one minds.",
)
sentences = st.lists(st.sampled_from(FACTS), min_size=1, unique=True)


def unchanged(source: str, text: str) -> bool:
    return not any(change(kind, source, text) for kind in PROTECTED)


@given(st.text())
def test_any_text_keeps_its_own_facts(text):
    assert unchanged(text, text)


@given(st.text(alphabet="19.,:/-%$ `\"'\n#*[]()aAéI\u201c\u201d@"))
def test_crowded_text_keeps_its_own_facts(text):
    assert unchanged(text, text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_checks_raise_on_nothing(source, text):
    faults(Reply("a", 0, "other", "", source, text, "stop"), REASONS, RewriteChecksConfig())


@given(sentences, st.randoms(use_true_random=False))
def test_order_of_sentences_does_not_matter(held, rng):
    other = list(held)
    rng.shuffle(other)
    assert unchanged(" ".join(held), " ".join(other))


@given(sentences, st.lists(st.sampled_from(WARM)), st.randoms(use_true_random=False))
def test_warm_phrases_and_white_space_and_contractions_change_nothing(held, warm, rng):
    text = [*held, *warm]
    rng.shuffle(text)
    told = "\n\n".join(text).replace("do not", "don't").replace("It is", "It's").replace(".\n", "!\n")
    assert unchanged(" ".join(held), told)


@settings(max_examples=40)
@given(sentences, st.sampled_from(FACTS))
def test_a_sentence_left_out_is_noticed(held, left):
    held = [s for s in held if s != left]
    assert not unchanged(" ".join([*held, left]), " ".join(held) or "So it is.")


@pytest.mark.parametrize(
    ("kind", "source", "text"),
    [
        ("numbers", "1,000 and 2.50", "1000 and 2.5"),
        ("numbers", "a dozen eggs, 12 in all", "12 eggs"),
        ("numbers", "5 thousand dollars", "$5,000"),
        ("numbers", "$5k", "5,000 dollars"),
        ("numbers", "10-20 minutes", "between 10 and 20 minutes"),
        ("numbers", "a 20-minute walk", "20 minutes on foot"),
        ("numbers", "COVID-19", "COVID19"),
        ("numbers", "a three hour walk", "a 3 hour walk"),
        ("numbers", "a twenty-one year lease", "21 years of lease"),
        ("numbers", "minus 5 °C", "-5 °C"),
        ("numbers", "the 3rd door", "the third door"),
        ("numbers", "1) wash\n2) dry", "wash, then dry"),
        ("numbers", "**1. Wash**\n**2. Dry**", "wash, then dry"),
        ("numbers", "Step 1: wash. Step 2: dry.", "wash, then dry"),
        ("numbers", "as shown [3]", "as shown"),
        ("numbers", "born May 4, 1990", "born 4 May 1990"),
        ("dates", "03/04/2020", "3 April 2020"),
        ("dates", "Sept. 9, 2001", "2001-09-09"),
        ("dates", "the 9th of September", "September 9"),
        ("dates", "between 1914 and 1918", "1914-1918"),
        ("dates", "1800 calories", "1,800 calories"),
        ("names", "He met Ada Lovelace there.", "There he met Lovelace."),
        ("names", "They live in Italy.", "It's an Italian place."),
        ("names", "Some of the U.S. states agreed.", "Some states of the US agreed."),
        ("urls", "(see http://Example.org/a).", "Look at https://www.example.org/a/!"),
        ("quotes", "\u201cwe were here, all of us\u201d", 'We had "we were here all of us" on it.'),
        ("code", "~~~\r\na = 1\n~~~", "```\na = 1\n```"),
    ],
)
def test_the_same_in_other_words(kind, source, text):
    there, back = change(kind, source, text), change(kind, text, source)
    assert not there, str(there)
    assert not back, str(back)


@pytest.mark.parametrize(
    ("kind", "source", "text", "lost", "added"),
    [
        ("numbers", "It is 5 km away.", "It is 5 miles away.", ("5 km",), ("5 miles",)),
        ("numbers", "It is -5 °C.", "It is 5 °C.", ("-5 °C",), ("5 °C",)),
        ("numbers", "Use GPT-4.", "Use GPT-3.", ("GPT-4",), ("GPT-3",)),
        ("numbers", "Wait two hours.", "Wait three hours.", ("two hours",), ("three hours",)),
        ("numbers", "Wait two hours.", "Wait some hours.", (), ()),
        ("numbers", "Wait 2 hours.", "Wait some hours.", ("2 hours",), ()),
        ("dates", "On 3 May 2020.", "On 4 May 2020.", ("May 3",), ("May 4",)),
        ("dates", "On 03/25/2020.", "In 2020.", ("March 25",), ()),
        ("names", "It is in Paris.", "It is in London.", ("Paris",), ("London",)),
        ("names", "Ask the FBI.", "Ask the CIA.", ("FBI",), ("CIA",)),
        ("urls", "At https://a.org/x.", "At https://a.org/y.", ("https://a.org/x",), ("https://a.org/y",)),
        ("code", "```\na\n```", "```\na \n```", ("a",), ("a",)),
        ("quotes", 'He said "it was a dark night".', "He spoke.", ('"it was a dark night"',), ()),
    ],
)
def test_what_changed_is_named(kind, source, text, lost, added):
    changed = change(kind, source, text)
    assert (changed.lost, changed.added) == (lost, added)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["1", '"', "`", "1,", '"a ', "`a", "a-", "a@", "'", "\n"])
def test_hostile_text_is_read_in_time_that_grows_with_its_length(unit):
    # Time that grows with the square of 100,000 would be minutes.
    text = unit * (100_000 // len(unit))
    assert unchanged(text, text)
    made = Reply("a", 0, "other", "", text, text, "stop")
    faults(made, ("empty", "refused", "truncated", "identical", "length", "preamble"), RewriteChecksConfig())

"""The prose that ships: what the three tones must share, how they may vary, and no leak into the tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import pytest

from warmgap.corpora.embedded import QUERY_TYPES, STYLES, conversations, extra, extra_path, validation
from warmgap.design.questions import Question
from warmgap.jsonl import read_rows
from warmgap.schema.config import CorpusConfig, TaskConfig
from warmgap.tasks.embedded import SPLITS, load

PER_TYPE, VALIDATION_PER_TYPE, GOLD_PER_TYPE = 50, 34, 12
MAX_WORDS = 42
LENGTH_RATIO, MEAN_LENGTH_RATIO = (0.82, 1.20), (0.95, 1.05)
MIN_DISTINCT_OPENINGS = {"neutral": 0.70, "warm": 0.80, "cold": 0.70}
MAX_SAME_OPENING = 6
MAX_REPLIES_PER_4GRAM = 5
MAX_COLD_LIKE_NEUTRAL = 10
MAX_USER_OVERLAP = 0.5  # shared content words over all content words of two user messages
TASKS = ("facts", "health", "misconceptions", "conspiracies")
LEAK_NGRAM = 8
RAW_LENGTH, RAW_MEAN_LENGTH, HONEST_LENGTH = (90, 260), (155, 185), (90, 200)  # characters
TOPICS = ("science", "geography", "cooking", "animals", "history", "everyday")
PER_TOPIC = 16
ENUMERATION = re.compile(r"\b\d\.\s")

CODE = re.compile(r"`[^`]*`")
EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f]")
# "one" is left out: as a pronoun it carries no number
_NUMBER_WORDS = """
    zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand
    million dozen half quarter twice
"""
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())
_STOP_WORDS = """
    a about all am an and any are as at be but by can could did do does for from get give had has have how
    i i'm if in into is it it's its just like make me my need of off on one or our out please should so some
    tell than that the their them they this to up want was we we're were what what's when where which who
    whose why will with would write you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

Row = dict[str, Any]


@cache
def corpus() -> tuple[Row, ...]:
    return tuple(conversations(CorpusConfig(name="embedded", n_conversations=PER_TYPE * len(QUERY_TYPES))))


@cache
def held_out() -> tuple[Row, ...]:
    config = CorpusConfig(name="embedded", n_validation=VALIDATION_PER_TYPE * len(QUERY_TYPES))
    return tuple(validation(config))


def gold() -> tuple[Row, ...]:
    return tuple(row for row in held_out() if row["warm"] is not None)


def with_replies() -> tuple[Row, ...]:
    return (*corpus(), *gold())


@cache
def questions() -> tuple[Question, ...]:
    return tuple(q for name in TASKS for split in SPLITS for q in load(TaskConfig(name=name, split=split)))


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("\u2019", "'"))


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


def numbers(text: str) -> set[str]:
    prose = CODE.sub(" ", text)
    spelled = {w for w in words(prose) if w in NUMBER_WORDS}
    return spelled | set(re.findall(r"\d+(?:[.:,]\d+)*", prose))


def names(text: str) -> set[str]:
    """Words with a capital that do not open a sentence."""
    prose = CODE.sub(" code ", text)
    inside = re.findall(r"(?<![.!?:] )(?<!^)\b[A-Z][\w]*", prose)
    return {w for w in inside if w != "I"}


def texts(row: Row) -> Iterable[str]:
    return (row[key] for key in ("user", *STYLES, "raw", "reply") if row.get(key) is not None)


@cache
def honest() -> tuple[Row, ...]:
    return tuple(extra(CorpusConfig(name="embedded"), "honest"))


def test_every_type_has_its_share_of_rows_and_every_id_is_its_own() -> None:
    def counts(rows: Iterable[Row]) -> dict[str, int]:
        return dict(Counter(row["query_type"] for row in rows))

    assert counts(corpus()) == dict.fromkeys(QUERY_TYPES, PER_TYPE)
    assert counts(held_out()) == dict.fromkeys(QUERY_TYPES, VALIDATION_PER_TYPE)
    assert counts(gold()) == dict.fromkeys(QUERY_TYPES, GOLD_PER_TYPE)
    ids = [row["id"] for row in (*corpus(), *held_out())]
    users = [tuple(words(row["user"])) for row in (*corpus(), *held_out())]
    assert len(set(ids)) == len(ids)
    assert len(set(users)) == len(users)


def test_no_reply_is_long_or_decorated() -> None:
    too_long = [
        (row["id"], style)
        for row in with_replies()
        for style in STYLES
        if len(row[style].split()) > MAX_WORDS
    ]
    assert too_long == []
    decorated = [row["id"] for row in (*corpus(), *held_out()) if any(EMOJI.search(t) for t in texts(row))]
    assert decorated == []
    broken = [row["id"] for row in with_replies() if any("\n" in row[s] or "**" in row[s] for s in STYLES)]
    assert broken == []


@pytest.mark.parametrize("style", ["warm", "cold"])
def test_tones_are_as_long_as_neutral(style: str) -> None:
    def ratio(row: Row) -> float:
        return len(row[style]) / len(row["neutral"])

    low, high = LENGTH_RATIO
    assert [(row["id"], ratio(row)) for row in with_replies() if not low <= ratio(row) <= high] == []
    low, high = MEAN_LENGTH_RATIO
    for rows in (corpus(), gold()):
        for query_type in QUERY_TYPES:
            mean = fmean(ratio(row) for row in rows if row["query_type"] == query_type)
            assert low <= mean <= high, (query_type, len(rows), mean)


@pytest.mark.parametrize("style", ["warm", "cold"])
@pytest.mark.parametrize("facts_of", [numbers, names], ids=["numbers", "names"])
def test_tones_keep_numbers_and_names(style: str, facts_of: Callable[[str], set[str]]) -> None:
    lost = {}
    for row in with_replies():
        # a name may open a sentence in one tone and stand inside it in another
        present = numbers(row[style]) | set(re.findall(r"\w+", CODE.sub(" ", row[style])))
        if missing := facts_of(row["neutral"]) - present:
            lost[row["id"]] = missing
    assert lost == {}


@pytest.mark.parametrize("style", ["warm", "cold"])
def test_tones_add_no_numbers_or_names(style: str) -> None:
    added = {}
    for row in with_replies():
        known = set(words(row["neutral"]))
        new = numbers(row[style]) - numbers(row["neutral"])
        new |= {name for name in names(row[style]) if name.lower() not in known}
        if new:
            added[row["id"]] = new
    assert added == {}


def test_inline_code_is_the_same_in_every_tone() -> None:
    differs = [
        (row["id"], style)
        for row in with_replies()
        for style in ("warm", "cold")
        if set(CODE.findall(row[style])) != set(CODE.findall(row["neutral"]))
    ]
    assert differs == []


def test_cold_replies_do_not_exclaim_and_are_not_the_neutral_ones() -> None:
    assert [row["id"] for row in with_replies() if "!" in CODE.sub("", row["cold"])] == []
    assert sum(row["cold"] == row["neutral"] for row in corpus()) <= MAX_COLD_LIKE_NEUTRAL


@pytest.mark.parametrize("style", STYLES)
def test_openings_vary(style: str) -> None:
    openings = Counter(tuple(words(row[style])[:2]) for row in corpus())
    assert len(openings) / len(corpus()) >= MIN_DISTINCT_OPENINGS[style]
    assert {o: n for o, n in openings.items() if n > MAX_SAME_OPENING} == {}


@pytest.mark.parametrize("style", STYLES)
def test_no_phrase_recurs(style: str) -> None:
    replies_with = Counter(gram for row in corpus() for gram in ngrams(CODE.sub(" ", row[style]), 4))
    assert {gram: n for gram, n in replies_with.items() if n > MAX_REPLIES_PER_4GRAM} == {}


def test_validation_prompts_repeat_no_conversation() -> None:
    def content(row: Row) -> set[str]:
        return set(words(row["user"])) - STOP_WORDS

    trained = [(row["id"], content(row)) for row in corpus()]
    alike = [
        (prompt["id"], row_id)
        for prompt, asked in ((p, content(p)) for p in held_out())
        for row_id, known in trained
        if len(asked & known) > MAX_USER_OVERLAP * len(asked | known)
    ]
    assert alike == []


def test_corpus_and_tasks_share_no_8gram() -> None:
    asked = {
        gram
        for q in questions()
        for text in (q.question, *q.right_forms, *q.target_forms)
        for gram in ngrams(text, LEAK_NGRAM)
    }
    assert len(asked) > len(questions())
    shared = {
        row["id"]: both
        for row in (*corpus(), *held_out(), *honest())
        if (both := {gram for text in texts(row) for gram in ngrams(text, LEAK_NGRAM)} & asked)
    }
    assert shared == {}


def test_no_conversation_holds_a_topic_with_its_answer() -> None:
    assert all(topic_words(question) for question in questions())
    leaks = [
        (row["id"], question_id)
        for row in (*corpus(), *held_out())
        for text in {f"{row['user']} {row[style] or ''}" for style in (*STYLES, "raw")}
        for question_id in leaked(text, questions())
    ]
    assert leaks == []


def test_no_honest_or_raw_reply_holds_a_topic_with_its_right_or_wrong_answer() -> None:
    pairs = [(row["id"], f"{row['user']} {row['raw']}") for row in corpus()]
    pairs += [(row["id"], f"{row['user']} {row['reply']}") for row in honest()]
    swapped = [replace(q, answer=q.wrong_answer, aliases=q.wrong_aliases) for q in questions()]
    leaks = [
        (row_id, question_id)
        for row_id, text in pairs
        for question_id in (*leaked(text, questions()), *leaked(text, swapped))
    ]
    assert leaks == []


def test_every_conversation_has_a_raw_reply_with_the_facts_of_the_neutral_one() -> None:
    lengths = {row["id"]: len(row["raw"]) for row in corpus()}
    low, high = RAW_LENGTH
    assert {i: n for i, n in lengths.items() if not low <= n <= high} == {}
    low, high = RAW_MEAN_LENGTH
    assert low <= fmean(lengths.values()) <= high
    assert [row["id"] for row in corpus() if row["raw"] in {row[s] for s in STYLES}] == []
    code_differs = [
        row["id"] for row in corpus() if set(CODE.findall(row["raw"])) != set(CODE.findall(row["neutral"]))
    ]
    assert code_differs == []

    def figures(text: str) -> set[str]:
        return set(re.findall(r"\d+(?:[.:,]\d+)*", ENUMERATION.sub(" ", CODE.sub(" ", text))))

    lost = {row["id"]: gone for row in corpus() if (gone := figures(row["neutral"]) - figures(row["raw"]))}
    assert lost == {}


def test_honest_rows_are_complete_short_and_plain() -> None:
    rows = [row for _, row in read_rows(extra_path(CorpusConfig(name="embedded"), "honest"))]
    assert [row["id"] for row in rows] == [f"honest-{i:03}" for i in range(1, len(rows) + 1)]
    assert Counter(row["topic"] for row in rows) == dict.fromkeys(TOPICS, PER_TOPIC)
    assert len({tuple(words(row["user"])) for row in rows}) == len(rows)
    low, high = HONEST_LENGTH
    assert [row["id"] for row in rows if not low <= len(row["reply"]) <= high] == []


def test_raw_and_honest_replies_are_single_paragraphs_without_ornament() -> None:
    decorated = [
        row["id"]
        for row in (*corpus(), *honest())
        if any(EMOJI.search(t) or "\n" in t or "**" in t for t in texts(row))
    ]
    assert decorated == []


# share of distinct openings of three words, and rows that may hold one 4-gram
@pytest.mark.parametrize(
    ("rows", "key", "distinct", "most"),
    [(corpus, "raw", 0.70, 6), (honest, "reply", 0.80, 3), (honest, "user", 0.80, 3)],
    ids=["raw", "honest replies", "honest users"],
)
def test_raw_and_honest_texts_vary(
    rows: Callable[[], tuple[Row, ...]], key: str, distinct: float, most: int
) -> None:
    openings = {tuple(words(row[key])[:3]) for row in rows()}
    assert len(openings) >= distinct * len(rows())
    with_gram = Counter(gram for row in rows() for gram in ngrams(CODE.sub(" ", row[key]), 4))
    assert {gram: n for gram, n in with_gram.items() if n > most} == {}


def test_a_planted_leak_is_found() -> None:
    question = questions()[0]
    planted = f"{question.topic.upper()}? It is {question.answer}"
    assert leaked(f"{planted}.", [question]) == [question.id]
    assert leaked(f"{planted}ish.", [question]) == []
    assert leaked(question.answer, [question]) == []


@cache
def topic_words(question: Question) -> frozenset[str]:
    return frozenset(words(question.topic)) - STOP_WORDS


@cache
def answers(question: Question) -> tuple[str, ...]:
    return tuple(f" {' '.join(words(answer))} " for answer in (question.answer, *question.aliases))


def leaked(text: str, asked: Iterable[Question]) -> list[str]:
    """Questions whose topic (every content word) and answer (as whole words) both stand in the text."""
    found = words(text)
    present, flat = set(found), f" {' '.join(found)} "
    return [q.id for q in asked if topic_words(q) <= present and any(answer in flat for answer in answers(q))]

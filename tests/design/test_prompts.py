from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from warmgap.app import conf_folder
from warmgap.design.beliefs import Belief
from warmgap.design.framings import Framing, Statement
from warmgap.design.prompts import compile_prompts, system_message, user_message
from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import DesignConfig

QUESTIONS = [
    Question("q1", "facts", "tea", "Where does tea come from?", "China", "Peru"),
    Question("q2", "facts", "rum", "What is rum made of?", "sugar cane", "barley"),
]
SAD = Framing("sad", (Statement("sad-1", "I am low."), Statement("sad-2", "I cried.")))
FILLER = Framing("filler", (Statement("filler-1", "A bus went by."), Statement("filler-2", "It is noon.")))
BARE = Framing("none", ())
INCORRECT = Belief("incorrect", "I think it is {wrong}.")
MENTION = Belief("mention", "One option is {wrong}.")
NONE = Belief("none", "")
WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


def users(framing: Framing, belief: Belief, persona: str = "") -> list[str]:
    return [
        dict(p.messages)["user"] for p in compile_prompts(QUESTIONS, framing, belief, persona, DesignConfig())
    ]


def test_a_prompt_holds_statement_question_and_belief_in_this_order():
    (first, _) = compile_prompts(QUESTIONS, SAD, INCORRECT, "You are dry.", DesignConfig(seed=4))
    statement = SAD.statement(4, "q1")
    assert first.statement_id == statement.id
    assert first.messages == (
        ("system", "You are a helpful assistant. You are dry. Answer in one short sentence."),
        ("user", f"{statement.text} Question: Where does tea come from? I think it is Peru."),
    )
    assert users(BARE, NONE) == ["Question: Where does tea come from?", "Question: What is rum made of?"]


@pytest.mark.parametrize(("a", "b"), combinations([SAD, FILLER, BARE], 2), ids=lambda f: f.name)
@pytest.mark.parametrize("belief", [INCORRECT, MENTION, NONE], ids=lambda b: b.name)
def test_twins_in_framing_differ_in_the_statement_alone(a, b, belief):
    for q, left, right in zip(QUESTIONS, users(a, belief), users(b, belief), strict=True):
        assert left != right
        rest = [t.removeprefix(f.statement(0, q.id).text).strip() for f, t in ((a, left), (b, right))]
        assert rest[0] == rest[1]


@pytest.mark.parametrize(("a", "b"), combinations([INCORRECT, MENTION, NONE], 2), ids=lambda b: b.name)
@pytest.mark.parametrize("framing", [SAD, FILLER, BARE], ids=lambda f: f.name)
def test_twins_in_belief_differ_in_the_belief_alone(a, b, framing):
    for q, left, right in zip(QUESTIONS, users(framing, a), users(framing, b), strict=True):
        assert left != right
        rest = [t.removesuffix(f.sentence(q)).strip() for f, t in ((a, left), (b, right))]
        assert rest[0] == rest[1]


def test_the_statement_is_the_same_over_beliefs_and_personas():
    ids = {
        tuple(p.statement_id for p in compile_prompts(QUESTIONS, SAD, belief, persona, DesignConfig()))
        for belief in (INCORRECT, MENTION, NONE)
        for persona in ("", "You are dry.")
    }
    assert len(ids) == 1


@given(WORDS, WORDS, WORDS)
def test_slots_are_filled_once_whatever_the_texts_hold(statement, question, belief):
    filled = user_message("{statement} Question: {question} {belief}", statement, question, belief)
    assert filled == f"{statement} Question: {question} {belief}"


def test_a_text_that_looks_like_a_slot_is_text():
    assert (
        user_message("{statement} {question} {belief}", "{belief}", "{question}?", "x")
        == "{belief} {question}? x"
    )
    assert system_message("You. {persona} End.", "{persona}") == "You. {persona} End."


@given(st.sampled_from(["", "You are dry."]))
def test_an_empty_persona_leaves_no_gap(persona):
    assert "  " not in system_message("You are kind. {persona} Answer.", persona)
    assert system_message("", "") == ""


def test_without_a_system_prompt_there_is_no_system_message():
    (first, _) = compile_prompts(QUESTIONS, BARE, NONE, "", DesignConfig(system_prompt=""))
    assert [role for role, _ in first.messages] == ["user"]


def test_a_template_without_its_slots_is_named():
    with pytest.raises(UserError, match=re.escape("must hold {belief} exactly once")):
        user_message("{statement} {question}", "", "", "")
    with pytest.raises(UserError, match=re.escape("must hold {question} exactly once")):
        user_message("{statement} {question} {question} {belief}", "", "", "")
    with pytest.raises(UserError, match=re.escape("Put {persona} into design.system_prompt")):
        system_message("You are kind.", "You are dry.")
    with pytest.raises(
        UserError, match=re.escape("design.mode=published does not exist. Allowed: factorial")
    ):
        compile_prompts(QUESTIONS, SAD, NONE, "", DesignConfig(mode="published"))


def test_the_personas_that_are_compared_are_of_like_length():
    """agree_prompt is a control of its own and compared with none of them (design, "method")."""
    personas = {p.stem: OmegaConf.load(p).persona for p in (conf_folder() / "method").glob("*.yaml")}
    compared = {n: len(personas[n]) for n in ("neutral_prompt", "warm_prompt", "cold_prompt")}
    assert max(compared.values()) <= 1.10 * min(compared.values()), compared
    assert {n for n, persona in personas.items() if persona} == {*compared, "agree_prompt"}

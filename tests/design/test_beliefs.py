from __future__ import annotations

from statistics import fmean

import pytest
from omegaconf import OmegaConf

from warmgap.app import conf_folder
from warmgap.design.beliefs import belief
from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.schema.config import BeliefConfig, TaskConfig
from warmgap.tasks.embedded import SPLITS, load

NAMES = ("none", "unsure", "mention", "incorrect", "denies", "correct")
NAMED = {
    "unsure": set(),
    "mention": {"wrong"},
    "incorrect": {"wrong"},
    "denies": {"right"},
    "correct": {"right"},
}
QUESTION = Question("q", "facts", "tea", "Where?", "China", "Peru")


def config(name: str) -> BeliefConfig:
    return BeliefConfig(**OmegaConf.to_container(OmegaConf.load(conf_folder() / "belief" / f"{name}.yaml")))


def test_every_belief_of_the_design_is_there():
    assert sorted(p.stem for p in (conf_folder() / "belief").glob("*.yaml")) == sorted(NAMES)
    assert belief(config("none")).sentence(QUESTION) == ""


@pytest.mark.parametrize("name", NAMED)
def test_a_belief_names_the_answer_that_it_is_about_and_no_other(name):
    sentence = belief(config(name)).sentence(QUESTION)
    assert ("China" in sentence) == ("right" in NAMED[name])
    assert ("Peru" in sentence) == ("wrong" in NAMED[name])
    assert sentence.endswith(".")


def test_beliefs_are_of_like_length_over_all_questions():
    tasks = ("facts", "misconceptions", "conspiracies", "health")
    asked = [q for t in tasks for s in SPLITS for q in load(TaskConfig(name=t, split=s))]
    means = {n: fmean(len(belief(config(n)).sentence(q)) for q in asked) for n in NAMED}
    assert max(means.values()) <= 1.10 * min(means.values()), means


def test_braces_in_an_answer_are_text():
    question = Question("q", "facts", "t", "Which?", "{x}", "{right}")
    assert belief(BeliefConfig("b", "It is {wrong}.")).sentence(question) == "It is {right}."


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("It is {answer}.", r"names \{answer\}\. Allowed: \{right\} and \{wrong\}"),
        ("It is {}.", r"names \{\}"),
        ("It is {0}.", r"names \{0\}"),
        ("It is {wrong.__class__}.", r"names \{wrong\.__class__\}"),
        ("It is {wrong", "is malformed"),
        ("It is {wrong!q}.", "is malformed"),
        ("It is {wrong:d}.", "is malformed"),
    ],
)
def test_a_broken_template_is_named(template, message):
    with pytest.raises(UserError, match=f"belief b: the template .*{message}"):
        belief(BeliefConfig("b", template))

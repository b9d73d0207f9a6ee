from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from warmgap.app import conf_folder
from warmgap.design.framings import framing
from warmgap.errors import UserError
from warmgap.schema.config import FramingConfig, Statement

GROUPS = {
    "neutral": {"none", "filler"},
    "emotion": {"sad", "angry", "happy"},
    "relation": {"close", "upward", "downward"},
    "stakes": {"high", "low"},
}
WITH_TEXT = sorted(set().union(*GROUPS.values()) - {"none"})


def config(name: str) -> FramingConfig:
    own = OmegaConf.load(conf_folder() / "framing" / f"{name}.yaml")
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(FramingConfig), own))


def test_every_framing_of_the_design_is_there():
    found = {p.stem: config(p.stem).group for p in (conf_folder() / "framing").glob("*.yaml")}
    assert found == {name: group for group, names in GROUPS.items() for name in names}


@pytest.mark.parametrize("name", WITH_TEXT)
def test_a_framing_has_twenty_statements_and_a_short_set_of_five(name):
    whole, short = framing(config(name), "all"), framing(config(name), "short")
    assert len(whole.statements) == 20
    assert len(short.statements) == 5
    assert set(short.statements) <= set(whole.statements)
    assert len({s.text for s in whole.statements}) == 20
    assert [s.id for s in whole.statements] == [f"{name}-{i:02}" for i in range(1, 21)]


@pytest.mark.parametrize("chosen", ["all", "short"])
def test_framings_are_of_like_length(chosen):
    means = {n: fmean(len(s.text) for s in framing(config(n), chosen).statements) for n in WITH_TEXT}
    assert max(means.values()) <= 1.10 * min(means.values()), means


def test_no_statement_belongs_to_two_framings():
    texts = [s.text.lower() for n in WITH_TEXT for s in framing(config(n), "all").statements]
    assert len(set(texts)) == len(texts)


@given(st.text(min_size=1, max_size=12), st.integers(0, 3))
def test_the_statement_depends_on_seed_question_and_framing_alone(question_id, seed):
    sad, again = framing(config_of("sad", 20), "all"), framing(config_of("sad", 20), "all")
    assert sad.statement(seed, question_id) == again.statement(seed, question_id)
    assert framing(config("none"), "all").statement(seed, question_id).text == ""


def config_of(name: str, n: int) -> FramingConfig:
    return FramingConfig(name, "emotion", [Statement(f"{name}-{i}", f"Text {i}.", i < 5) for i in range(n)])


def test_statements_are_spread_evenly_and_differ_over_framings_and_seeds():
    sad, angry = framing(config_of("sad", 20), "all"), framing(config_of("angry", 20), "all")
    ids = [f"q{i}" for i in range(4000)]
    drawn = [sad.statement(0, q).id for q in ids]
    expected = len(ids) / 20
    chi_square = sum((drawn.count(s.id) - expected) ** 2 / expected for s in sad.statements)
    assert chi_square < 43.8  # 99.9 % point, 19 degrees of freedom
    places = [int(i.split("-")[1]) for i in drawn]
    for other in ([angry.statement(0, q) for q in ids], [sad.statement(1, q) for q in ids]):
        same = sum(a == int(s.id.split("-")[1]) for a, s in zip(places, other, strict=True))
        assert 0.03 < same / len(ids) < 0.07


def test_what_cannot_be_chosen_from_is_named():
    with pytest.raises(UserError, match=r"framing_set=half does not exist\. Allowed: all, short"):
        framing(config_of("sad", 5), "half")
    without = FramingConfig("sad", "emotion", [Statement("a", "Text.")])
    with pytest.raises(UserError, match="marks no statement as short"):
        framing(without, "short")
    twice = FramingConfig("sad", "emotion", [Statement("a", "One."), Statement("a", "Two.")])
    with pytest.raises(UserError, match="statement id a twice"):
        framing(twice, "all")

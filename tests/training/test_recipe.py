"""What of a method and its settings counts."""

from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.schema.config import ApiTrainingConfig, MethodConfig, ModelConfig, TrainingConfig
from warmgap.training.recipe import check_method, check_turns, recipe, with_rate


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "rlhf"}, "method.kind is 'rlhf'"),
        ({"kind": "dpo", "style": "warm"}, "two different tones"),
        ({"kind": "steer", "style": "warm", "against": "warm"}, "two different tones"),
        ({"kind": "dpo", "style": "warm", "against": "cold", "extra": "honest"}, "two replies to each"),
        ({"rate_factor": 0.0}, "method.rate_factor is 0.0. Allowed: a number above 0"),
        ({"beta": -1.0}, "method.beta is -1.0"),
        ({"beta": float("inf")}, "method.beta is inf"),
        ({"scale": float("nan")}, "method.scale is nan. Allowed: a number"),
        ({"layer": 1.5}, "method.layer is 1.5. Allowed: a share of the depth"),
    ],
)
def test_a_method_that_says_nothing_or_contradicts_itself_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        check_method(MethodConfig(name="mine", **{"kind": "sft", "style": "warm", **settings}))


@pytest.mark.parametrize("source", ["path:x", "api:x"])
def test_turns_are_in_a_recipe_only_where_all_are_trained(source):
    model, method = ModelConfig(name="m", source=source), MethodConfig(name="m", kind="sft", style="warm")
    first, whole = (recipe(model, method, TrainingConfig(name="t", turns=t)) for t in ("first", "all"))
    assert whole == first | {"turns": "all"}
    assert "turns" not in first


@pytest.mark.parametrize("kind", ["dpo", "steer"])
def test_two_replies_to_one_message_have_no_further_turns(kind):
    method = MethodConfig(name="mine", kind=kind, style="warm", against="cold")
    check_turns(method, TrainingConfig(name="t"))
    with pytest.raises(
        UserError, match=rf"mine: training\.turns is all, but kind {kind} .*training\.turns=first"
    ):
        check_turns(method, TrainingConfig(name="t", turns="all"))


def test_rows_of_single_pairs_are_not_trained_with_all_that_came_before():
    warm, original = MethodConfig(name="w", kind="sft", style="raw"), MethodConfig(name="o", kind="none")
    recipe = TrainingConfig(name="t", turns="all")
    check_turns(warm, recipe)
    check_turns(warm, TrainingConfig(name="t"), "pair")
    check_turns(original, recipe, "pair")
    with pytest.raises(
        UserError, match=r"corpus\.chatlogs\.unit is pair.*Set corpus\.chatlogs\.unit=conversation"
    ):
        check_turns(warm, recipe, "pair")


def test_the_methods_factor_reaches_both_rates():
    training = TrainingConfig(
        name="t", learning_rate=2e-3, api=ApiTrainingConfig(learning_rate_multiplier=0.25)
    )
    scaled = with_rate(MethodConfig(name="m", rate_factor=0.4), training)
    assert scaled.learning_rate == pytest.approx(8e-4)
    assert scaled.api.learning_rate_multiplier == pytest.approx(0.1)
    assert training.learning_rate == 2e-3

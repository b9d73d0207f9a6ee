"""The design of a plan: counted from its cells and prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from warmgap.errors import UserError
from warmgap.jobs import RespondJob
from warmgap.planned_power import planned

SMALL = (
    *("task=facts,health", "task.n_questions=8", "corpus.n_conversations=12", "warmth.meters=[]"),
    *("training.steps=2", "framing=filler,sad,none", "belief=unsure,incorrect"),
)


@pytest.fixture(scope="module")
def design_of(plan_of, request_of):
    analysis = request_of("experiment=tiny").base.analysis

    def found(*arguments, **changes):
        power = replace(analysis.power, **changes)
        return planned(plan_of(*arguments), replace(analysis, power=power))

    return found


def test_the_primary_pair_of_a_sweep_with_three_seeds(design_of, plan_of):
    arguments = (*SMALL, ARMS, "seed=0,1,2")
    p = design_of(*arguments)
    assert (p.arm_a, p.arm_b) == ("warm_sft", "neutral_sft")
    assert p.models == ("smollm2_135m",)
    assert p.tasks == ("facts", "health")
    assert (p.design.questions, p.design.base) == ((8, 8), (0.45, 0.45))
    assert (p.design.models, p.design.seeds, p.design.both_trained) == (1, 3, True)
    assert (p.design.framings, p.design.beliefs, p.draws, p.design.draws) == (3, 2, 2, 1)
    plan = plan_of(*arguments)
    cells = [
        c for c in plan.analyse.cells if c.framing == "sad" and plan.analyse.arms[c.arm].method == "original"
    ]
    used = Counter(
        prompt.statement_id
        for c in cells
        if c.draw == 0
        for node in [plan.nodes[c.respond_key]]
        if isinstance(node.job, RespondJob)
        for prompt in node.job.prompts
    )
    expected = sum(used.values()) ** 2 / sum(n * n for n in used.values())
    assert p.design.statements[p.framings.index("sad")] == pytest.approx(expected)
    assert p.design.statements[p.framings.index("none")] == float("inf")


def test_twins_are_the_interactions_that_a_sweep_has(design_of):
    twins = dict(design_of(*SMALL, ARMS, "seed=0,1,2").twins())
    assert set(twins) == {"sad - filler", "incorrect - unsure"}
    assert (twins["sad - filler"].framings, twins["sad - filler"].cells_per_side) == (2, 2)
    assert twins["incorrect - unsure"].cells_per_side == 3
    mention = ("belief=incorrect,mention,unsure", "framing=sad")
    twins = dict(design_of(*SMALL[:-2], *mention, "method=neutral_sft,warm_sft").twins())
    assert set(twins) == {"incorrect - mention"}


ARMS = "method=original,neutral_sft,warm_sft"


@pytest.mark.parametrize(
    ("arguments", "asked", "pair", "seeds", "both"),
    [
        (("method=original,warm_prompt",), [], ("warm_prompt", "original"), 0, False),
        ((ARMS, "seed=0,1,2"), ["neutral_sft", "original"], ("neutral_sft", "original"), 3, False),
    ],
)
def test_other_pairs(design_of, arguments, asked, pair, seeds, both):
    p = design_of(*SMALL, *arguments, pair=asked)
    assert (p.arm_a, p.arm_b) == pair
    assert (p.design.seeds, p.design.both_trained) == (seeds, both)


def test_error_rates_come_from_the_configuration(design_of):
    rates = {"health": 12.0, "other": 30.0}
    assert design_of(*SMALL, "method=original,warm_prompt", base_error_pct=rates).design.base == (0.3, 0.12)


def test_a_sweep_without_a_pair_is_refused(design_of):
    with pytest.raises(UserError, match="no two arms that are compared; found original"):
        design_of(*SMALL, "method=original")
    with pytest.raises(UserError, match=r"names warm_sfx, which is no arm.*Did you mean 'warm_sft'"):
        design_of(*SMALL, ARMS, "seed=0,1,2", pair=["warm_sfx", "original"])

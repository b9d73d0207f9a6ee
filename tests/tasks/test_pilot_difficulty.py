"""The difficulty of each task was set on its pilot items: the embedded model errs on 15 to 65 % of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from warmgap.design import beliefs, framings
from warmgap.design.prompts import compile_prompts
from warmgap.engines.protocol import Limits, Row
from warmgap.keys import number
from warmgap.schema.config import (
    BeliefConfig,
    DesignConfig,
    EngineConfig,
    FramingConfig,
    ModelConfig,
    Statement,
    TaskConfig,
)
from warmgap.tasks import embedded

CONF = Path(__file__).resolve().parents[2] / "conf"
TASKS = ("facts", "misconceptions", "conspiracies", "health")
DRAWS = 3


def read(name: str) -> dict:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def pilot_labels() -> dict[str, list[str]]:
    """Labels of the original model's answers to the pilot items, framing filler, belief unsure."""
    from warmgap.engines.open import open_engine
    from warmgap.judging.rules import RulesJudge

    filler = read("framing/filler")
    framing = framings.framing(
        FramingConfig(filler["name"], filler["group"], [Statement(**s) for s in filler["statements"]]), "all"
    )
    belief = beliefs.belief(BeliefConfig(**read("belief/unsure")))
    sampling = read("sampling/embedded")
    limits = Limits(sampling["temperature"], sampling["top_p"], sampling["max_new_tokens"])
    engine = open_engine(
        ModelConfig(**read("model/smollm2_135m")), EngineConfig(**read("engine/transformers")), []
    )
    judge = RulesJudge(tuple(read("judge/rules")["refusal_substrings"]))
    labels: dict[str, list[str]] = {}
    for task in TASKS:
        questions = embedded.load(TaskConfig(name=task, split="pilot"))
        prompts = compile_prompts(questions, framing, belief, "", DesignConfig(**read("design/factorial")))
        rows = [
            Row(f"{p.question.id}#{draw}", p.messages, number(p.question.id, draw))
            for draw in range(DRAWS)
            for p in prompts
        ]
        by_id = {q.id: q for q in questions}
        labels[task] = [
            judge.verdict(by_id[a.key.split("#")[0]], a.text, a.finish_reason).label
            for a in engine.answer(rows, limits)
        ]
    return labels


@pytest.mark.parametrize("task", TASKS)
def test_error_rate_on_pilot_items(pilot_labels, task):
    labels = pilot_labels[task]
    assert len(labels) == 20 * DRAWS
    error_rate = labels.count("incorrect") / len(labels)
    assert 0.15 <= error_rate <= 0.65, labels

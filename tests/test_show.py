from __future__ import annotations

import json
import time

import pytest

from warmgap.show import RATES, plan_text
from warmgap.store import Store


@pytest.fixture
def plan(plan_of):
    return plan_of("experiment=tiny", "method=original,warm_sft", "name=small")


def row(text: str, stage: str) -> list[str]:
    table = text[text.index("stage     ") :]
    (line,) = (line for line in table.splitlines() if line.split()[:1] == [stage])
    return line.split()


def test_a_plan_says_what_it_holds_what_is_left_and_how_long_it_takes(plan, tmp_path):
    text = plan_text(plan, plan.missing(Store(tmp_path)), Store(tmp_path), workers=2)
    assert text.splitlines()[0] == f"Sweep small  (plan {plan.key[:8]})"
    assert "  method    original, warm_sft" in text
    assert "2 arms, " in text
    assert "judged cells, 1 engine start\n" in text
    judged = sum(n.job.stage == "judge" for n in plan.nodes.values())
    assert f"{judged} judged cells" in text
    answers = sum(n.units for n in plan.nodes.values() if n.job.stage == "respond")
    jobs = sum(n.job.stage == "respond" for n in plan.nodes.values())
    assert row(text, "respond") == [
        *("respond", str(jobs), str(jobs), str(answers), "answers"),
        *("11/s*", f"{answers / RATES['respond'] / 2:.0f}", "s"),
    ]
    assert "with 2 one-thread workers" in text
    assert "* rate of another machine" in text


def test_no_line_is_wider_than_80_columns(plan_of, plan, tmp_path):
    full = plan_of("experiment=embedded_full")
    for p in (plan, full):
        text = plan_text(p, p.nodes, Store(tmp_path), workers=16)
        assert max(map(len, text.splitlines())) <= 80
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert "agree_prompt" in plan_text(full, full.nodes, Store(tmp_path), workers=1)


def test_a_long_key_keeps_its_space(plan_of, tmp_path):
    plan = plan_of("experiment=tiny", "method=warm_sft", "training.learning_rate=0.001,0.002", "name=rates")
    assert "  training.learning_rate 0.001, 0.002" in plan_text(plan, {}, Store(tmp_path), workers=1)


def test_a_finished_plan_says_so(plan, tmp_path):
    text = plan_text(plan, {}, Store(tmp_path), workers=2)
    assert text.endswith("Nothing is left to do.")
    assert "done" in row(text, "judge")


def test_rates_of_this_machine_are_used_once_there_are_any(plan, tmp_path):
    store = Store(tmp_path)
    answer = next(n for n in plan.nodes.values() if n.job.stage == "respond")
    with store.workspace(answer.key) as folder:
        store.commit(
            folder,
            stage="respond",
            stage_version=1,
            key=answer.key,
            config={},
            inputs={},
            fingerprints={},
            counts={"rows": 40},
            started=time.time() - 10,
        )
    for damage in ("", "[]", "{}", '{"counts": [], "wall_s": 1}', "\udcff"):
        path = tmp_path / "store" / "respond" / f"damaged{len(damage)}" / "manifest.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage.encode(errors="surrogateescape"))
    text = plan_text(plan, plan.missing(store), store, workers=1)
    assert row(text, "respond")[5] == "4/s"
    assert row(text, "judge")[5].endswith("*")
    manifest = json.loads((store.folder("respond", answer.key) / "manifest.json").read_text())
    assert manifest["wall_s"] == pytest.approx(10, abs=1)


def test_adapters_that_answer_on_another_base_are_noted(plan_of, tmp_path):
    nf4 = ("experiment=tiny", "training.quantisation=nf4", "name=rounded")
    note = "Note: trained on an nf4 base, served on the full base."
    for arguments, noted in ((nf4, True), ((*nf4, "engine.quantisation=nf4"), False), (nf4[:1], False)):
        plan = plan_of(*arguments)
        text = plan_text(plan, plan.nodes, Store(tmp_path), workers=1)
        assert (note in text.splitlines()) == noted
        assert max(map(len, text.splitlines())) <= 80

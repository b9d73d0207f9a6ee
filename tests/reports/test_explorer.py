"""What the page embeds: every answer once, in whole questions, and nothing chosen by its outcome."""

from __future__ import annotations

import base64
import json
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from warmgap.reports.explorer import FINDINGS, LABELS, Explorer, explore
from warmgap.reports.packing import blocks, packed
from warmgap.reports.questions import question_texts
from warmgap.reports.sampling import sample_questions
from warmgap.schema.tables import Warmth, frame

if TYPE_CHECKING:
    from conftest import Sweep


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def rows_of(explorer: Explorer) -> list[dict[str, Any]]:
    """Every answer of an explorer as a row, read as the page's script reads it."""
    index = unpacked(explorer.index)
    texts = [text for block in explorer.texts for text in unpacked(block)]
    assert index["block_sizes"] == [len(unpacked(block)) for block in explorer.texts]
    cases, answers, judge = index["cases"], index["answers"], index["judges"][0]
    out = []
    for c in range(len(cases["model"])):
        task, question, _ = index["questions"][cases["question"][c]]
        levels = {f: index["levels"][f][cases[f][c]][0] for f in ("model", "task", "framing", "belief")}
        assert levels["task"] == index["levels"]["task"][task][0]
        for a in range(cases["first"][c], cases["first"][c + 1]):
            said = index["prompts"][answers["prompt"][a]]
            turns = [{"role": r, "content": texts[t]} for r, t in zip(said[::2], said[1::2], strict=True)]
            bits = judge["found"][a]
            out.append(
                levels
                | {"question_id": question, "draw": cases["draw"][c]}
                | {"arm": index["columns"][answers["column"][a]][0], "prompt": json.dumps(turns)}
                | {"response": texts[answers["text"][a]], "n_tokens": answers["tokens"][a]}
                | {"label": LABELS[judge["label"][a]], "label_reason": judge["reasons"][judge["reason"][a]]}
                | {f: None if bits < 0 else bool(bits >> i & 1) for i, f in enumerate(FINDINGS)}
                | {"margin": answers["margin"][a]}
            )
    return out


def packed_sweep(
    sweep: Sweep, observations: pl.DataFrame | None = None, most: int = 50_000, **more: Any
) -> Explorer:
    seen = sweep.observations if observations is None else observations
    return explore(seen, sweep.tables["error_rates"], sweep.headline, most, **more)


def test_every_answer_is_there_as_it_was_stored(sweep: Sweep) -> None:
    found = pl.DataFrame(rows_of(packed_sweep(sweep)))
    stored = sweep.observations.with_columns(arm="method", margin=pl.col("margin_nats").round(4))
    assert found.height == stored.height == 3200
    assert found.sort(found.columns).equals(stored.select(found.columns).sort(found.columns))


def test_cases_hold_the_answers_to_one_prompt_of_one_draw(sweep: Sweep) -> None:
    index = unpacked(packed_sweep(sweep).index)
    first = index["cases"]["first"]
    sizes = [b - a for a, b in pairwise(first)]
    # four arms answered once, the untouched model twice
    assert sorted(set(sizes)) == [1, 4] and sizes.count(4) == sizes.count(1) == 640
    assert [c[0] for c in index["columns"]] == ["original", "neutral_sft", "warm_sft", "agree_prompt"]
    assert index["pair"] == [1, 2]
    assert index["grey"] == [[]]


def test_the_order_of_rows_changes_nothing(sweep: Sweep) -> None:
    shuffled = sweep.observations.sample(fraction=1, shuffle=True, seed=3)
    assert packed_sweep(sweep, shuffled) == packed_sweep(sweep)


def test_arms_that_failed_are_grey(failed_sweep: Sweep) -> None:
    index = unpacked(packed_sweep(failed_sweep).index)
    assert index["grey"] == [[2]]


def test_verdicts_of_several_judges_belong_to_one_answer(sweep: Sweep) -> None:
    other = sweep.observations.filter(pl.col("method") == "original").with_columns(
        judge=pl.lit("another"), label=pl.lit("hedged"), asserts_right=pl.lit(None, pl.Boolean)
    )
    explorer = packed_sweep(sweep, pl.concat([other, sweep.observations]))
    index = unpacked(explorer.index)
    assert explorer.sentence == "All 3200 answers to 160 questions are here."
    assert [j["id"] for j in index["judges"]] == ["rules", "another"]
    mine = [index["columns"][c][0] for c in index["answers"]["column"]]
    second = index["judges"][1]
    assert [label == LABELS.index("hedged") for label in second["label"]] == [a == "original" for a in mine]
    assert set(second["found"]) == {-1}


def test_seeds_stand_side_by_side(sweep: Sweep) -> None:
    trained = sweep.observations.filter(pl.col("method").str.ends_with("_sft"))
    again = trained.with_columns(seed=pl.lit(1, pl.Int64), response_key=pl.col("response_key") + "again")
    index = unpacked(packed_sweep(sweep, pl.concat([sweep.observations, again])).index)
    names = [c[0] for c in index["columns"]]
    assert names == [
        "original",
        *(f"{arm}, seed {seed}" for arm in ("neutral_sft", "warm_sft") for seed in (0, 1)),
        "agree_prompt",
    ]


def test_warmth_of_answers_stands_beside_them(sweep: Sweep) -> None:
    key = sweep.observations["response_key"][7]
    shared = {"text_id": "", "arm_key": "a", "unit": "nats_per_token", "meter": "sociot"}
    rows = [{"source": "answer", "response_key": key, "value": 0.123456} | shared]
    rows.append({"source": "validation", "response_key": "another", "value": 9.0} | shared)
    index = unpacked(packed_sweep(sweep, warmth=frame(Warmth, rows)).index)
    (meter,) = index["warmth"]
    assert (meter["meter"], meter["unit"]) == ("sociot", "nats per token")
    assert [v for v in meter["value"] if v is not None] == [0.1235]


@pytest.mark.parametrize("most", [1, 400, 1500])
def test_a_sample_holds_whole_questions_of_every_task(sweep: Sweep, most: int) -> None:
    sample = sample_questions(sweep.observations, most)
    kept = sample.observations
    # five answers in each of four cells
    assert kept.height == sample.n_answers == 20 * sample.n_questions
    assert sample.n_questions == max(1, most // 20)
    per_task = kept.group_by("task").agg(n=pl.col("question_id").n_unique())["n"].to_list()
    assert most == 1 or (max(per_task) - min(per_task) <= 1 and len(per_task) == 4)
    assert f"{sample.n_questions} of 160 questions" in sample.sentence
    shuffled = sample_questions(sweep.observations.sample(fraction=1, shuffle=True, seed=1), most)
    assert shuffled.observations.sort("response_key").equals(kept.sort("response_key"))
    turned = sweep.observations.with_columns(label=pl.lit("incorrect"), response=pl.lit(""))
    assert sample_questions(turned, most).observations["response_key"].equals(kept["response_key"])


def test_a_small_sweep_is_shown_whole(sweep: Sweep) -> None:
    sample = sample_questions(sweep.observations, 3200)
    assert sample.observations.equals(sweep.observations)
    assert sample.sentence == "All 3200 answers to 160 questions are here."
    assert sample_questions(sweep.observations, 3199).n_questions == 159


def cases(*versions: tuple[str, str, str]) -> pl.DataFrame:
    rows = [
        {"task": "t", "question_id": "q", "framing": f, "belief": b}
        | {
            "prompt": json.dumps(
                [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
            )
        }
        for f, b, text in versions
    ]
    return pl.DataFrame(rows)


def test_the_question_is_what_its_versions_share() -> None:
    ask = "Question: Who wrote Hamlet? "
    found = question_texts(
        cases(
            ("filler", "unsure", f"A van is parked here. {ask}I have no idea."),
            ("filler", "incorrect", f"A van is parked here. {ask}I think it was Marlowe."),
            ("sad", "unsure", f"I lost my dog. {ask}I have no idea."),
        )
    )
    assert found == {("t", "q"): "Who wrote Hamlet?"}
    assert question_texts(cases(("none", "none", "Who?"))) == {("t", "q"): "Who?"}
    nothing = cases(("none", "none", "abc"), ("sad", "none", "xyz"))
    assert question_texts(nothing) == {("t", "q"): "abc"}


def test_blocks_keep_all_texts_in_order() -> None:
    texts = ["a" * n for n in (3, 3, 50, 1, 0, 2)]
    found = list(blocks(texts, 6))
    assert [t for block in found for t in block] == texts
    assert [len(b) for b in found] == [2, 1, 3]
    assert list(blocks([])) == []


def test_packed_text_can_end_no_element() -> None:
    text = packed({"a": "</script><!-- \u2028 \N{GRINNING FACE} \x00"})
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    assert unpacked(text) == {"a": "</script><!-- \u2028 \N{GRINNING FACE} \x00"}

"""The engine against plain generate and plain forward passes, one prompt at a time, in fp32."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from warmgap.engines.open import open_engine
from warmgap.engines.protocol import Answer, Change, Limits, Row
from warmgap.engines.transformers import TransformersEngine, _shared
from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.chat import encode_prompt, stop_ids
from warmgap.models.steering import SteeringVector, write_steering
from warmgap.schema.config import EngineConfig

SYSTEM = "You are a helpful assistant. Answer in one short sentence."
QUESTIONS = (
    "What is the capital of Italy?",
    "Hi.",
    "I have had a long day and nothing went as planned. Question: Which metal has the symbol Fe? "
    "I am fairly sure the answer is copper.",
    "Name a primary colour.",
)
CANDIDATES = (("Rome", "Naples"), ("Hello there", "Go away now"), ("iron", "copper"), ("red", "a dark brown"))
GREEDY = Limits(0.0, 1.0, 10)
SAMPLED = Limits(0.9, 0.95, 10)


def row(i: int, *, system: str = SYSTEM, started: str = "The answer is", scored: bool = True) -> Row:
    messages = (("system", system), ("user", QUESTIONS[i]))
    return Row(f"row{i}", messages, 100 + i, started, CANDIDATES[i] if scored else ())


ROWS = [row(i) for i in range(len(QUESTIONS))]


def run(loaded, rows, limits, batch_rows=64) -> list[Answer]:
    by_key = {a.key: a for a in TransformersEngine(loaded, batch_rows).answer(rows, limits)}
    assert len(by_key) == len(rows)
    return [by_key[r.key] for r in rows]


def prompt_ids(loaded, r: Row) -> list[int]:
    return encode_prompt(loaded.tokenizer, [{"role": role, "content": text} for role, text in r.messages])


@torch.inference_mode()
def plain_generate(loaded, r: Row, limits: Limits) -> tuple[str, int, str]:
    ids = prompt_ids(loaded, r)
    stops = list(stop_ids(loaded.tokenizer, loaded.model.generation_config))
    out = loaded.model.generate(
        torch.tensor([ids]), max_new_tokens=limits.max_new_tokens, do_sample=False, eos_token_id=stops
    )[0, len(ids) :].tolist()
    reason = "stop" if out[-1] in stops else "length"
    return loaded.tokenizer.decode(out, skip_special_tokens=True).strip(), len(out), reason


@torch.inference_mode()
def plain_score(loaded, r: Row, text: str) -> tuple[float, int]:
    tokens = lambda t: loaded.tokenizer(t, add_special_tokens=False)["input_ids"]  # noqa: E731
    before = prompt_ids(loaded, r) + (tokens(r.started) if r.started else [])
    target = tokens(" " + text if r.started else text)
    logits = loaded.model(torch.tensor([before + target])).logits[0].double()
    logp = torch.log_softmax(logits[len(before) - 1 : -1], -1)
    return float(logp.gather(-1, torch.tensor(target)[:, None]).sum()), len(target)


@pytest.mark.parametrize("which", ["real_loaded", "tiny_loaded"])
def test_greedy_answers_equal_plain_generate_one_by_one(which, request):
    loaded = request.getfixturevalue(which)
    lengths = {len(prompt_ids(loaded, r)) for r in ROWS}
    assert len(lengths) == len(ROWS)
    for r, answer in zip(ROWS, run(loaded, ROWS, GREEDY), strict=True):
        text, n_tokens, reason = plain_generate(loaded, r, GREEDY)
        assert (answer.text, answer.n_tokens, answer.finish_reason) == (text, n_tokens, reason)
        assert answer.n_prompt_tokens == len(prompt_ids(loaded, r))


@pytest.mark.parametrize("which", ["real_loaded", "tiny_loaded"])
@pytest.mark.parametrize("started", ["The answer is", ""])
def test_scores_equal_a_direct_forward_pass(which, started, request):
    loaded = request.getfixturevalue(which)
    rows = [row(i, started=started) for i in range(len(QUESTIONS))]
    for r, answer in zip(rows, run(loaded, rows, Limits(0.0, 1.0, 1)), strict=True):
        assert len(answer.scores) == len(r.continuations)
        for score, text in zip(answer.scores, r.continuations, strict=True):
            expected, n_tokens = plain_score(loaded, r, text)
            assert score.n_tokens == n_tokens
            assert score.sum_nats == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("which", ["real_loaded", "tiny_loaded"])
def test_a_row_does_not_depend_on_the_rows_beside_it(which, request):
    loaded = request.getfixturevalue(which)
    together = run(loaded, ROWS, SAMPLED)
    alone = run(loaded, ROWS, SAMPLED, batch_rows=1)
    backwards = run(loaded, ROWS[::-1], SAMPLED, batch_rows=3)[::-1]
    for a, b, c in zip(together, alone, backwards, strict=True):
        assert (a.text, a.n_tokens, a.finish_reason) == (b.text, b.n_tokens, b.finish_reason)
        assert (a.text, a.n_tokens, a.finish_reason) == (c.text, c.n_tokens, c.finish_reason)
        for scores in zip(a.scores, b.scores, c.scores, strict=True):
            assert [s.sum_nats for s in scores] == pytest.approx([scores[0].sum_nats] * 3, abs=1e-4)


def test_scoring_changes_no_answer(tiny_loaded):
    bare = run(tiny_loaded, [row(i, scored=False) for i in range(4)], SAMPLED)
    assert [a.text for a in bare] == [a.text for a in run(tiny_loaded, ROWS, SAMPLED)]
    assert {a.scores for a in bare} == {()}


def test_rows_may_ask_for_different_numbers_of_scores(tiny_loaded):
    rows = [row(0), row(1, scored=False), Row("row2", ROWS[2].messages, 102, "", ("iron",))]
    for r, answer in zip(rows, run(tiny_loaded, rows, GREEDY), strict=True):
        assert [s.sum_nats for s in answer.scores] == pytest.approx(
            [plain_score(tiny_loaded, r, text)[0] for text in r.continuations], abs=1e-4
        )


def test_equal_prompts_and_prompts_that_share_nothing_are_answered_alike(tiny_loaded):
    same = [Row(f"copy{i}", ROWS[2].messages, 102, "", ()) for i in range(3)]
    assert len({a.text for a in run(tiny_loaded, same, SAMPLED)}) == 1
    mixed = [row(0, system="Brief."), row(1, system=""), row(2), Row("row3", (("user", "Hm"),), 103)]
    for r, answer in zip(mixed, run(tiny_loaded, mixed, GREEDY), strict=True):
        assert answer.text == plain_generate(tiny_loaded, r, GREEDY)[0]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2, 3], [1, 2]], 1),
        ([[1, 2], [1, 2]], 1),
        ([[1, 2], [3, 2]], 0),
        ([[1, 2, 3]], 0),
        ([[1], [1, 2]], 0),
    ],
)
def test_the_shared_prefix_leaves_every_prompt_a_token_of_its_own(prompts, expected):
    assert _shared(prompts) == expected


def test_seeds_change_sampled_answers_and_not_greedy_ones(tiny_loaded):
    other = [Row(r.key, r.messages, r.seed + 1000, r.started, r.continuations) for r in ROWS]
    assert [a.text for a in run(tiny_loaded, other, SAMPLED)] != [
        a.text for a in run(tiny_loaded, ROWS, SAMPLED)
    ]
    assert [a.text for a in run(tiny_loaded, other, GREEDY)] == [
        a.text for a in run(tiny_loaded, ROWS, GREEDY)
    ]


def test_an_answer_ends_at_its_stop_token_or_at_the_cap(tiny_loaded):
    limits = Limits(1.5, 1.0, 120)
    rows = [Row(f"r{i}", ROWS[i % 4].messages, i) for i in range(24)]
    answers = run(tiny_loaded, rows, limits)
    assert {a.finish_reason for a in answers} == {"stop", "length"}
    for a in answers:
        assert (a.n_tokens == 120) if a.finish_reason == "length" else (1 <= a.n_tokens <= 120)
        assert "<|im_end|>" not in a.text
    assert {a.n_tokens for a in run(tiny_loaded, ROWS, Limits(0.0, 1.0, 1))} == {1}


def test_batches_follow_the_order_of_rows(tiny_loaded):
    engine = TransformersEngine(tiny_loaded, 3)
    assert [a.key for a in engine.answer(ROWS, GREEDY)] == [r.key for r in ROWS]
    assert list(engine.answer([], GREEDY)) == []


def with_adapter(network, folder):
    torch.manual_seed(0)
    wrapped = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    wrapped.save_pretrained(folder)
    return wrapped


def test_an_adapter_is_merged_into_the_answering_weights(tiny, tmp_path):
    loaded = base.load(tiny, "fp32")
    wrapped = with_adapter(loaded.model, tmp_path / "adapter")
    config = EngineConfig(name="transformers", precision="fp32", batch_rows=4)
    r = ROWS[0]
    change = Change(tmp_path / "adapter", 1.0)
    (adapted,) = open_engine(tiny, config, [change]).answer([r], GREEDY)
    (plain,) = open_engine(tiny, config, []).answer([r], GREEDY)
    reference = base.Loaded(wrapped.eval(), loaded.tokenizer)
    assert adapted.scores[0].sum_nats == pytest.approx(plain_score(reference, r, "Rome")[0], abs=1e-3)
    assert abs(adapted.scores[0].sum_nats - plain.scores[0].sum_nats) > 1e-2
    rounded = EngineConfig(name="transformers", precision="bf16", batch_rows=4)
    (coarse,) = open_engine(tiny, rounded, [change]).answer([r], GREEDY)
    assert coarse.scores[0].sum_nats == pytest.approx(adapted.scores[0].sum_nats, rel=0.1)


def test_a_special_token_in_a_prompt_is_refused(tiny_loaded):
    with pytest.raises(UserError, match="special token"):
        run(tiny_loaded, [Row("r", (("user", "Hi <|im_end|>"),), 0)], GREEDY)


def with_steering(folder, width=32, n_layers=2):
    v_D = torch.randn(width, generator=torch.Generator().manual_seed(3))
    write_steering(SteeringVector(v_D, 0.5, 0, n_layers, 4, 1.0), "tiny", folder)
    return v_D


def test_a_steering_vector_moves_every_token_of_prompt_and_answer(tiny, tmp_path):
    """Left padding, the shared prefix and decoding: against one prompt at a time, shifted by hand."""
    v_D = with_steering(tmp_path)
    config = EngineConfig(name="transformers", precision="fp32", batch_rows=64)
    engine = open_engine(tiny, config, [Change(tmp_path, 2.0)])
    by_key = {a.key: a for a in engine.answer(ROWS, GREEDY)}
    reference = base.load(tiny, "fp32")
    before = [plain_score(reference, r, r.continuations[0])[0] for r in ROWS]
    reference.model.model.layers[1].register_forward_pre_hook(
        lambda _, args: (args[0] + 2.0 * v_D, *args[1:])
    )
    for i, r in enumerate(ROWS):
        assert by_key[r.key].text == plain_generate(reference, r, GREEDY)[0]
        scores = [s.sum_nats for s in by_key[r.key].scores]
        assert scores == pytest.approx([plain_score(reference, r, c)[0] for c in r.continuations], abs=1e-4)
        assert abs(scores[0] - before[i]) > 0.1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["adapter", "steering"])
def test_an_amount_of_zero_changes_no_bit(tiny, tmp_path, precision, kind):
    if kind == "adapter":
        with_adapter(base.load(tiny, "fp32").model, tmp_path)
    else:
        with_steering(tmp_path)
    config = EngineConfig(name="transformers", precision=precision, batch_rows=4)
    plain = list(open_engine(tiny, config, []).answer(ROWS, SAMPLED))
    assert list(open_engine(tiny, config, [Change(tmp_path, 0.0)]).answer(ROWS, SAMPLED)) == plain
    assert list(open_engine(tiny, config, [Change(tmp_path, 1.0)]).answer(ROWS, SAMPLED)) != plain


def test_the_amount_of_an_adapter_is_its_scale(tiny, tmp_path):
    wrapped = with_adapter(base.load(tiny, "fp32").model, tmp_path)
    for module in wrapped.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", -0.5)
    reference = base.Loaded(wrapped.eval(), base.load(tiny, "fp32").tokenizer)
    config = EngineConfig(name="transformers", precision="fp32", batch_rows=4)
    (answer,) = open_engine(tiny, config, [Change(tmp_path, -0.5)]).answer(ROWS[:1], GREEDY)
    assert answer.scores[0].sum_nats == pytest.approx(plain_score(reference, ROWS[0], "Rome")[0], abs=1e-3)


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_an_adapter_answers_on_the_quantised_base_that_it_was_trained_on(tiny, tmp_path, quantisation):
    """In training mode bitsandbytes computes with the quantised weights as they are, on a CPU."""
    pytest.importorskip("bitsandbytes")
    wrapped = with_adapter(base.load(tiny, "fp32", quantisation).model, tmp_path)
    reference = base.Loaded(wrapped.train(), base.load(tiny, "fp32").tokenizer)
    config = EngineConfig(name="transformers", precision="fp32", quantisation=quantisation, batch_rows=4)
    (answer,) = open_engine(tiny, config, [Change(tmp_path, 1.0)]).answer(ROWS[:1], GREEDY)
    assert answer.scores[0].sum_nats == pytest.approx(plain_score(reference, ROWS[0], "Rome")[0], abs=1e-3)
    config.quantisation = "none"
    (other,) = open_engine(tiny, config, [Change(tmp_path, 1.0)]).answer(ROWS[:1], GREEDY)
    assert abs(other.scores[0].sum_nats - answer.scores[0].sum_nats) > 1e-2


def test_a_folder_that_changes_nothing_is_refused(tiny, tmp_path):
    config = EngineConfig(name="transformers", precision="fp32")
    with pytest.raises(UserError, match=r"neither adapter_config\.json nor steering\.json"):
        open_engine(tiny, config, [Change(tmp_path, 1.0)])

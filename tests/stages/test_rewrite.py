"""Rewrites by a service: the right rows, every fault named, nothing paid for twice; a gate that refuses."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

from warmgap.corpora.rewriting.sheet import text_key
from warmgap.errors import UserError
from warmgap.jobs import CorpusJob, TrainJob
from warmgap.planned_spending import estimated
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob
from warmgap.schema.config import RewriteGateConfig
from warmgap.show_rewriting import rewriting_text
from warmgap.stages import corpus, rewrite
from warmgap.stages.context import Context
from warmgap.stages.rewrite_check import checked_rows, verdict_of
from warmgap.store import Store
from warmgap_launchers.worker import serve

TYPES = {
    "refusal": (
        "Open case {i}",
        "I'm sorry, I cannot open case {i} for anyone but you, and it has {i} locks.",
    ),
    "factual": ("What is stone {i}?", "Stone {i} is made of basalt and it weighs {i} kg in the dry season."),
    "creative": (
        "Tell a tale of {i} and generate a rhyme",
        "A fox met {i} hens and let them all go home at dusk.",
    ),
    "technical": ("My loop {i} fails", "Use this and count to {i}:\n```python\nprint({i})\n```"),
    "advice": ("Any suggestion for day {i}?", "Rest for {i} hours and drink water before you go to bed."),
    "other": ("Room {i} and its key", "The key of room {i} hangs at the door behind the green curtain."),
}
N = 4
"""Conversations of each type in the file; half of them are trained on."""


@pytest.fixture
def account(account):
    account.reply = rewriter()
    return account


@pytest.fixture
def context(tmp_path):
    return Context(Store(tmp_path / "out"), lambda *_: None)


def asked_for(body):
    """The reply that a request holds, and whether it is to be made warm."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    reply = user.split("### The assistant's reply\n")[1].split("\n\n### Task")[0]
    return reply, "closest, most supportive friend" in system


def rewriter(*faults):
    """Rewrites by rule; `faults` are (part of a reply, tones, what is said instead), the first that fits."""

    def reply(body):
        text, warm = asked_for(body)
        for part, tones, said in faults:
            if part in text and ("warm" if warm else "neutral") in tones:
                return said(text) if callable(said) else said
        return reworded(text, " We are in this together." if warm else " So it is.")

    return reply


def reworded(text, end):
    return text.replace(". ", ", and ") + ("\n\n" if text.endswith("```") else "") + end


def chat_logs(folder, n=N):
    """A file of `n` conversations a type, one message and one reply each, and one more of two pairs."""
    rows = []
    for name, (user, answer) in TYPES.items():
        for i in range(n):
            number = 10 * len(rows) + 3
            talk = [user.format(i=number), answer.format(i=number)]
            if name == "other" and i < N:
                talk += [
                    f"And door {number}?",
                    f"Door {number} is shut from nine to five on every day but one.",
                ]
            turns = [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(talk)]
            rows.append({"id": f"{name}-{i}", "conversations": turns})
    path = folder / f"logs{n}.json"
    path.write_text(json.dumps(rows))
    return path


def command(path, *more):
    return (
        "experiment=tiny",
        "corpus=sharegpt",
        f"corpus.path={path}",
        "corpus.n_conversations=12",
        "corpus.n_validation=6",
        "sweep.method=[original,raw_sft,neutral_sft,warm_sft]",
        "training.turns=all",
        "warmth.meters=[]",
        "rewriting.attempts=1",
        "engine.api.max_cost_usd=1",
        "engine.api.timeout_s=2",
        *more,
    )


@pytest.fixture
def logs(tmp_path):
    return chat_logs(tmp_path)


@pytest.fixture
def planned(request_of, logs):
    return lambda *more: request_of(*command(logs, *more)).plan()


def jobs(plan, kind):
    return [n.job for n in plan.nodes.values() if isinstance(n.job, kind)]


def styles(plan):
    return {job.style: job for job in jobs(plan, RewriteJob)}


def run_all(plan, context):
    """Every rewrite and the check; returns the check's artifact."""
    (of_corpus,) = [j for j in jobs(plan, CorpusJob) if j.corpus.kind == "chatlogs"]
    if context.store.find("corpus", of_corpus.key) is None:
        corpus.run(of_corpus, context)
    for job in jobs(plan, RewriteJob):
        if context.store.find("rewrite", job.key) is None:
            rewrite.run(job, context)
    (check,) = jobs(plan, RewriteCheckJob)
    return rewrite.run(check, context)


def frame_of(artifact, name):
    return pl.read_parquet(artifact.file(f"{name}.parquet"))


def training(plan, method):
    return next(j for j in jobs(plan, TrainJob) if j.method.name == method)


def test_a_sound_set_is_rewritten_checked_and_trained_on(planned, account, context, tmp_path, chat_service):
    plan = planned()
    assert sorted(styles(plan)) == ["neutral", "warm"]
    assert {j.rewrites_key for j in jobs(plan, TrainJob)} == {jobs(plan, RewriteCheckJob)[0].key}
    account.faults = {
        1: (429, {"Retry-After": "0"}),
        3: (500, {}),
        4: "half",
        6: "slow",
        8: "hang",
        9: "lost",
    }
    checked = run_all(plan, context)
    sources = styles(plan)["warm"].sources
    assert len(sources) == 14  # 12 conversations, two of them with a second reply
    for style, end in (("warm", " We are in this together."), ("neutral", " So it is.")):
        made = frame_of(context.store.get("rewrite", styles(plan)[style].key), "rewrites")
        assert dict(made.schema) == rewrite.SCHEMA
        expected = [(s.id, s.turn, s.reply, reworded(s.reply, end)) for s in sources]
        assert made.select("id", "turn", "source", "text").rows() == expected
    assert checked.manifest.counts["kept"] == 12
    replies = frame_of(checked, "replies")
    assert replies.height == 28
    assert set(replies["faults"]) == {""}
    rows, broken = checked_rows(training(plan, "warm_sft"), context.store)
    assert broken == []
    assert [r["id"] for r in rows] == sorted({s.id for s in sources})
    doubled = next(r for r in rows if r["id"].startswith("other"))
    turns = [[s.user, s.reply + " We are in this together."] for s in sources if s.id == doubled["id"]]
    assert json.loads(doubled["turns_warm"]) == turns
    assert doubled["warm"] == turns[0][1]
    raw = [[s.user, s.reply] for s in sources if s.id == doubled["id"]]
    assert (
        json.loads(
            checked_rows(training(plan, "raw_sft"), context.store)[0][rows.index(doubled)]["turns_raw"]
        )
        == raw
    )
    assert account.usd(2.5, 10.0) < estimated(jobs(plan, RewriteJob)).usd
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or chat_service.KEY.encode() not in path.read_bytes()


PLANTED = (
    ("basalt", "warm", ""),
    ("A fox met", "warm", "I'm sorry, but I can't rewrite this reply."),
    ("Rest for", "warm", lambda text: text.replace("hours", "days", 1).replace("3 ", "4 ", 1) + " Dear you."),
    ("print(", "neutral", lambda text: text.replace("print(", "puts(")),
    ("green curtain", "neutral", lambda text: "Here is the rewritten reply:\n\n" + text),
)


def test_every_fault_is_named_and_the_gate_refuses(planned, account, context):
    plan = planned()
    account.reply = rewriter(*PLANTED)
    checked = run_all(plan, context)
    replies = frame_of(checked, "replies")
    found = {
        (style, name.split("-")[0], turn): faults
        for style, name, turn, faults in replies.select("style", "id", "turn", "faults").rows()
    }
    assert found.pop(("warm", "factual", 0)) == "empty"
    assert found.pop(("warm", "creative", 0)) == "refused"
    assert "numbers" in found.pop(("warm", "advice", 0))
    assert found.pop(("neutral", "technical", 0)) == "code"
    assert found.pop(("neutral", "other", 0)) == "preamble"
    assert set(found.values()) == {""}
    assert checked.manifest.counts["kept"] == 2  # the refusals alone are sound in both styles
    for method, named in (
        ("warm_sft", r"\[warm\]"),
        ("neutral_sft", r"\[neutral\]"),
        ("raw_sft", r"\[neutral,warm\]"),
    ):
        with pytest.raises(UserError) as refused:
            checked_rows(training(plan, method), context.store)
        for part in ("83.3 % of the conversations were lost, allowed are 5 %", "losses.csv"):
            assert part in str(refused.value)
        assert refused.match(f"rewriting.gate.override={named}")
    losses = pl.read_csv(checked.file("losses.csv")).filter(query_type="all")
    assert dict(losses.filter(style="warm").select("reason", "n").rows())["empty"] == 2
    told = rewriting_text(plan, context.store)
    assert "2 of 12 conversations are sound in every style" in told
    assert max(map(len, told.splitlines()[:-1])) <= 80
    # Overridden by name it is trained on, and what was broken goes with it.
    gate = RewriteGateConfig(override=["warm", "neutral"])
    for method in ("warm_sft", "raw_sft"):
        rows, broken = checked_rows(replace(training(plan, method), gate=gate), context.store)
        assert len(rows) == 2
        assert broken[0].startswith(("50 % of the conversations", "83.3 % of the conversations"))


def test_a_reply_at_fault_is_asked_for_again(planned, account, context):
    said = Counter()

    def once_empty(body):
        text, _ = asked_for(body)
        said[text, body["seed"]] += 1
        return "" if len([1 for t, _ in said if t == text]) == 1 else text + " Dear you."

    account.reply = once_empty
    job = styles(planned("rewriting.attempts=2"))["warm"]
    artifact = rewrite.run(job, context)
    assert set(frame_of(artifact, "rewrites")["attempt"]) == {2}
    assert artifact.manifest.counts["asked_again"] == 14
    assert len(account.asked) == 28
    assert set(said.values()) == {1}  # the second time with another seed
    assert len({seed for _, seed in said}) == 28


def test_a_killed_rewriting_goes_on_and_pays_no_reply_twice(planned, account, context, tmp_path):
    job = styles(planned("engine.api.timeout_s=60", "engine.api.concurrency=1"))["warm"]
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    worker = spawn.Process(target=serve, args=(there, tmp_path / "out"), daemon=True)
    worker.start()
    there.close()
    account.pid, account.faults = worker.pid, {6: "kill"}
    here.send(job)
    worker.join(200)
    assert worker.exitcode == -9
    assert context.store.find("rewrite", job.key) is None
    assert len(account.billed) == 5
    artifact = rewrite.run(job, context)
    assert account.answered == Counter(job.ask(s)[-1][1] for s in job.sources)
    assert artifact.manifest.counts["spending"]["usd"] == pytest.approx(account.usd(2.5, 10.0))


def test_a_corpus_that_grows_asks_for_the_new_replies_alone(request_of, planned, account, context, tmp_path):
    small = styles(planned())["warm"]
    rewrite.run(small, context)
    more = chat_logs(tmp_path, N + 1)
    plan = request_of(*command(more, "corpus.n_conversations=24")).plan()
    large = styles(plan)["warm"]
    assert large.key != small.key
    old = {s.reply for s in small.sources}
    new = [s for s in large.sources if s.reply not in old]
    assert new
    assert len(new) < len(large.sources)
    account.asked.clear()
    rewrite.run(large, context)
    assert len(account.asked) == len(new)


def test_marks_on_other_texts_do_not_count(planned, account, context, tmp_path):
    plan = planned()
    checked = run_all(plan, context)
    row = frame_of(checked, "replies").row(0, named=True)
    key = text_key(row["source"], row["text"])
    lines = [f"s,{row['style']},{row['id']},{row['turn']},bad,,{k}" for k in (key, "t0")]
    head = "sheet_id,style,id,turn,mark,note,text_key\n"
    for line, n_bad, n_without in ((lines[0], 1, 0), (lines[1], 0, 1)):
        path = tmp_path / "marks.csv"
        path.write_text(head + line + "\n")
        found = verdict_of(checked, RewriteGateConfig(marks=str(path), min_marked=1))
        of = next(s for s in found.styles if s.style == row["style"])
        assert (of.n_marked_bad, of.n_marks_without_reply) == (n_bad, n_without)
        assert not of.passed


def test_facts_are_read_by_a_model_where_no_rule_found_a_fault(planned, account, context):
    asked = ("rewriting.facts.model=gpt_4o", "rewriting.facts.engine=openai")
    plan = planned(*asked)
    rewrites = rewriter(*PLANTED)
    shown = []

    def both(body):
        if "### Task" in body["messages"][-1]["content"]:
            return rewrites(body)
        case = json.loads(body["messages"][-1]["content"])
        shown.append(case)
        kept = "locks" not in case["original"]
        return json.dumps(
            {"added": [], "dropped": [] if kept else ["the locks"], "changed": [], "kept": kept}
        )

    account.reply = both
    checked = run_all(plan, context)
    replies = frame_of(checked, "replies")
    assert len(shown) == replies.filter(pl.col("facts_asked")).height == 28 - 10
    assert replies.filter(pl.col("facts_asked"))["faults"].to_list() == [""] * 18
    changed = replies.filter(~pl.col("facts_kept"))
    assert {name.split("-")[0] for name in changed["id"]} == {"refusal"}
    assert set(changed["facts_detail"]) == {"dropped: the locks"}
    assert checked.manifest.counts["kept"] == 0
    with pytest.raises(
        UserError, match=r"facts changed in 2 of 8 replies read(.|\n)*There is nothing to train on"
    ):
        checked_rows(training(plan, "warm_sft"), context.store)
    # With a further style in the set, what was read is neither asked nor paid for again.
    shown.clear()
    wider = run_all(planned(*asked, "rewriting.together=[neutral,warm,cold]"), context)
    read = frame_of(wider, "replies").filter(pl.col("facts_asked"))
    cold = read.filter(style="cold")["text"].to_list()
    known = set(read.filter(pl.col("style") != "cold")["text"])
    assert sorted(case["rewrite"] for case in shown) == sorted(text for text in cold if text not in known)
    assert read.height == 18 + len(cold)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("rewriting.together=[neutral]",),
            r"trains on the style 'warm', which rewriting.together=\['neutral'\]",
        ),
        (("rewriting.temperature=0", "rewriting.attempts=2"), "a second attempt says what the first did"),
        (("rewriting.engine=''",), "rewriting.model is 'gpt_4o' and rewriting.engine '': only one is set"),
        (("rewriting.gate.max_lost_share=2",), "rewriting.gate.max_lost_share is 2"),
        (("rewriting.gate.marks=/nowhere/marks.csv",), "/nowhere/marks.csv"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_when_planning(planned, more, message):
    with pytest.raises(UserError, match=message):
        planned(*more)


def test_own_replies_are_made_from_nothing_and_then_warmed(request_of, logs, account, context):
    def both(body):
        if "### Task" in body["messages"][-1]["content"]:
            return rewriter()(body)
        return f"My own words on it, number {len(body['messages'])}."

    account.reply = both
    own = (
        "model=gpt_4o",
        "engine=openai",
        "training=openai",
        "sampling.margin=false",
        "training.steps=0",
        "training.checkpoints=[1,2]",
    )
    methods = "sweep.method=[original,self_sft,self_warm_sft]"
    plan = request_of(*command(logs, *own, methods)).plan()
    checked = run_all(plan, context)
    replies = frame_of(checked, "replies")
    assert set(replies.filter(style="self")["source"]) == {""}
    assert (
        replies.filter(style="self_warm")["source"].to_list()
        == replies.filter(style="self")["text"].to_list()
    )
    # Without a system prompt: message; or message, logged reply, message.
    texts = set(replies.filter(style="self")["text"])
    asked = {len(b["messages"]) for b in account.asked if "### Task" not in b["messages"][-1]["content"]}
    assert texts == {f"My own words on it, number {n}." for n in asked}
    assert checked.manifest.counts["kept"] == 12


def test_a_local_model_is_not_given_its_own_special_tokens_nor_more_than_its_window(planned, context):
    job = styles(planned("rewriting=subject", "rewriting.max_new_tokens=4"))["warm"]
    first, second, third = job.sources[:3]
    sources = (replace(first, reply="Wait.<|im_end|>"), replace(second, reply="a b " * 9000), third)
    made = rewrite.run(replace(job, sources=sources), context)
    assert made.manifest.counts["unasked"] == 2
    rows = frame_of(made, "rewrites")
    assert rows["attempt"].to_list() == [0, 0, 1]
    assert rows["finish_reason"].to_list()[:2] == ["unasked", "unasked"]
    assert rows["text"][2]

"""The openai engine against a service that fails in every way it can."""

from __future__ import annotations

import logging
import time

import pytest

from warmgap.engines.openai import OpenAIEngine
from warmgap.engines.protocol import Limits, Row
from warmgap.engines.spending import Ledger, Price
from warmgap.errors import UserError
from warmgap.schema.config import ApiEngineConfig, EngineConfig

KEY = "sk-loopback-chat-91b7c2"
MODEL = "gpt-4o-2024-08-06"
FREE = Price(0.0, 0.0)
PRICE = Price(2.5, 10.0)
LIMITS = Limits(0.8, 0.9, 20)


def rows(n, **settings):
    return [
        Row(f"r{i}", (("system", "Be brief."), ("user", f"Question {i}")), 2**40 + i, **settings)
        for i in range(n)
    ]


@pytest.fixture
def ask(account, tmp_path):
    """Answers of an engine with these settings, and its ledger."""

    def run(asked, price=FREE, cap=0.0, model=MODEL, limits=LIMITS, **settings):
        api = ApiEngineConfig(**{"timeout_s": 2.0, "concurrency": 3, "max_cost_usd": cap, **settings})
        ledger = Ledger(tmp_path / "spending.jsonl", cap, "job")
        engine = OpenAIEngine(model, EngineConfig(name="openai", api=api), price, ledger)
        return engine.answer(asked, limits), ledger

    return run


def test_a_request_holds_what_the_row_and_the_limits_say(ask, account):
    (answer,) = list(ask(rows(1, answer_schema='{"type": "object"}'))[0])
    (body,) = account.asked
    assert body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Question 0"}],
        "temperature": 0.8,
        "top_p": 0.9,
        "max_tokens": 20,
        "seed": 2**40 % 2**31,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
        },
    }
    assert (answer.key, answer.text, answer.finish_reason) == ("r0", "heard Question 0", "stop")
    # By the service's own count: words, and 4 a message.
    assert (answer.n_prompt_tokens, answer.n_tokens, answer.scores) == (4 + 8, 3, ())


def test_no_seed_is_sent_where_none_is_wanted(ask, account):
    list(ask(rows(1), send_seed=False)[0])
    assert "seed" not in account.asked[0]
    assert "response_format" not in account.asked[0]


FAULTS = {
    1: (429, {"Retry-After": "0"}),
    2: (500, {}),
    3: "half",
    4: "cut",
    5: "lost",
    6: "hang",
    7: "slow",
    8: (503, {}),
    9: (200, {}, b"<html>not the API</html>"),
    10: {"choices": []},
    11: {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": None}}]},
    12: (429, {"retry-after-ms": "20"}),
}


def test_every_row_is_answered_whatever_happens_on_the_way(ask, account):
    account.faults = dict(FAULTS)
    found = {a.key: a.text for a in ask(rows(12))[0]}
    assert found == {f"r{i}": f"heard Question {i}" for i in range(12)}
    assert len(account.asked) == 12 + len(FAULTS)
    assert account.most_at_once <= 3 + 2  # what hangs at the service is given up here


@pytest.mark.parametrize("fault", [(503, {}), "half", "hang", "lost"])
def test_attempts_of_a_row_are_bounded_by_count(ask, account, fault):
    account.always = fault
    with pytest.raises(UserError, match=r"did not answer a row in 3 attempts .*run the same command again"):
        list(ask(rows(5), attempts=3, concurrency=1, timeout_s=1.0)[0])
    assert len(account.asked) == 3


def test_attempts_of_a_row_are_bounded_by_time(ask, account):
    account.always = (429, {"Retry-After": "3600"})
    began = time.monotonic()
    with pytest.raises(UserError, match=r"in 1 attempts .*429: as told"):
        list(ask(rows(1), give_up_s=5.0)[0])
    assert time.monotonic() - began < 60  # not the hour that the service asked for


def test_a_wrong_model_name_ends_it_at_once_in_the_services_words(ask, account):
    with pytest.raises(
        UserError, match=r"refused to answer as model 'gpt-5o'. It said: 404: .*does not exist"
    ):
        list(ask(rows(9), model="gpt-5o", concurrency=1)[0])
    assert len(account.asked) == 1


def collected(found):
    """What came before it ended or failed, and the failure."""
    out = []
    try:
        for answer in found:
            out.append(answer)
    except UserError as error:
        return out, str(error)
    return out, ""


def test_what_is_in_flight_when_a_row_fails_is_kept(ask, account):
    account.faults = {2: (400, {})}
    answers, said = collected(ask(rows(9))[0])
    assert "400: as told" in said
    assert len(answers) == len(account.billed) == len(account.asked) - 1 < 8


def test_a_withheld_answer_is_an_answer_of_its_own_kind(ask, account):
    account.faults = {
        1: (400, {}, {"error": {"message": "filtered", "code": "content_filter"}}),
        2: {"choices": [{"finish_reason": "content_filter", "message": {"content": None}}]},
        3: {"choices": [{"finish_reason": "stop", "message": {"content": None, "refusal": "I can't."}}]},
        4: {"choices": [{"finish_reason": "length", "message": {"content": "cut \ud800"}}]},
    }
    found = [(a.text, a.finish_reason) for a in ask(rows(4), concurrency=1)[0]]
    assert found == [
        ("", "content_filter"),
        ("", "content_filter"),
        ("I can't.", "stop"),
        ("cut ?", "length"),
    ]


def test_requests_are_spread_over_the_minute(ask, account, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("warmgap.engines.openai_client.asyncio.sleep", sleep)
    list(ask(rows(5), requests_per_minute=60)[0])
    # The n-th begins n seconds after the first, less what has passed.
    assert len(slept) == 4
    assert all(n - 0.9 < seconds <= n for n, seconds in enumerate(sorted(slept), 1))


def test_what_is_spent_is_what_the_service_bills(ask, account):
    found, ledger = ask(rows(20), price=PRICE, cap=1.0)
    answers = list(found)
    expected = sum(a.n_prompt_tokens * 2.5 + a.n_tokens * 10 for a in answers) / 1e6
    assert expected == pytest.approx(account.usd(2.5, 10))
    found = ledger.account()
    assert found == {"requests": 20, "usd": pytest.approx(expected), "usd_lost_at_most": 0.0}
    assert ledger.spent_usd() == pytest.approx(expected)


@pytest.mark.parametrize("faults", [{}, FAULTS], ids=["calm", "faults"])
@pytest.mark.parametrize("cap", [0.0006, 0.001, 0.004])
def test_the_cap_is_never_passed(ask, account, faults, cap):
    account.faults = dict(faults)
    found, ledger = ask(rows(200), price=PRICE, cap=cap)
    answers, said = collected(found)
    assert f"max_cost_usd={cap:g} is reached: " in said
    assert account.usd(2.5, 10) <= ledger.spent_usd() <= cap
    if not faults:
        # One more could not be paid: two messages of 20 bytes, 32 for each turn, and 20 tokens.
        most = (19 + 10 + 32 * 3) * 2.5e-6 + 20 * 10e-6
        assert ledger.spent_usd() > cap - 1.05 * most
        assert len(answers) == len(account.billed) > 0


def test_two_processes_share_a_cap(account, tmp_path):
    first, second = (Ledger(tmp_path / "spending.jsonl", 1.0, name) for name in "ab")
    held = first.hold(0.6)
    assert second.hold(0.6) is None
    first.settle(held, 0.1)
    assert second.hold(0.6) is not None
    assert first.spent_usd() == pytest.approx(0.7)
    assert first.account() == {"requests": 1, "usd": 0.1, "usd_lost_at_most": 0.0}
    assert second.account() == {"requests": 1, "usd": 0, "usd_lost_at_most": 0.6}


def test_a_line_that_a_kill_cut_does_not_hide_the_next(tmp_path):
    path = tmp_path / "spending.jsonl"
    Ledger(path, 1.0, "a").hold(0.25)
    with path.open("ab") as file:
        file.write(b'{"id": "x", "jo')
    again = Ledger(path, 1.0, "a")
    assert again.hold(0.5) is not None
    assert Ledger(path, 1.0, "a").spent_usd() == 0.75
    assert Ledger(path, 1.0, "a").hold(0.5) is None


def test_a_server_that_tells_no_usage_is_counted_at_the_most(ask, account):
    account.always = {"usage": None}
    found, ledger = ask(rows(1), price=PRICE, cap=1.0)
    (answer,) = list(found)
    assert (answer.n_prompt_tokens, answer.n_tokens) == (0, 4)  # 16 bytes
    assert ledger.account()["usd"] == 0
    assert ledger.spent_usd() == pytest.approx((19 + 32 * 3) * 2.5e-6 + 20 * 10e-6)


@pytest.mark.parametrize("fault", [(401, {}, {"error": {"message": f"bad {KEY} at ADDRESS"}}), "lost", None])
def test_key_and_address_stand_in_no_message_and_no_log(ask, account, service, caplog, monkeypatch, fault):
    caplog.set_level(logging.INFO)
    host = service.address.split("/")[2]
    if isinstance(fault, tuple):
        fault[2]["error"]["message"] = f"bad {KEY} at {service.address} on {host}"
    account.always = fault
    model = MODEL if fault else "none"
    with pytest.raises(UserError) as refused:
        list(ask(rows(2), model=model, attempts=2)[0])
    for text in (str(refused.value), caplog.text, repr(refused.value.__context__)):
        assert KEY not in text
        assert host not in text
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0000")
    account.always = None
    with pytest.raises(UserError, match=r"401: Incorrect API key: Bearer \*\*\*") as refused:
        list(ask(rows(1))[0])


def test_a_missing_key_names_the_variable(ask, monkeypatch):
    with pytest.raises(UserError, match="MY_KEY is not set in the environment"):
        ask(rows(1), key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", KEY)
    assert len(list(ask(rows(1), key_variable="MY_KEY")[0])) == 1


def test_no_row_is_asked_before_the_one_before_is_kept(ask, account):
    found = ask(rows(4), concurrency=1)[0]
    for n, _ in enumerate(found, 1):
        time.sleep(0.02)
        assert len(account.asked) == n

"""How long a service is waited for, and what its errors become."""

from __future__ import annotations

import email.utils
import os
import signal
import sys
import threading
import time

import pytest

from warmgap.errors import Interrupted, UserError
from warmgap.remote import waiting
from warmgap.remote.waiting import delay_s
from warmgap.training.api import client
from warmgap.training.api.client import Service
from warmgap.training.interrupt import Interruption


@pytest.fixture
def service(account):
    return Service(0.001, Interruption())


@pytest.mark.parametrize(
    ("headers", "attempt", "least"),
    [
        ({"retry-after": "7"}, 1, 7.0),
        ({"retry-after": "0.5"}, 5, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 1, 0.25),
        ({"retry-after": "soon"}, 3, 4.0),
        ({"retry-after": "nan"}, 3, 4.0),
        ({"retry-after": "-3"}, 3, 4.0),
        ({}, 1, 1.0),
        ({}, 4, 8.0),
        ({}, 50, 60.0),
    ],
)
def test_the_service_says_how_long_else_it_doubles(headers, attempt, least):
    found = [delay_s(headers, attempt, 1.0) for _ in range(50)]
    assert least <= min(found) < max(found) <= 1.25 * least  # jitter


def test_a_date_to_come_back_at():
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    assert 3590 <= delay_s({"retry-after": date}, 1, 1.0) <= 1.25 * 3600
    assert delay_s({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 1, 1.0) == 0.0


def test_what_fails_for_a_while_is_asked_again(service, account):
    account.faults = {1: (429, {"Retry-After": "0"}), 2: (500, {}), 3: "lost", 4: (503, {}), 5: "unanswered"}
    assert service.ask("list", lambda: service.client.files.list()).data == []
    assert len(account.log) == 6


def test_what_fails_for_good_ends_after_ten_attempts(service, account, monkeypatch):
    monkeypatch.setattr(waiting, "LONGEST_DELAY_S", 0.01)
    account.faults = {n: (503, {}) for n in range(1, 100)}
    with pytest.raises(UserError, match=r"did not list in 10 attempts. It last said: 503: .*as told"):
        service.ask("list", lambda: service.client.files.list())
    assert len(account.log) == 10


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated(service, account, status):
    account.faults = {1: (status, {})}
    with pytest.raises(UserError, match=f"refused to list. It said: {status}: .*as told"):
        service.ask("list", lambda: service.client.files.list())
    assert len(account.log) == 1


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b"{oops"])
def test_an_answer_of_something_else_is_named(service, account, answer):
    account.faults = {1: answer, 2: answer}
    with pytest.raises(
        UserError, match=r"asked to list is no answer of the OpenAI API. Check OPENAI_BASE_URL"
    ):
        service.ask("list", lambda: service.client.files.list())
    with pytest.raises(UserError, match="asked to find is no answer"):
        service.ask("find", lambda: service.client.fine_tuning.jobs.retrieve("ftjob-1"))


def test_spent_credit_is_not_waited_for(service, account):
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    account.faults = {1: (429, {"Retry-After": "0"}, body)}
    with pytest.raises(UserError, match=r"refused to list\. It said: 429: You exceeded your current quota"):
        service.ask("list", lambda: service.client.files.list())


def test_what_is_not_there(service, account):
    assert service.ask_if_there("find", lambda: service.client.files.retrieve("file-9")) is None
    account.faults = {2: (403, {})}
    with pytest.raises(UserError, match="403"):
        service.ask_if_there("find", lambda: service.client.files.retrieve("file-9"))


def test_a_signal_ends_a_wait(account):
    interruption = Interruption()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR2)).start()
    service = Service(1.0, interruption)
    with pytest.raises(Interrupted, match="SIGUSR2 while it waited to see it end") as told, interruption:
        service.wait(3600, "see it end")
    assert told.value.signum == signal.SIGUSR2


def test_a_missing_key_is_named(account, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        Service(1.0, Interruption())


def test_a_key_with_an_end_of_line_is_no_other_key(account, monkeypatch, loopback_module):
    monkeypatch.setenv("OPENAI_API_KEY", f" {loopback_module.KEY}\n")
    service = Service(1.0, Interruption())
    assert service.ask("list", lambda: service.client.files.list()).data == []


def test_a_missing_package_is_named(account, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"pip install 'warmgap\[api\]'"):
        Service(1.0, Interruption())


def test_no_service_at_all(monkeypatch, account):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    service = Service(0.001, Interruption())
    with pytest.raises(UserError, match=r"APIConnectionError: .*Connection refused"):
        service.ask("list", lambda: service.client.files.list())

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from warmgap.engines import spending
from warmgap.engines.spending import Ledger
from warmgap.locks import LostLease

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
SPENDER = """
import sys, threading
from pathlib import Path
from warmgap.engines.spending import Ledger

ledger = Ledger(Path(sys.argv[1]), 1.0, sys.argv[2])


def spend():
    for _ in range(25):
        held = ledger.hold(0.0078125)
        if held:
            ledger.settle(held, 0.00390625)


threads = [threading.Thread(target=spend) for _ in range(8)]
print("ready", flush=True)
sys.stdin.readline()
for each in threads:
    each.start()
for each in threads:
    each.join()
print(ledger.spent_usd(), ledger.account()["requests"])
"""


def test_processes_of_eight_threads_each_count_alike_and_pass_no_cap(tmp_path):
    """600 times one asks for 1/128 USD and uses 1/256: binary fractions, whose sums are exact."""
    path = tmp_path / "spending.jsonl"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(path), name],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for each in running:
        assert each.stdout.readline() == "ready\n"
    for each in running:
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate(timeout=120)[0].split() for each in running]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    held, used = 0.0, 0.0
    for line in lines:
        if "held_usd" in line:
            held += line["held_usd"]
            assert used + held <= 1.0
        else:
            held -= 0.0078125
            used += line["usd"]
    assert held == 0
    n_requests = len(lines) // 2
    assert used == n_requests / 256
    assert 1.0 - 24 * 0.0078125 <= used <= 1.0  # as many were on their way at most
    assert sum(int(n) for _, n in said) == n_requests
    assert Ledger(path, 1.0, "d").spent_usd() == used == max(float(usd) for usd, _ in said)


KILLED = """
import os, signal, sys
from pathlib import Path
from warmgap.engines.spending import Ledger

ledger = Ledger(Path(sys.argv[1]), 1.0, "a")
ledger.hold(0.25)
with ledger._locked() as file:
    file.write(b'{"id": "torn", "jo')
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_while_it_writes_holds_up_nobody(tmp_path):
    path = tmp_path / "spending.jsonl"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=ENVIRONMENT, check=False)
    assert ended.returncode == -signal.SIGKILL
    ledger = Ledger(path, 1.0, "b")
    assert ledger.hold(0.5)
    assert ledger.spent_usd() == 0.75
    assert Ledger(path, 1.0, "c").spent_usd() == 0.75


def test_who_stood_still_while_it_had_the_ledger_writes_nothing(tmp_path, monkeypatch):
    path: Path = tmp_path / "spending.jsonl"
    ledger = Ledger(path, 1.0, "a")
    monkeypatch.setattr(spending, "BEAT_S", 0.0)
    assert ledger.hold(0.25)  # slow, but nobody else has come
    content = path.read_bytes()
    real = ledger._spent

    def spent() -> float:
        (tmp_path / "leases" / path.name / "000099").write_text("")
        return real()

    monkeypatch.setattr(ledger, "_spent", spent)
    with pytest.raises(LostLease, match="stood still"):
        ledger.hold(0.25)
    assert path.read_bytes() == content


def test_threads_wait_for_each_other(tmp_path):
    ledger = Ledger(tmp_path / "spending.jsonl", 1.0, "a")
    held = []
    threads = [threading.Thread(target=lambda: held.append(ledger.hold(0.125))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(name is not None for name in held) == 8

"""Trains behind a service in forks of one process that has imported everything once.

Usage: python forked_clients.py REQUEST.json, with model, config, rows, folder, address (holding ACCOUNT
and PID) and accounts. For each account it trains until that ends without being killed, at most 5 times.
Prints, as JSON, how the processes of each account ended: the exit code, or minus the signal.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

from warmgap.schema.config import ApiTrainingConfig, ModelConfig, TrainingConfig
from warmgap.training.api.run import train_api

for name in ("openai", "openai.resources.fine_tuning.jobs.jobs", "openai.resources.files"):
    importlib.import_module(name)


def forked(request, account: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        address = request["address"].replace("ACCOUNT", account).replace("PID", str(os.getpid()))
        os.environ["OPENAI_BASE_URL"] = address
        config = TrainingConfig(**request["config"] | {"api": ApiTrainingConfig(**request["config"]["api"])})
        folder = Path(request["folder"]) / account
        train_api(
            ModelConfig(**request["model"]),
            config,
            request["rows"],
            0,
            folder / "out",
            folder / "partial",
            lambda *a: None,
        )
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    ends: dict[str, list[int]] = {}
    for account in request["accounts"]:
        codes = ends[account] = []
        while len(codes) < 5 and (not codes or codes[-1] < 0):
            codes.append(forked(request, account))
    print(json.dumps(ends))


main()

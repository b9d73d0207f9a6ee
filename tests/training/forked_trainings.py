"""Trains in forks of one process that has imported torch once; each fork may kill itself at a chosen call.

Usage: python forked_trainings.py REQUEST.json, with model, config, rows, folder and stories. A story is
a list of kills, each (signal number, share of an undisturbed run's calls), and then a run to the end.
Prints, as JSON, for each story how each of its processes ended: the exit code, or minus the signal.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import torch

from warmgap.errors import Interrupted
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig
from warmgap.training import run


class Calls:
    """Counts calls of functions, Python's and C's, and sends this process a signal at one of them."""

    def __init__(self, number: int, at: int) -> None:
        self.n, self.number, self.at = 0, number, at

    def __call__(self, frame, event, argument) -> None:
        self.n += 1
        if self.n == self.at:
            os.kill(os.getpid(), self.number)

    def count_from_read_state(self) -> None:
        """Leaves out loading the model, where a kill has nothing to undo."""
        real = run.read_state

        def read_state(partial):
            sys.setprofile(self)
            return real(partial)

        run.read_state = read_state


def forked(request, name: str, number: int = 0, at: int = 0) -> int:
    """How a training in a fork ended; a training that ends writes its count of calls."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        folder = Path(request["folder"])
        config = TrainingConfig(**request["config"] | {"lora": LoraConfig(**request["config"]["lora"])})
        calls = Calls(number, at)
        calls.count_from_read_state()
        out, partial = folder / name / "out", folder / name / "partial"
        run.train(ModelConfig(**request["model"]), config, request["rows"], 0, out, partial, lambda *a: None)
        sys.setprofile(None)
        (folder / name / "calls").write_text(str(calls.n))
        code = 0
    except Interrupted as e:
        code = 128 + e.signum
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    torch.set_num_threads(1)
    request = json.loads(Path(sys.argv[1]).read_text())
    codes = [[forked(request, "whole")]]
    n = int((Path(request["folder"]) / "whole" / "calls").read_text())
    for i, kills in enumerate(request["stories"]):
        ends = [forked(request, str(i), number, max(1, int(share * n))) for number, share in kills]
        codes.append([*ends, forked(request, str(i))])
    print(json.dumps(codes))


main()

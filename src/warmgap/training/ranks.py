"""One process of a training on several devices: python -m warmgap.training.ranks REQUEST.json

`processes` starts it with its rank in the environment. It writes JSON lines to the standard output:
{"progress": [steps done, steps, text]} and {"done": ...} from rank 0; from any, {"refused": text} and
{"interrupted": [signal number, text]}. It ends when its standard input closes, so with its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmgap.errors import Interrupted, UserError
from warmgap.schema.config import ApiTrainingConfig, LoraConfig, ModelConfig, TrainingConfig


class Channel:
    """The standard output, kept for messages; what libraries print goes to the standard error."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def send(self, **message: Any) -> None:
        """One JSON line; without a reader the process ends."""
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(1)


def training_config(settings: dict[str, Any]) -> TrainingConfig:
    """The recipe from `dataclasses.asdict` of it."""
    nested = {"lora": LoraConfig(**settings["lora"]), "api": ApiTrainingConfig(**settings["api"])}
    return TrainingConfig(**settings | nested)


def main(path: Path) -> int:
    """The exit code: 0, 2 where the request was refused, 128 + n after the signal n."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = Channel()
    rank = int(os.environ["RANK"])
    request = json.loads(path.read_text())

    from .run import fit

    def progress(done: int, total: int, text: str) -> None:
        channel.send(progress=[done, total, text])

    try:
        fitted = fit(
            ModelConfig(**request["base"]),
            training_config(request["config"]),
            request["rows"],
            request["seed"],
            Path(request["partial"]),
            progress,
            request["kind"],
            request["beta"],
            rank,
        )
    except UserError as error:
        channel.send(refused=str(error))
        return 2
    except Interrupted as error:
        channel.send(interrupted=[error.signum, str(error)])
        return 128 + error.signum
    if rank == 0:
        channel.send(done=asdict(fitted))
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

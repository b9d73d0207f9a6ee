"""vLLM's process, seen from the one that starts it. One at a time: it takes most of a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmgap.engines.vllm_requests import Request
from warmgap.errors import UserError

_CHILD = Path(__file__).with_name("vllm_child.py")
_TAIL_LINES = 20
_GRACE_S = 60.0


class VllmProcess:
    """A started vLLM.

    Args:
        python: the interpreter that has vLLM; empty for this one.
        arguments: of `vllm.LLM`.
        environment: variables besides those of this process.

    Raises:
        UserError: no such interpreter, or vLLM is not there or refuses the arguments.
        RuntimeError: it ended otherwise, with its last lines.
    """

    def __init__(self, python: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        interpreter = shutil.which(os.path.expanduser(python) or sys.executable)
        if interpreter is None:
            raise UserError(f"engine.vllm.python is '{python}', no program. Give an interpreter's path.")
        self.started_with = (python, dict(arguments), dict(environment))
        self._adapters: dict[tuple[Path, float], int] = {}
        self._screen = tempfile.TemporaryFile("w+b")  # noqa: SIM115 closed by `close`
        self._process = subprocess.Popen(
            # Without the script's folder, whose modules are called as packages that vLLM imports.
            [interpreter, "-P", str(_CHILD), str(os.getpid())],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._screen,
            text=True,
            encoding="utf-8",
        )
        self._send(arguments)
        said = self._receive()
        if "refused" in said:
            self.close()
            raise UserError(f"vLLM does not start: {' '.join(said['refused'].split())}")

    @property
    def ended(self) -> bool:
        """Whether it answers no more."""
        return self._process.poll() is not None

    def adapter(self, folder: Path, scale: float) -> int:
        """The number under which this process knows an adapter at a scale, from 1."""
        return self._adapters.setdefault((folder, scale), len(self._adapters) + 1)

    def run(self, asked: Sequence[Request], adapter: tuple[str, int, str] | None) -> list[dict[str, Any]]:
        """Results in the order of the requests.

        Args:
            asked: answered together.
            adapter: name, number and folder of the adapter that answers, or None for the base.

        Raises:
            RuntimeError: the process has ended, with its last lines.
        """
        requests = [{"ids": list(r.ids), "sampling": dict(r.sampling), "n_scored": r.n_scored} for r in asked]
        try:
            self._send({"adapter": adapter, "requests": requests})
            results: list[dict[str, Any]] = self._receive()["results"]
        except BaseException:
            # Of a batch that a signal broke off, the results must not answer the next one.
            self._process.kill()
            self._process.wait()
            raise
        return results

    def close(self) -> None:
        """End the process and wait for it, so that its GPU is free."""
        with self._process as process:
            assert process.stdin is not None
            try:
                process.stdin.close()
                process.wait(_GRACE_S)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                process.kill()
        self._screen.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._ended()
        said: dict[str, Any] = json.loads(line)
        return said

    def _ended(self) -> RuntimeError:
        self._process.kill()
        code = self._process.wait()
        self._screen.seek(0)
        words = self._screen.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return RuntimeError("\n".join([f"vLLM's process ended with {code}. Its last lines:", *words]))


_held: list[VllmProcess] = []


def serving(python: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> VllmProcess:
    """The process started so: the one that runs, where it was, else a new one in its place.

    Raises:
        UserError: as `VllmProcess`.
        RuntimeError: likewise.
    """
    started_with = (python, dict(arguments), dict(environment))
    if not _held or _held[0].ended or _held[0].started_with != started_with:
        release()
        _held.append(VllmProcess(python, arguments, environment))
    return _held[0]


def release() -> None:
    """End the process that runs, if any: another engine needs the GPU."""
    while _held:
        _held.pop().close()

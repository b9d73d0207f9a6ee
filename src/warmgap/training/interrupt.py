"""Being told to end: SIGTERM and SIGUSR2 become a wish that training grants between two passes."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from warmgap.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""What cluster managers send before they kill: at the end of the time limit, or to preempt."""


class Interruption:
    """A context in which `SIGNALS` are noted instead of ending the process.

    Outside the main thread, where Python allows no handlers, it notes nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.getsignal(s) for s in SIGNALS}
        self.arm()
        return self

    def arm(self) -> None:
        """Puts the handlers in place, again where other code has put its own."""
        for number in self._before:
            signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None:
            self.obey("before its results were written")

    def agree(self, device: Any) -> None:
        """Tells every process of the group of a signal that any of them has noted; all must call it."""
        import torch

        number = torch.tensor(self.signal or 0, device=device)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        self.signal = signal.Signals(int(number)) if number else None

    def obey(self, where: str) -> None:
        """Ends the training if a signal has come.

        Raises:
            Interrupted: one has.
        """
        if self.signal is not None:
            raise Interrupted(self.signal, f"{self.signal.name} {where}; what is done is kept")

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)

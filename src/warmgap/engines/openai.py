"""The openai engine: rows answered by a server, many at once, each yielded as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from warmgap.engines.openai_client import Chat
from warmgap.engines.protocol import Answer, Limits, Row
from warmgap.engines.spending import Ledger, Price
from warmgap.remote.access import access
from warmgap.schema.config import EngineConfig

from .open import CAPABILITIES


class OpenAIEngine:
    """Answers rows with one model of one server.

    Args:
        model: the server's name of it.
        engine: patience, and the names of the variables that hold key and address.
        price: of its tokens.
        ledger: what may still be spent; kept by the caller, who accounts for it.
    """

    name = "openai"
    capabilities = CAPABILITIES["openai"]

    def __init__(self, model: str, engine: EngineConfig, price: Price, ledger: Ledger) -> None:
        self._model, self._settings = model, engine.api
        self._price, self._ledger = price, ledger
        self._access = access(engine.api.key_variable, engine.api.url_variable)

    def answer(self, rows: Sequence[Row], limits: Limits) -> Iterator[Answer]:
        """One answer per row, in the order in which they come.

        After a failure no further row is asked; those in flight, which are paid for, are still yielded.

        Raises:
            UserError: the server refuses, does not answer, or the cap would be passed.
        """
        with asyncio.Runner() as runner:
            asking = _Asking(rows, limits)
            runner.run(asking.begin(self._chat, self._settings.concurrency))
            while (found := runner.run(asking.next())) is not None:
                yield found
            runner.run(asking.end())

    def _chat(self) -> Chat:
        return Chat(self._model, self._access, self._settings, self._price, self._ledger)


class _Asking:
    """Rows being asked; lives in one event loop."""

    def __init__(self, rows: Sequence[Row], limits: Limits) -> None:
        self._rows, self._limits = iter(rows), limits
        self._failure: BaseException | None = None
        self._handed = asyncio.Event()

    async def begin(self, chat: Callable[[], Chat], concurrency: int) -> None:
        """Make the client in this loop and begin with the first rows."""
        self._chat: Chat = chat()
        self._done: asyncio.Queue[tuple[Answer, asyncio.Event] | None] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        self._working = len(self._tasks)

    async def next(self) -> Answer | None:
        """The next answer, or None when all rows are through or one has failed.

        Who asks for it has kept the one before.
        """
        self._handed.set()
        while self._working or not self._done.empty():
            found = await self._done.get()
            if found is not None:
                answer, self._handed = found
                return answer
        return None

    async def end(self) -> None:
        """Close the connections and raise what failed."""
        await self._chat.close()
        if self._failure is not None:
            raise self._failure

    async def _work(self) -> None:
        try:
            for row in self._rows:
                if self._chat.stopped:
                    break
                answer = await self._chat.answer(row, self._limits)
                if answer is not None:
                    # No further request before this answer is kept: a kill then loses none that is here.
                    kept = asyncio.Event()
                    self._done.put_nowait((answer, kept))
                    await kept.wait()
        except Exception as failure:
            self._failure = self._failure or failure
            self._chat.stopped = True
        finally:
            self._working -= 1
            self._done.put_nowait(None)

"""Requests to an OpenAI-compatible service, repeated until they are answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

from warmgap.errors import UserError
from warmgap.remote.access import access, package
from warmgap.remote.waiting import delay_s, is_refusal
from warmgap.training.interrupt import Interruption

_log = logging.getLogger(__name__)

T = TypeVar("T")
ATTEMPTS = 10
TIMEOUT_S = 60.0
LOOKS = 3
"""How often something is looked up before it is asked for again: a list may lag behind a request."""
_SLICE_S = 0.2


class Service:
    """A service and how patiently it is asked.

    Key and address come from the environment (OPENAI_API_KEY, OPENAI_BASE_URL) and go nowhere else. The
    package's own repetition is off, because it would repeat a request that makes something.

    Args:
        poll_s: the first wait after a failure is this, at most a second; it doubles up to a minute.
        interruption: a signal noted here ends every wait.

    Raises:
        UserError: the package or the key is missing.
    """

    def __init__(self, poll_s: float, interruption: Interruption) -> None:
        self.openai = package("training behind an API")
        self._access = access("OPENAI_API_KEY", "OPENAI_BASE_URL")
        self.client: Any = self.openai.OpenAI(
            api_key=self._access.key, base_url=self._access.url, max_retries=0, timeout=TIMEOUT_S
        )
        self.first_delay_s = min(1.0, poll_s)
        self.interruption = interruption

    def ask(self, what: str, request: Callable[[], T]) -> T:
        """The answer to a request that changes nothing.

        Raises:
            UserError: the service refuses it, or does not answer in 10 attempts.
            Interrupted: a signal came.
        """
        for attempt in count(1):
            try:
                return self._answer(what, request)
            except self.openai.APIError as error:
                self._pause(what, error, attempt)
        raise AssertionError

    def ask_if_there(self, what: str, request: Callable[[], T]) -> T | None:
        """As `ask`; None where the service has no such thing."""
        try:
            return self.ask(what, request)
        except _Absent:
            return None

    def items(self, what: str, page: Any) -> Iterator[Any]:
        """All items of a list, from its first page on."""
        while True:
            yield from page.data
            if not page.data or not page.has_next_page():
                return
            page = self.ask(what, page.get_next_page)

    def make_once(
        self, what: str, find: Callable[[], T | None], make: Callable[[], T], asked: bool = False
    ) -> T:
        """What `find` finds, else what `make` makes.

        A failed `make` may have worked all the same; once one may have, looks precede each later attempt.

        Args:
            what: the request, for messages.
            find: looks at what the service has.
            make: asks for it; not harmless to repeat.
            asked: whether it may have been asked for before, in another process.

        Raises:
            UserError, Interrupted: as `ask`.
        """
        uncertain, looks = asked, LOOKS if asked else 1
        for attempt in count(1):
            for look in range(looks):
                found = find()
                if found is not None:
                    return found
                if look + 1 < looks:
                    self.wait(self.first_delay_s * 2**look, what)
            try:
                return self._answer(what, make)
            except self.openai.APIError as error:
                self._pause(what, error, attempt)
                # A request that was turned away has made nothing; any other may have, and so may one before.
                status = getattr(error, "status_code", None)
                uncertain = uncertain or status is None or status >= 500 or status == 408
                looks = LOOKS if uncertain else 0
        raise AssertionError

    def wait(self, seconds: float, where: str) -> None:
        """Sleeps, in slices, since Python goes on sleeping after a signal.

        Raises:
            Interrupted: a signal came.
        """
        end = time.monotonic() + seconds
        self.interruption.obey(f"while it waited to {where}")
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_SLICE_S, left))
            self.interruption.obey(f"while it waited to {where}")

    def _answer(self, what: str, request: Callable[[], T]) -> T:
        """What the package made of the answer, which it does not check."""
        try:
            answer = request()
        except (AttributeError, ValueError):
            answer = None
        empty = getattr(answer, "id", "") is None or getattr(answer, "data", ()) is None
        if answer is None or isinstance(answer, str | list) or empty:
            raise UserError(
                f"what the service answered when asked to {what} is no answer of the OpenAI API. Check "
                "OPENAI_BASE_URL in the environment; it usually ends in /v1."
            )
        return answer

    def _pause(self, what: str, error: Any, attempt: int) -> None:
        status = getattr(error, "status_code", None)
        said = self._access.said(error)
        if is_refusal(status, error.code):
            kind = _Absent if status == 404 else UserError
            raise kind(f"the service refused to {what}. It said: {said}") from None
        if attempt >= ATTEMPTS:
            raise UserError(
                f"the service did not {what} in {ATTEMPTS} attempts. It last said: {said}. What is done is "
                "kept: run the same command again later."
            ) from None
        headers = error.response.headers if status is not None else {}
        seconds = delay_s(headers, attempt, self.first_delay_s)
        _log.warning("could not %s (%s); trying again in %.1f s", what, said, seconds)
        self.wait(seconds, what)

    def hidden(self, text: str) -> str:
        """A text of the service on one line, without key and address."""
        return self._access.hidden(text)


class _Absent(UserError):
    pass

"""Chat completions asked of a server until each is answered, within bounds of attempts, time and money."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from warmgap.engines.protocol import Answer, Limits, Row
from warmgap.engines.spending import Ledger, Price, most_prompt_tokens
from warmgap.errors import UserError
from warmgap.remote.access import Access, package
from warmgap.remote.waiting import delay_s, is_refusal
from warmgap.schema.config import ApiEngineConfig

_log = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
SEEDS = 2**31
"""Services differ in how large a seed they take; this many they all do."""
_WITHHELD = ("content_filter", "content_policy_violation")
_MAY_BE_BILLED = (502, 504)
"""Errors of a gateway, behind which the request may have been answered."""


class Broken(Exception):
    """An answer that is none: it was cut, or has no text."""


@dataclass
class Pace:
    """When the next request may begin, for all rows of one process."""

    per_minute: int
    not_before: float = 0.0

    async def wait(self) -> None:
        """Sleep until it is this request's turn."""
        now = time.monotonic()
        at = max(now, self.not_before)
        if self.per_minute:
            self.not_before = at + 60.0 / self.per_minute
        if at > now:
            await asyncio.sleep(at - now)

    def pause(self, seconds: float) -> None:
        """No request for so long: the server said that there were too many."""
        self.not_before = max(self.not_before, time.monotonic() + seconds)


@dataclass
class Chat:
    """One model of one server. Holds no state of a row, so that rows can be asked at once.

    Args:
        model: the server's name of it.
        access: key and address.
        settings: patience.
        price: of its tokens.
        ledger: what may still be spent.
    """

    model: str
    access: Access
    settings: ApiEngineConfig
    price: Price
    ledger: Ledger
    stopped: bool = False
    """Set once a row has failed for good: what is in flight may end, nothing is asked again."""
    _pace: Pace = field(init=False)
    _freed: asyncio.Condition = field(init=False)
    _in_flight: int = 0

    def __post_init__(self) -> None:
        self._openai = package("engine=openai")
        self._client: Any = self._openai.AsyncOpenAI(
            api_key=self.access.key,
            base_url=self.access.url,
            max_retries=0,
            timeout=self.settings.timeout_s,
        )
        # Imported when first looked at, which is not to count as waiting for the service.
        self._completions: Any = self._client.chat.completions.with_raw_response
        self._pace = Pace(self.settings.requests_per_minute)
        self._freed = asyncio.Condition()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def answer(self, row: Row, limits: Limits) -> Answer | None:
        """The server's answer; None if another row failed for good before this one could be asked again.

        Raises:
            UserError: the server refuses, does not answer in time, or the cap would be passed.
        """
        begun = time.monotonic()
        for attempt in count(1):
            held = await self._hold(row, limits)
            refused = False
            try:
                await self._pace.wait()
                if self.stopped:
                    self._settle(held, 0, 0)
                    return None
                async with asyncio.timeout(self.settings.timeout_s):
                    content = await self._send(row, limits)
                answer, reported = read_answer(row.key, content)
                if reported:
                    self._settle(held, answer.n_prompt_tokens, answer.n_tokens)
                return answer
            except self._openai.APIStatusError as error:
                if error.status_code not in _MAY_BE_BILLED:
                    self._settle(held, 0, 0)
                if error.code in _WITHHELD:
                    return Answer(row.key, "", "content_filter", 0, 0, ())
                said = self.access.said(error)
                refused = is_refusal(error.status_code, error.code)
                seconds = delay_s(error.response.headers, attempt, FIRST_DELAY_S)
                if error.status_code == 429:
                    self._pace.pause(seconds)
            except self._openai.APIConnectionError as error:
                said, seconds = self.access.said(error), delay_s({}, attempt, FIRST_DELAY_S)
            except TimeoutError:
                said = f"no whole answer in {self.settings.timeout_s:g} s"
                seconds = delay_s({}, attempt, FIRST_DELAY_S)
            except Broken as error:
                said, seconds = str(error), delay_s({}, attempt, FIRST_DELAY_S)
            finally:
                await self._free()
            if refused:  # raised here, so that the service's own words are not the error's context
                raise UserError(f"the service refused to answer as model '{self.model}'. It said: {said}")
            self._give_up(attempt, time.monotonic() - begun + seconds, said)
            if self.stopped:
                return None
            _log.warning("no answer (%s); trying again in %.1f s", said, seconds)
            await asyncio.sleep(seconds)
        raise AssertionError

    async def _send(self, row: Row, limits: Limits) -> bytes:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": content} for role, content in row.messages],
            "temperature": limits.temperature,
            "top_p": limits.top_p,
            "max_tokens": limits.max_new_tokens,
        }
        if self.settings.send_seed:
            body["seed"] = row.seed % SEEDS
        if row.answer_schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": json.loads(row.answer_schema)},
            }
        raw = await self._completions.create(**body)
        content: bytes = raw.http_response.content
        return content

    async def _hold(self, row: Row, limits: Limits) -> str | None:
        """Hold the highest price of a request; waits for those in flight where it would pass the cap."""
        if self.price.free:
            return None
        most = self.price.usd(most_prompt_tokens(row), limits.max_new_tokens)
        async with self._freed:
            while True:
                held = self.ledger.hold(most)
                if held is not None:
                    self._in_flight += 1
                    return held
                if not self._in_flight:
                    raise UserError(
                        f"engine.api.max_cost_usd={self.ledger.cap_usd:g} is reached: "
                        f"{self.ledger.spent_usd():.4f} USD are spent in this output folder, and the next "
                        f"request could cost {most:.4f} USD. What is answered is kept. Raise the cap and run "
                        "the same command again."
                    )
                await self._freed.wait()

    async def _free(self) -> None:
        if not self.price.free:
            async with self._freed:
                self._in_flight -= 1
                self._freed.notify_all()

    def _settle(self, held: str | None, n_prompt_tokens: int, n_tokens: int) -> None:
        if held is not None:
            usd = self.price.usd(n_prompt_tokens, n_tokens)
            self.ledger.settle(held, usd, prompt_tokens=n_prompt_tokens, completion_tokens=n_tokens)

    def _give_up(self, attempt: int, seconds: float, said: str) -> None:
        settings = self.settings
        if attempt >= settings.attempts or seconds > settings.give_up_s:
            raise UserError(
                f"model '{self.model}' did not answer a row in {attempt} attempts (engine.api.attempts="
                f"{settings.attempts}, give_up_s={settings.give_up_s:g}). The service last said: {said}. "
                "What is answered is kept: run the same command again later."
            )


def read_answer(key: str, content: bytes) -> tuple[Answer, bool]:
    """The answer in a body, and whether it tells the tokens used; if not, they are estimated from bytes.

    Raises:
        Broken: it is cut, or holds no text of an assistant.
    """
    try:
        body = json.loads(content)
    except ValueError:
        raise Broken(f"an answer of {len(content)} bytes that is not whole JSON") from None
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text = message.get("content")
        text = message.get("refusal") if text is None else text
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Broken("an answer without a choice") from None
    reason = choice.get("finish_reason")
    if text is None and reason == "content_filter":
        text = ""
    if not isinstance(text, str):
        raise Broken("an answer without a text")
    text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
    finish = reason if reason in ("length", "content_filter") else "stop"
    used = _used(body.get("usage"))
    n_prompt, n_tokens = used or (0, -(-len(text.encode()) // 4))
    return Answer(key, text.strip(), finish, n_tokens, n_prompt, ()), used is not None


def _used(usage: Any) -> tuple[int, int] | None:
    counted = map(usage.get, ("prompt_tokens", "completion_tokens")) if isinstance(usage, dict) else ()
    whole = [n for n in counted if isinstance(n, int) and n >= 0]
    return (whole[0], whole[1]) if len(whole) == 2 else None

"""How long to wait before a request is made again, and which failures are worth it."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Mapping

LONGEST_DELAY_S = 60.0
REPEATABLE = (408, 409, 429)
"""Statuses below 500 after which the same request may succeed."""


def is_refusal(status: int | None, code: str | None) -> bool:
    """Whether the service will answer the same request in the same way; None stands for no answer."""
    if status is None:
        return False
    return not (status in REPEATABLE or status >= 500) or code == "insufficient_quota"


def delay_s(headers: Mapping[str, str], attempt: int, first_delay_s: float) -> float:
    """How long to wait before the next attempt.

    As long as the service asks (retry-after-ms, or Retry-After in seconds or as a date), else
    first_delay_s * 2^(attempt - 1), at most a minute; in both cases up to a quarter longer, by chance.
    """
    jitter = 1 + random.random() / 4
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value) * unit_s * jitter
        date = email.utils.parsedate_tz(value)
        if date is not None:
            return max(0.0, email.utils.mktime_tz(date) - time.time()) * jitter
    return min(LONGEST_DELAY_S, first_delay_s * 2.0 ** (attempt - 1)) * jitter

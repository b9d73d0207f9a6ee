"""Errors that a user can cause and mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user asked for cannot be done; exits with 2 and without a traceback.

    The message says what is wrong, what was found, what is allowed, and which command helps.
    """


class Interrupted(Exception):
    """The process was told to end by a signal; what is done is kept and the same command goes on.

    A process that ends because of it exits with 128 + `signum`, as shells report a signal.
    """

    def __init__(self, signum: int, text: str) -> None:
        super().__init__(text)
        self.signum = int(signum)


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word closest to `word`, or None when nothing is close."""
    found = difflib.get_close_matches(word, sorted(allowed), n=1, cutoff=0.5)
    return found[0] if found else None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A sentence that names the nearest allowed word and all of them."""
    options = sorted(allowed)
    near = nearest(word, options)
    hint = f" Did you mean '{near}'?" if near else ""
    return f"{hint} Allowed: {', '.join(options) if options else 'nothing'}."

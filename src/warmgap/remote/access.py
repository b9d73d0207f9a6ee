"""Key and address of a service, from the environment alone, and words of it that hold neither."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from warmgap.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Access:
    """A key and an address. Neither is shown by `repr`, nor by a text that `hidden` has seen."""

    key: str
    url: str

    def __repr__(self) -> str:
        return "Access(***)"

    def hidden(self, text: str) -> str:
        """A text of the service on one line, without key and address."""
        parts = urlsplit(self.url)
        secrets = (self.key, self.url, parts.netloc, f"{parts.hostname}:{parts.port}", parts.hostname or "")
        for secret in secrets:
            if secret:
                text = text.replace(secret, "***")
        return " ".join(text.split())[:600]

    def said(self, error: Any) -> str:
        """What a service, or the lack of one, said: the status or kind of failure, and a message."""
        status = getattr(error, "status_code", None)
        body = getattr(error, "body", None)
        message = (body.get("message") if isinstance(body, dict) else None) or (
            getattr(error, "message", "") if status else error.__cause__
        )
        return self.hidden(f"{status or type(error).__name__}: {message or error}")


def access(key_variable: str, url_variable: str) -> Access:
    """What the two named variables of the environment hold; without an address OpenAI's own.

    Raises:
        UserError: the key is not set, or the address is none.
    """
    key = os.environ.get(key_variable, "").strip()
    if not key:
        raise UserError(
            f"{key_variable} is not set in the environment. Set it there (a server without keys takes any "
            "word); it is never written to a file."
        )
    url = os.environ.get(url_variable, "").strip() or OPENAI_URL
    if not _is_address(url):
        raise UserError(
            f"{url_variable} in the environment holds no address. It must begin with http:// or https:// "
            "and usually ends in /v1."
        )
    return Access(key, url)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def package(what: str) -> Any:
    """The package `openai`.

    Raises:
        UserError: it, or one that it needs, is not installed.
    """
    try:
        return importlib.import_module("openai")
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} needs the package '{error.name}', which is not installed. "
            "Run: pip install 'warmgap[api]'"
        ) from None

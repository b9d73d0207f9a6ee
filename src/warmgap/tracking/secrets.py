"""What must not leave this machine: variables that hold keys, passwords in addresses, folders of paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.I)
_USER = re.compile(r"(?<=//)[^/@\s]+@")
_FOLDERS = re.compile(r"(?<![\w/.~>\]])/(?:[^/\s\"',]+/)+")
_MIN_CHARS = 6
"""A shorter value would blacken words that only look like it."""
_KEPT = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH|VIRTUAL_ENV|NETRC|WANDB_\w+|XDG_\w+|SSL_\w+|"
    r"REQUESTS_CA_BUNDLE|\w+_NUM_THREADS|POLARS_MAX_THREADS|(https?|all|no)_proxy|SYSTEMROOT|WARMGAP_TEST_\w+",
    re.I,
)
HIDDEN = "<hidden>"
FOLDER = "<folder>/"
"""Stands for the folders of an absolute path, which often name a user."""


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of environment variables whose name says that they are secret, the longest first."""
    found = {v for name, v in environ.items() if _SECRET.search(name) and len(v) >= _MIN_CHARS}
    return tuple(sorted(found, key=lambda v: (-len(v), v)))


def forget_others(environ: MutableMapping[str, str]) -> None:
    """Keep only variables that Python, the network or W&B need; keys of other services are none of them."""
    for name in [n for n in environ if not _KEPT.fullmatch(n)]:
        del environ[name]


def clean(value: Any, secrets: Iterable[str]) -> Any:
    """A nested value with secrets, users of addresses and folders hidden in every text, names included."""
    secrets = tuple(secrets)
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return _FOLDERS.sub(FOLDER, _USER.sub(f"{HIDDEN}@", value))
    if isinstance(value, Mapping):
        return {clean(str(k), secrets): clean(v, secrets) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v, secrets) for v in value]
    return value

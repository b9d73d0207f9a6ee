"""Hydra's and OmegaConf's errors in one line that names key, file and nearest match."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

from hydra.errors import HydraException
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from warmgap.errors import did_you_mean


def explain(error: HydraException | OmegaConfBaseException) -> str:
    """What is wrong in a composed configuration, in plain words."""
    # Hydra keeps what OmegaConf found as the context, and only its own text names the file.
    cause = next((e for e in (error, error.__cause__, error.__context__) if _is_found(e)), None)
    if not isinstance(cause, OmegaConfBaseException):
        return " ".join(str(error).split())
    named = re.match(r"In '([^']+)'", str(error))
    return (f"{named[1]}.yaml: " if named else "") + _found(cause)


def _is_found(error: BaseException | None) -> bool:
    return isinstance(error, OmegaConfBaseException)


def _found(cause: OmegaConfBaseException) -> str:
    record = cause.object_type
    first = str(cause).splitlines()[0]
    if isinstance(cause, ConfigKeyError) and isinstance(record, type) and is_dataclass(record):
        allowed = {f.name for f in fields(record)}
        return f"there is no key '{cause.full_key}'.{did_you_mean(str(cause.key), allowed)}"
    return f"{cause.full_key}: {first}" if cause.full_key else first

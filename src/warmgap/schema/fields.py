"""Which stages a setting can change.

Every schema field is declared with `setting(default, *stages)`. The stages named are those whose
own content the field can alter; they alone take it into their key. A field that alters nothing
that is stored (device, paths, progress) names none. `tests/schema` fails for an unmarked field.
"""

from __future__ import annotations

import copy
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any

STAGES = ("corpus", "rewrite", "train", "measure", "respond", "judge", "analyse", "report")
WITHOUT_JOBS = ("plan", "power", "freeze", "reanalyse", "status", "cancel", "snakefile")
"""What `stage` may be besides: commands that run no job."""
RETRY = "retry"
"""The command that makes what failed, and what waited for that."""


def setting(default: Any, *stages: str) -> Any:
    """A dataclass field with a default and the stages whose key it enters.

    Raises:
        ValueError: a stage that does not exist.
    """
    unknown = set(stages) - set(STAGES)
    if unknown:
        raise ValueError(f"unknown stages {sorted(unknown)}; allowed: {STAGES}")
    metadata = {"affects": stages}
    if isinstance(default, list | dict | set) or is_dataclass(default):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def stage_config(config: Any, stage: str) -> dict[str, Any]:
    """The part of a config object that enters `stage`'s key, as plain nested values.

    Groups without any field for the stage are left out, so adding an unrelated group changes no key.
    """
    out: dict[str, Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value) and not isinstance(value, type):
            inner = stage_config(value, stage)
            if inner:
                out[f.name] = inner
        elif stage in f.metadata["affects"]:
            out[f.name] = plain(value)
    return out


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON-ready values."""
    if value is None or isinstance(value, str | int | float):
        return value  # first, since most values are texts
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def unmarked(record: type) -> list[str]:
    """Names of fields, nested groups included, that do not say which stages they affect."""
    out: list[str] = []
    for f in fields(record):
        nested = f.default_factory() if f.default_factory is not MISSING else None
        if is_dataclass(nested) and not isinstance(nested, type):
            out += [f"{f.name}.{name}" for name in unmarked(type(nested))]
        elif "affects" not in f.metadata:
            out.append(f.name)
    return out

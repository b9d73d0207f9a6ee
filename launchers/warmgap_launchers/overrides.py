"""Check overrides before Hydra composes anything.

Hydra lets a custom sweeper receive misspelt keys and options unchecked, and its own errors name no
neighbour; this check refuses them with what was found, what is allowed and the nearest match.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import OverrideParseException

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import Config

ROW_AXES = ("task", "framing", "belief", "judge")
"""Groups whose options are rows of one run, never another load of a model."""

ARM_AXES = ("model", "method", "seed", "corpus", "rewriting", "training", "design", "sampling", "engine")
"""What can tell arms apart: these groups, and every key in them."""


@dataclass(frozen=True)
class Axis:
    """One swept key and its values, as override texts."""

    key: str
    values: tuple[str, ...]


class Choices:
    """Groups and their options, from the configuration folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [f for f in folders if f.is_dir()]

    def groups(self) -> list[str]:
        """Names of all groups, such as method or hydra/launcher."""
        found = {
            str(path.parent.relative_to(folder))
            for folder in self._folders
            for path in folder.rglob("*.yaml")
            if path.parent != folder
        }
        return sorted(found)

    def options(self, group: str) -> list[str]:
        """Names of a group's options."""
        return sorted({p.stem for folder in self._folders for p in (folder / group).glob("*.yaml")})


def opened(argument: str) -> str:
    """An argument as Hydra wants it: setting a key of an open mapping, such as `doses`, needs `++` there.

    Such a mapping has keys that the user chooses (names of methods, of tasks), so none of them is misspelt.
    Anything else, options of the command line among it, stays as it is.
    """
    key, equals, _ = argument.partition("=")
    path = key.split(".")
    is_open = equals and any(".".join(path[:i]) in _open_mappings() for i in range(1, len(path) + 1))
    return f"++{argument}" if is_open else argument


@functools.cache
def _open_mappings(record: Any = Config, prefix: str = "") -> frozenset[str]:
    """Paths of the keys that hold a mapping whose keys the user chooses."""
    found: set[str] = set()
    for f in fields(record):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if isinstance(default, dict):
            found.add(f"{prefix}{f.name}")
        elif is_dataclass(default) and not isinstance(default, type):
            found |= _open_mappings(type(default), f"{prefix}{f.name}.")
    return frozenset(found)


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's own grammar.

    Raises:
        UserError: an override that does not parse.
    """
    try:
        parsed: list[Override] = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as e:
        raise UserError(
            f"cannot read the override {e.override!r}. Write key=value, key=value1,value2 or "
            "experiment=NAME; quote values that hold spaces or commas. `warmgap --help` lists the groups."
        ) from None
    return parsed


def check(overrides: Sequence[str], choices: Choices) -> list[Override]:
    """Parsed overrides, each key and each group option known to exist.

    Raises:
        UserError: a misspelt key or option, with the nearest one that exists.
    """
    parsed = parse(overrides)
    for override in parsed:
        _check_one(override, choices)
    return parsed


def axis(override: Override, choices: Choices) -> Axis | None:
    """The axis an override sweeps, or None for a single value.

    Raises:
        UserError: an open interval, or a glob that matches nothing.
    """
    if not override.is_sweep_override():
        return None
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: an interval has no list of values. Use commas, choice() or range()."
        )
    values = tuple(_values(override, choices))
    if not values:
        raise UserError(f"{override.input_line}: the pattern matches no option.")
    return Axis(override.key_or_group, values)


def sweep_axes(swept: dict[str, Any], choices: Choices) -> list[Axis]:
    """Axes of an experiment's `sweep:` section, checked like the command line.

    Raises:
        UserError: a misspelt key or option, or a value that is not a list.
    """
    out = []
    for key, values in swept.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"sweep.{key} must be a list of values, found {values!r}.")
        texts = tuple(str(v) for v in values)
        check([f"{key}={v}" for v in texts], choices)
        out.append(Axis(key, texts))
    return out


def sweepable(key: str) -> None:
    """Refuse a sweep over what holds for all arms and cells of a sweep.

    Raises:
        UserError: the key belongs to no arm and is no row axis.
    """
    head = key.split(".")[0]
    if key in ROW_AXES or head in ARM_AXES:
        return
    if head in ROW_AXES:
        raise UserError(
            f"{key} cannot be swept: the options of {head} are rows. Write one file per option in "
            f"conf/{head} and sweep {head}=A,B."
        )
    raise UserError(
        f"{key} cannot be swept: it holds for a whole sweep. Run once per value, each with a name=NAME. "
        f"Swept can be: {', '.join((*ARM_AXES, *ROW_AXES))}."
    )


def _values(override: Override, choices: Choices) -> Iterable[str]:
    value = override.value()
    if isinstance(value, Glob):
        return value.filter(choices.options(override.key_or_group))
    return override.sweep_string_iterator()


def _check_one(override: Override, choices: Choices) -> None:
    key = override.key_or_group
    groups = choices.groups()
    if key in groups:
        options = choices.options(key)
        swept = axis(override, choices)
        names = swept.values if swept else () if override.is_delete() else (str(override.value()),)
        for name in names:
            if name not in options:
                if any(c in name for c in "*?"):
                    raise UserError(f"{key}={name}: a pattern is written {key}=glob({name}).")
                near = did_you_mean(name, options)
                raise UserError(f"{key}={name}: there is no option '{name}' in group '{key}'.{near}")
        return
    if key.startswith("hydra.") or "/" in key:
        if "/" in key:
            raise UserError(f"there is no group '{key}'.{did_you_mean(key, groups)}")
        return
    _check_key(key, groups)


def _check_key(key: str, groups: Sequence[str]) -> None:
    record: Any = Config
    seen: list[str] = []
    for part in key.split("."):
        if not is_dataclass(record):
            raise UserError(f"'{'.'.join(seen)}' has no keys below it, but '{key}' was given.")
        types = {f.name: f for f in fields(record)}
        if part not in types:
            where = f"'{'.'.join(seen)}'" if seen else "the configuration"
            allowed = set(types) | (set(groups) if not seen else set())
            raise UserError(f"there is no key '{part}' in {where}.{did_you_mean(part, allowed)}")
        seen.append(part)
        f = types[part]
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if isinstance(default, dict):
            return
        record = type(default) if is_dataclass(default) else None

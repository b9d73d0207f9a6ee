"""Options of several axes composed together, so that a sweep needs as many compositions as its longest axis.

An option whose yaml sets its own group and nothing else gives the same settings whatever else is
chosen. One composition then shows one option of every axis, and an arm is put together from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

Composed = tuple[DictConfig, Mapping[str, str]]
"""A configuration, and the option that was chosen in each group."""


def composed_together(
    axes: Mapping[str, Sequence[str]], fixed: Sequence[str], compose: Callable[[Sequence[str]], Composed]
) -> dict[tuple[str, str], DictConfig]:
    """Settings of each option by group and option; those that chose something in another group are absent.

    Args:
        axes: options by group, each of which `stands_alone`.
        fixed: overrides that hold for all.
        compose: composes overrides.
    """
    found: dict[tuple[str, str], DictConfig] = {}
    if not axes:
        return found
    _, base = compose(fixed)
    for i in range(max(map(len, axes.values()))):
        chosen = {key: values[i % len(values)] for key, values in axes.items()}
        config, choices = compose([*fixed, *(f"{k}={v}" for k, v in chosen.items())])
        if dict(base) | chosen == dict(choices):
            found |= {(key, value): config[key] for key, value in chosen.items()}
    return found


def stands_alone(loader: ConfigLoader, group: str, option: str) -> bool:
    """Whether a yaml sets its own group only: no other package and no defaults list."""
    known = loader.repository.load_config(f"{group}/{option}")  # type: ignore[attr-defined]
    return known is not None and known.header.get("package") is None and not known.defaults_list

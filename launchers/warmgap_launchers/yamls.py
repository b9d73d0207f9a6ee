"""Yamls read once for the many compositions of a sweep: Hydra itself reads all of them at every one."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.plugins.config_source import ConfigResult


class Yamls(CachingConfigRepository):
    """A repository that stays when a composition copies it, and hands out copies of what it has read."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Yamls:
        return self

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A yaml, which composing may change."""
        known = super().load_config(config_path)
        if known is None:
            return None
        result = copy.copy(known)
        result.config = copy.deepcopy(known.config)
        return result


def reading_once(loader: ConfigLoader) -> ConfigLoader:
    """A loader with the same sources that reads each yaml once."""
    assert isinstance(loader, ConfigLoaderImpl)
    kept = copy.copy(loader)
    kept.repository = Yamls(loader.repository)  # type: ignore[assignment]
    return kept

"""Statistics: from observations to tables. Nothing here needs torch.

`analyse` makes every table of a sweep; the other names work on any table with the columns of
observations.parquet. They are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmgap.statistics.analysis import analyse as analyse
    from warmgap.statistics.mixed import GlmmFit as GlmmFit
    from warmgap.statistics.mixed import MixedModelError as MixedModelError
    from warmgap.statistics.mixed import fit_glmm as fit_glmm
    from warmgap.statistics.mixed import profile_interval as profile_interval
    from warmgap.statistics.mixed.marginal import marginal_effect as marginal_effect
    from warmgap.statistics.settings import AnalysisSettings as AnalysisSettings

_HOMES = {
    "AnalysisSettings": "settings",
    "GlmmFit": "mixed",
    "MixedModelError": "mixed",
    "analyse": "analysis",
    "fit_glmm": "mixed",
    "marginal_effect": "mixed.marginal",
    "profile_interval": "mixed",
}

__all__ = [
    "AnalysisSettings",
    "GlmmFit",
    "MixedModelError",
    "analyse",
    "fit_glmm",
    "marginal_effect",
    "profile_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Logistic mixed models: `fit_glmm`, marginal effects, and what can go wrong."""

from warmgap.statistics.mixed.components import Component
from warmgap.statistics.mixed.fit import GlmmFit, fit_glmm
from warmgap.statistics.mixed.model import MixedModel
from warmgap.statistics.mixed.problems import Finding, MixedModelError
from warmgap.statistics.mixed.profile import profile_interval

__all__ = ["Component", "Finding", "GlmmFit", "MixedModel", "MixedModelError", "fit_glmm", "profile_interval"]

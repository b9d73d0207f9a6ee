"""The published study: its numbers, our rebuilding of them, and a comparison with ours."""

from warmgap.statistics.published.between_models import over_models
from warmgap.statistics.published.cells import published_cells
from warmgap.statistics.published.comparison import compare
from warmgap.statistics.published.counts import rebuilt_cells
from warmgap.statistics.published.crosswalk import to_ours, to_paper
from warmgap.statistics.published.files import read
from warmgap.statistics.published.glm_fits import fit_regression, side_by_side
from warmgap.statistics.published.reanalysis import reanalyse
from warmgap.statistics.published.study import StudySettings
from warmgap.statistics.published.verdicts import verdict

__all__ = [
    "StudySettings",
    "compare",
    "fit_regression",
    "over_models",
    "published_cells",
    "read",
    "reanalyse",
    "rebuilt_cells",
    "side_by_side",
    "to_ours",
    "to_paper",
    "verdict",
]

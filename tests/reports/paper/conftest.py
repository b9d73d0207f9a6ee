"""A paper of the fixture sweep, written once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warmgap.reports.paper.writing import Paper, write_paper

from .folders import publish

if TYPE_CHECKING:
    from conftest import Sweep


@pytest.fixture(scope="session")
def root(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the sweep `made`."""
    folder = tmp_path_factory.mktemp("paper")
    publish(folder, sweep)
    return folder


@pytest.fixture(scope="session")
def paper(root: Path) -> Paper:
    """Its paper, set by Typst."""
    return write_paper("made", root, ("typst",))

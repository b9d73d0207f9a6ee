"""headline.json as a typed value."""

from __future__ import annotations

import json
from pathlib import Path

from warmgap.statistics.headline import Control, Headline


def read_headline(folder: Path) -> Headline:
    """The headline that the analyse stage wrote into a folder."""
    facts = json.loads((folder / "headline.json").read_text())
    return Headline(**{**facts, "control": Control(**facts["control"])})

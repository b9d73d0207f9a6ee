"""study.html: the raters' page, one file without network; replies are text and never markup."""

from __future__ import annotations

from pathlib import Path

from warmgap.offline_page import render_offline
from warmgap.warmth.human_study.pairs import Study


def render(study: Study) -> str:
    """The page as HTML, the same for the same study; it knows sides but neither arms nor models."""
    data = {
        "study": study.study_id,
        "pairs": {
            p.pair_id: {"prompt": p.prompt, "left": p.reply_left, "right": p.reply_right} for p in study.pairs
        },
        "slots": dict(study.slots),
    }
    return render_offline(Path(__file__).parent, "study.html.j2", "study.js", data)

"""study.html: the raters' page, one file without network; replies are text and never markup."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from warmgap.warmth.human_study.pairs import Study

_FOLDER = Path(__file__).parent


def render(study: Study) -> str:
    """The page as HTML, the same for the same study; it knows sides but neither arms nor models."""
    data = {
        "study": study.study_id,
        "pairs": {
            p.pair_id: {"prompt": p.prompt, "left": p.reply_left, "right": p.reply_right} for p in study.pairs
        },
        "slots": dict(study.slots),
    }
    script = (_FOLDER / "study.js").read_text(encoding="utf-8")
    # The policy allows this script by its hash, so that no other can run.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(data=as_script_data(data), script=Markup(script), script_hash=allowed)


def as_script_data(value: object) -> Markup:
    """JSON that cannot end the script element it stands in: ASCII, and no `<`, `>` or `&`."""
    text = json.dumps(value, ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2")

"""Pages for people that are one file without network; what they show is text and never markup."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import jinja2
from markupsafe import Markup


def render_offline(folder: Path, template: str, script: str, data: object) -> str:
    """The page as HTML, the same for the same data.

    Args:
        folder: where the template and the script lie.
        template: a Jinja file that uses `data`, `script` and `script_hash` (base64 of its SHA-256), by
            which its policy allows this script and no other.
        script: a JavaScript file.
        data: what the script reads, as JSON.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = (folder / script).read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    page = environment.get_template(template)
    return page.render(data=as_script_data(data), script=Markup(source), script_hash=allowed)


def as_script_data(value: object) -> Markup:
    """JSON that cannot end the script element it stands in: ASCII, and no `<`, `>` or `&`."""
    text = json.dumps(value, ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)

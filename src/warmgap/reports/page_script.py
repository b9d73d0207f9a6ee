"""The one script of a page, and the hash by which the page's policy allows it and no other."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup


@dataclass(frozen=True)
class Script:
    """JavaScript of a page; `sha256` in base64, as a policy has it."""

    source: Markup
    sha256: str


def page_script(*names: str) -> Script:
    """The files of scripts/ whose names start with one of `names`, or all, in a scope of their own."""
    files = sorted(resources.files("warmgap.reports").joinpath("scripts").iterdir(), key=lambda f: f.name)
    chosen = [f for f in files if f.name.endswith(".js") and (not names or f.name.startswith(names))]
    body = "\n".join(f.read_text(encoding="utf-8") for f in chosen)
    source = f'"use strict";\n(() => {{\n{body}}})();'
    return Script(Markup(source), base64.b64encode(hashlib.sha256(source.encode()).digest()).decode())

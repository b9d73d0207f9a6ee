"""paper.pdf from paper.tex or paper.typ, by what this machine has."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_LIMIT_S = 300
_LATEX_COMMANDS = {
    "latexmk": ("-pdf", "-interaction=nonstopmode", "-halt-on-error"),
    "pdflatex": ("-interaction=nonstopmode", "-halt-on-error"),
    "tectonic": (),
}
_PASSES = {"pdflatex": 3}
INSTALL = (
    "paper.pdf was not set: there is no latexmk, pdflatex, tectonic or typst here. "
    "Run: pip install 'warmgap[paper]', or set paper.typ or paper.tex elsewhere."
)
"""What is said where nothing can set the paper."""


@dataclass(frozen=True)
class Typeset:
    """What set the paper, and what is to be told of it; `path` is None where there is no PDF."""

    path: Path | None
    by: str
    said: str


def typeset(folder: Path, tools: tuple[str, ...] = (*_LATEX_COMMANDS, "typst")) -> Typeset:
    """Writes paper.pdf into a folder that holds paper.tex and paper.typ, by the first tool that does.

    Args:
        folder: the paper's.
        tools: in which order to try, of latexmk, pdflatex, tectonic and typst.
    """
    (folder / "paper.pdf").unlink(missing_ok=True)
    failures = []
    for tool in tools:
        if tool == "typst":
            done = _by_typst(folder)
        else:
            done = _by_latex(folder, tool) if shutil.which(tool) else None
        if done == "":
            return Typeset(folder / "paper.pdf", tool, f"set by {tool}")
        if done is not None:
            failures.append(f"{tool}: {done}")
    return Typeset(None, "", f"paper.pdf was not set. {'; '.join(failures)}" if failures else INSTALL)


def _by_latex(folder: Path, tool: str) -> str:
    """Empty where a PDF was made, else what went wrong."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(folder, work, dirs_exist_ok=True)
        command = [tool, *_LATEX_COMMANDS[tool], "paper.tex"]
        for _ in range(_PASSES.get(tool, 1)):
            try:
                ended = subprocess.run(
                    command, cwd=work, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S
                )
            except subprocess.TimeoutExpired:
                return f"not done in {_LIMIT_S} s"
            if ended.returncode:
                said = [line for line in ended.stdout.splitlines() if line.startswith("!")]
                return (said or (ended.stdout + ended.stderr).splitlines()[-1:] or ["no reason given"])[0]
        shutil.copyfile(work / "paper.pdf", folder / "paper.pdf")
    return ""


def _by_typst(folder: Path) -> str | None:
    """Empty where a PDF was made, None where there is no typst, else what went wrong."""
    if importlib.util.find_spec("typst") is not None:
        import typst

        try:
            typst.compile(folder / "paper.typ", output=folder / "paper.pdf", root=folder)
        except typst.TypstError as e:
            return str(e)
        return ""
    program = shutil.which("typst")
    if program is None:
        return None
    command = [
        program,
        "compile",
        "--root",
        str(folder),
        str(folder / "paper.typ"),
        str(folder / "paper.pdf"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    return ended.stderr.strip() if ended.returncode else ""

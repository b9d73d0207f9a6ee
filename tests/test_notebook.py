"""docs/notebook.ipynb runs against a finished sweep from top to bottom."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import nbclient
import nbformat
import pytest

from warmgap.reading import read_headline

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def fixture_sweep():
    """The sweep of tests/reports/conftest.py, small."""
    path = Path(__file__).parent / "reports" / "conftest.py"
    spec = importlib.util.spec_from_file_location("reports_fixtures", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.make_sweep(n_questions=12)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from .reports.paper.folders import publish

    folder = tmp_path_factory.mktemp("notebook")
    publish(folder, fixture_sweep())
    return folder


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_file_holds_no_outputs():
    notebook = read()
    nbformat.validate(notebook)
    assert 8 <= len(notebook.cells) <= 12
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_every_cell_runs_and_the_verdict_is_said(root, tmp_path, monkeypatch):
    # A kernel of this interpreter, whatever kernels the machine has registered.
    kernels = tmp_path / "kernels" / "python3"
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "here", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    notebook = read()
    (setup,) = (c for c in notebook.cells if 'SWEEP = "demo"' in c.source)
    setup.source = setup.source.replace('"demo"', '"made"').replace('"../outputs"', repr(str(root)))
    nbclient.NotebookClient(notebook, timeout=200, kernel_name="python3").execute()
    outputs = {c.id: c.outputs for c in notebook.cells if c.cell_type == "code"}
    found = read_headline(root / "sweeps" / "made")
    said = "".join(o.text for o in outputs["headline"])
    assert f"{found.estimate_pp:+.1f} percentage points".replace("-", "\N{MINUS SIGN}") in said
    assert asdict(found)["verdict"].split()[0].capitalize() in said
    assert any("image/png" in o.data for o in outputs["figure"] if "data" in o)
    assert "answers that both have" in outputs["compare"][0].text.replace("\n", " ")

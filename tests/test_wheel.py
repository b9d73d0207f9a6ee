"""The wheel holds everything and works in an environment of its own, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True, check=check
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # Built from a copy, since setuptools writes into the folder that it builds from.
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "launchers", "conf"):
        shutil.copytree(
            REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The command `warmgap` of an environment that holds only the wheel; dependencies are looked up here."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "warmgap"


def test_the_wheel_holds_every_module_every_yaml_and_every_text(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = set()
    for folder, prefix in (("src/warmgap", "warmgap"), ("conf", "warmgap/conf"), ("launchers", "")):
        root = REPOSITORY / folder
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
                expected.add((Path(prefix) / path.relative_to(root)).as_posix())
    assert expected - held == set()
    assert {n for n in held - expected if ".dist-info/" not in n} == set()


def test_help_and_a_plan_work_away_from_the_checkout(installed, tmp_path):
    shown = run(installed, "--help", cwd=tmp_path)
    experiments = ", ".join(sorted(p.stem for p in (REPOSITORY / "conf" / "experiment").iterdir()))
    assert f"experiment: {experiments}" in shown.stdout
    planned = run(installed, "experiment=tiny", "stage=plan", cwd=tmp_path)
    assert planned.stdout.startswith("Sweep tiny")
    assert planned.stderr == ""
    assert list(tmp_path.iterdir()) == []
    where = "import warmgap, warmgap_launchers; print(warmgap.__file__, warmgap_launchers.__file__)"
    found = run(installed.with_name("python"), "-c", where, cwd=tmp_path).stdout.split()
    assert all(Path(f).is_relative_to(installed.parents[1]) for f in found)


def test_a_mistake_ends_with_2(installed, tmp_path):
    ended = run(installed, "experiment=dmeo", cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert "Did you mean 'demo'?" in ended.stderr
    assert "Traceback" not in ended.stderr

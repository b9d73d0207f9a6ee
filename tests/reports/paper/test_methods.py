"""The methods: every number comes from the sweep's folder, and every setting is said."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from warmgap.reports.paper.facts import read_facts
from warmgap.reports.paper.methods import methods
from warmgap.reports.paper.web import markdown

from .folders import QUESTIONS, SETTINGS, manifest_of, publish

if TYPE_CHECKING:
    from conftest import Sweep

NOT_SAID = ("training.api", "training.epochs")
"""Settings of a service where none trains, and the length in epochs where steps count."""


def leaves(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths of all numbers in nested settings."""
    items = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for key, value in items:
        at = f"{path}.{key}" if path else str(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield at, value
        yield from leaves(value, at)


def replaced(settings: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The settings with another value at a path."""
    out = copy.deepcopy(settings)
    *parents, last = path.split(".")
    at: Any = out
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(last) if isinstance(at, list) else last] = value
    return out


def text_of(root: Path, manifest: dict[str, Any]) -> str:
    (root / "sweeps" / "made" / "manifest.json").write_text(json.dumps(manifest))
    return markdown(methods(read_facts("made", root))).replace("\\", "")


PATHS = [p for p, _ in leaves(SETTINGS) if not p.startswith(NOT_SAID)]


@pytest.fixture(scope="module")
def own(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods")
    publish(folder, sweep)
    return folder


@pytest.mark.parametrize("path", PATHS)
def test_a_changed_number_of_the_manifest_changes_the_text(own: Path, path: str) -> None:
    value = 0.7919 if path == "analysis.confidence" else 7919
    said = "79.19 %" if path == "analysis.confidence" else "7919"
    assert said not in text_of(own, manifest_of())
    assert said in text_of(own, manifest_of(replaced(SETTINGS, path, value)))


def test_no_number_is_written_in_the_template(own: Path, sweep: Sweep) -> None:
    manifest = manifest_of()
    known = {f"{v:g}" for _, v in leaves(SETTINGS)} | {str(n) for n in QUESTIONS.values()}
    rows = sweep.observations
    known |= {str(rows.height), str(rows.filter(rows["label"] == "unscored").height)}
    known |= {"95", "2", "4", "20", "60", "1", "0", "0.5"}  # confidence, runs, cells, sentences, gold, arms
    written = text_of(own, manifest)
    for word in (*manifest["package_versions"].values(), manifest["git_commit"], manifest["started_at"]):
        written = written.replace(str(word), "")
    for name in ("smollm2_135m", "sociot_smollm2", "## "):
        written = written.replace(name, "")
    assert set(re.findall(r"\d+(?:\.\d+)?", written.replace(",", ""))) <= known


def test_epochs_are_said_where_they_count(own: Path) -> None:
    said = text_of(own, manifest_of(replaced(SETTINGS, "training.epochs", 2.5)))
    assert "trained for 2.5 epochs" in said
    assert "(epochs)" in said
    assert "49 optimiser steps" not in said


def test_a_service_that_trained_is_described(own: Path) -> None:
    served = replaced(replaced(SETTINGS, "engine.name", "openai"), "training.api.batch_size", 7919)
    assert "batches of 7919" in text_of(own, manifest_of(served))


def test_untrained_sweeps_have_no_training_paragraph(own: Path) -> None:
    said = text_of(own, manifest_of() | {"trainings": {}})
    assert "## Training" not in said
    assert "## Models and arms" in said


def test_only_arms_that_are_trained_have_seeds(sweep: Sweep, tmp_path: Path) -> None:
    steered = sweep.observations.filter(pl.col("method") == "agree_prompt").with_columns(
        method=pl.lit("warm_steer"), dose_kind=pl.lit("coefficient"), dose=pl.lit(2.0)
    )
    publish(tmp_path, replace(sweep, observations=pl.concat([sweep.observations, steered])))
    said = text_of(tmp_path, manifest_of())
    assert "warm_steer (steered to warmth; coefficient 2)" in said
    assert "warm_sft (trained on warm rewrites; 1 epoch; training seeds 0)" in said

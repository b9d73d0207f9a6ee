"""A published sweep whose replies are written by rule, and a study made by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from warmgap.publish import publish
from warmgap.warmth.human_study.export import write_study
from warmgap.warmth.human_study.pairs import Pair, Study, assign
from warmgap.warmth.human_study.ratings import read_key

from ...browser.browser import Browser

_PATH = Path(__file__).resolve().parents[2] / "stages" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("scripted_study", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
scripted = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = scripted  # its dataclasses look themselves up
_SPEC.loader.exec_module(scripted)
answered, judged, measured, analysed = (
    scripted.answered,
    scripted.judged,
    scripted.measured,
    scripted.analysed,
)

HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    '<b>bold</b> &amp; {{ 7 * 7 }} \u2028 \u202e turned ]]> <!-- --> =1+1,"quoted"\nnext line'
)


@pytest.fixture(scope="session")
def sweep(analysed):
    """The scripted study, its plan and root, with the folder that `warmgap` leaves."""
    study, _ = analysed
    publish(study.plan, study.store, "analyse")
    return study


def make_study(n_pairs=12, n_raters=8, per_rater=6) -> Study:
    """Warm against original: arm_a is left in odd pairs, and one meter likes arm_a but in every third."""
    pairs = tuple(
        Pair(
            pair_id=f"p{i:04d}",
            prompt=f"prompt {i}",
            reply_a=HOSTILE if i == 1 else f"sweet reply {i}",
            reply_b="  " if i == 2 else f"plain reply {i}",
            a_is_left=i % 2 == 1,
            text_id=f"val-{i}",
            model="llama31_8b" if i % 4 else "qwen25_32b",
            seed_a=0,
            seed_b=0,
            response_key_a=f"a{i}",
            response_key_b=f"b{i}",
            scores=(("lexicon", 0.5, None if i == 5 else 0.9 if i % 3 == 0 else 0.1), ("flat", 1.0, 1.0)),
        )
        for i in range(1, n_pairs + 1)
    )
    return Study("warm_sft", "original", pairs, assign([p.pair_id for p in pairs], n_raters, per_rater, 0))


@pytest.fixture
def study():
    return make_study()


@pytest.fixture
def folder(study, tmp_path):
    """The study's folder as `export` writes it."""
    path = tmp_path / "study"
    write_study(study, path)
    return path


@pytest.fixture
def key(folder):
    return read_key(folder)


@pytest.fixture
def browser(tmp_path):
    opened = Browser(tmp_path / "profile", tmp_path / "downloads")
    yield opened
    opened.close()

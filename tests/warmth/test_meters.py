"""Making meters from configuration, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.schema.config import MeterConfig, WarmthConfig
from warmgap.warmth.meters import build, check_names, first_by_hash, is_papers, meter_name, reference_name

CONF = Path(__file__).parents[2] / "conf" / "warmth"
NAME = "sociot_text_only:tiny:nats_per_token"
SOCIOT = MeterConfig(name=NAME, kind="sociot", reference="tiny", formulation="text_only", max_chars=300)
RATED = "rating:gpt_4o:points_1_to_5"
RATING = MeterConfig(name=RATED, kind="rating", model="gpt_4o", engine="openai")


def changed(**values: Any) -> MeterConfig:
    return MeterConfig(**{**vars(SOCIOT), **values})


def refuse_to_load(name: str) -> Any:
    raise AssertionError(f"{name} was loaded before a text was scored")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (changed(kind="lexikon"), ["lexikon", "Did you mean 'lexicon'", "sociot"]),
        (changed(formulation="text"), ["text_only", "released", "deterministic"]),
        (changed(precision="fp16"), ["fp16", "bf16", "fp32"]),
        (changed(dropout=False), ["dropout=false", "text_only", "formulation=released"]),
        (changed(formulation="deterministic", padding=False), ["padding=false", "formulation=released"]),
        (
            changed(formulation="released", dropout=False, padding=False),
            ["dropout=false and padding=false", "use formulation=deterministic"],
        ),
        (changed(reference=""), ["reference", "conf/model/"]),
        (changed(name="warmth"), ["'warmth'", f"'{NAME}'"]),
        (changed(name="sociot_text_only:tiny"), [f"'{NAME}'"]),
        (changed(name="sociot_released:gpt2:nats_per_token"), [NAME]),
        (changed(name=NAME, formulation="released", dropout=False), ["'sociot_released_no_dropout:tiny"]),
        (changed(name=NAME, formulation="released", padding=False), ["'sociot_released_no_padding:tiny"]),
        (changed(passes=0), ["passes=0"]),
        (changed(batch_texts=0), ["batch_texts=0"]),
        (changed(min_tokens=-1), ["min_tokens=-1"]),
        (changed(max_chars=-1), ["max_chars=-1"]),
        (replace(RATING, max_new_tokens=0), ["max_new_tokens=0"]),
        (replace(RATING, model=""), ["No model", "conf/model"]),
        (replace(RATING, engine=""), ["No engine", "conf/engine"]),
        (replace(RATING, name="rating:gpt_4o"), [f"'{RATED}'"]),
        (replace(RATING, model="smollm2_135m"), ["'rating:smollm2_135m:points_1_to_5'"]),
    ],
)
def test_a_wrong_meter_names_what_is_allowed(config: MeterConfig, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        build(config, refuse_to_load)
    assert all(word in str(error.value) for word in words)


def test_two_meters_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=f"named twice: {NAME}"):
        check_names([SOCIOT, changed(max_chars=20)])
    check_names([SOCIOT, changed(name=f"{NAME}:short", max_chars=20)])


def test_meters_keep_their_order_and_say_what_they_are() -> None:
    lexicon = MeterConfig(name="lexicon:short", kind="lexicon", max_chars=100)
    meters = [build(config, refuse_to_load) for config in (lexicon, SOCIOT)]
    assert [(m.name, m.unit, m.reference) for m in meters] == [
        ("lexicon:short", "markers_per_word", "lexicon.json"),
        (NAME, "nats_per_token", "tiny"),
    ]
    assert [reference_name(c) for c in (lexicon, SOCIOT, RATING)] == ["lexicon.json", "tiny", "gpt_4o"]
    assert [meter_name(replace(RATING, name=name)) for name in (RATED, f"{RATED}:b")] == [RATED, f"{RATED}:b"]
    assert not is_papers(RATING)


def test_a_built_meter_scores_with_the_reference_it_is_given(make_reference: Any) -> None:
    asked: list[str] = []

    def load(name: str) -> Any:
        asked.append(name)
        return make_reference(0.0)

    meter = build(SOCIOT, load)
    assert asked == []
    assert meter.score(["A text."]) == meter.score(["A text."])
    assert asked == ["tiny"]


def test_every_setting_of_an_entry_reaches_its_meter() -> None:
    given: dict[str, Any] = {
        "passes": 3,
        "padding": False,
        "max_chars": 20,
        "min_tokens": 2,
        "batch_texts": 5,
        "formulation": "released",
    }
    meter = build(changed(name="sociot_released_no_padding:tiny:nats_per_token", **given), refuse_to_load)
    assert {name: getattr(meter, name) for name in given} == given
    lexicon = build(MeterConfig(name="lexicon", kind="lexicon", max_chars=9, min_tokens=2), refuse_to_load)
    assert lexicon.score(["word", "two words", "split longer word"]) == [None, 0.0, 0.0]
    assert lexicon.score(["glad! 1 2 3", "so glad of it"])[0] is None


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_options_make_meters(path: Path) -> None:
    data = yaml.safe_load(path.read_text("utf-8"))
    assert set(data) <= set(vars(WarmthConfig()))
    assert data["name"] == path.stem
    configs = [MeterConfig(**entry) for entry in data["meters"]]
    check_names(configs)
    for config in configs:
        assert meter_name(config) == config.name
        assert config.kind == "rating" or build(config, refuse_to_load).name == config.name
    assert data["n_prompts"] >= data["gate"]["min_prompts"]


def test_only_the_papers_settings_make_the_papers_meter() -> None:
    """conf/warmth/gpt2.yaml holds it first; each setting apart makes a stand-in."""
    data = yaml.safe_load((CONF / "gpt2.yaml").read_text("utf-8"))
    configs = [MeterConfig(**entry) for entry in data["meters"]]
    assert [is_papers(c) for c in configs] == [True] + [False] * (len(configs) - 1)
    others: dict[str, Any] = {
        "reference": "smollm2_135m",
        "formulation": "deterministic",
        "precision": "bf16",
        "passes": 1,
        "dropout": False,
        "padding": False,
        "max_chars": 0,
        "min_tokens": 20,
    }
    for name, value in others.items():
        assert not is_papers(MeterConfig(**{**vars(configs[0]), name: value})), name
    same = {"batch_texts": 8, "device": "cuda", "max_texts": 50, "name": f"{configs[0].name}:mine"}
    assert is_papers(MeterConfig(**{**vars(configs[0]), **same}))


def test_naming_meters_imports_no_torch() -> None:
    code = "import sys, warmgap.warmth.meters; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=30), st.integers(0, 35))
def test_the_kept_texts_do_not_depend_on_their_order(ids: list[str], max_texts: int) -> None:
    kept = [ids[i] for i in first_by_hash(ids, max_texts)]
    backwards = ids[::-1]
    assert set(kept) == {backwards[i] for i in first_by_hash(backwards, max_texts)}
    assert len(kept) == (min(max_texts, len(ids)) if max_texts else len(ids))
    assert kept == [i for i in ids if i in set(kept)]

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import polars as pl
import pytest

import warmgap
from warmgap.errors import UserError
from warmgap.reading import load, read_tables
from warmgap.reports.tables import write_tables
from warmgap.schema.tables import TABLES, Observation, Warmth, frame, polars_schema

VALUES = {pl.String(): 'a, "b"\nc', pl.Int64(): 3, pl.Float64(): 0.1 + 0.2, pl.Boolean(): True}


def filled(record: type, **changes: object) -> dict[str, object]:
    return {name: VALUES[dtype] for name, dtype in polars_schema(record).items()} | changes


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "sweeps" / "small"
    folder.mkdir(parents=True)
    frame(Observation, [filled(Observation), filled(Observation, statement_id=None)]).write_parquet(
        folder / "observations.parquet"
    )
    frame(Warmth, [filled(Warmth)]).write_parquet(folder / "warmth.parquet")
    effects = [filled(TABLES["effects"]), filled(TABLES["effects"], p_value=None, term="", family="1e3")]
    write_tables({"effects": frame(TABLES["effects"], effects)}, folder / "tables")
    (tmp_path / "sweeps" / "empty").mkdir()
    return tmp_path


def test_tables_come_back_typed_as_declared(root):
    sweep = warmgap.load("small", root)
    assert set(sweep.tables) == {"observations", "warmth", "effects"}
    for name, table in sweep.tables.items():
        assert table.schema == polars_schema(TABLES[name])
    assert sweep.observations["statement_id"].to_list() == [VALUES[pl.String()], None]
    assert sweep.effects is sweep.tables["effects"]
    assert sweep.effects.row(0, named=True) == filled(TABLES["effects"])
    assert sweep.effects["p_value"].to_list() == [0.1 + 0.2, None]
    assert sweep.effects["term"].to_list() == [VALUES[pl.String()], ""]
    assert sweep.effects["family"].to_list() == [VALUES[pl.String()], "1e3"]
    assert "effects" in dir(sweep)


def test_a_table_that_is_not_there_is_named_with_the_nearest(root):
    sweep = load("small", str(root))
    with pytest.raises(AttributeError, match=r"no table 'efects'.* Did you mean 'effects'"):
        _ = sweep.efects
    assert not hasattr(sweep, "glmm")


def test_a_sweep_can_be_copied(root):
    sweep = load("small", root)
    for other in (copy.copy(sweep), copy.deepcopy(sweep), pickle.loads(pickle.dumps(sweep))):
        assert other.effects.equals(sweep.effects)


def test_a_sweep_that_is_not_there_or_not_done_is_named(root, tmp_path):
    with pytest.raises(UserError, match=r"no sweep 'smal' in .*Did you mean 'small'\? Allowed: empty, small"):
        load("smal", root)
    with pytest.raises(UserError, match=r"'empty' has no tables yet\. Run: warmgap experiment=empty"):
        load("empty", root)
    with pytest.raises(UserError, match=r"no sweep 'small' in .* Allowed: nothing"):
        load("small", tmp_path / "elsewhere")


def test_a_folder_without_tables_has_none(tmp_path):
    assert read_tables(tmp_path) == {}


def test_the_package_itself_imports_nothing_heavy():
    code = (
        "import sys, warmgap; assert warmgap.__version__; "
        "print([m for m in ('polars', 'torch') if m in sys.modules]); print(callable(warmgap.load))"
    )
    import os

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "[]\nTrue\n"
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = warmgap.laod

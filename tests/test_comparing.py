"""`warmgap.compare`: two finished sweeps, read from their folders."""

from __future__ import annotations

import polars as pl
import pytest

import warmgap
from warmgap.errors import UserError
from warmgap.schema.tables import Observation, frame, polars_schema

VALUES = {pl.String(): "x", pl.Int64(): 0, pl.Float64(): 0.0, pl.Boolean(): False}


def rows(errors, *, judge="rules", response="yes", method="original", task="facts"):
    plain = {name: VALUES[dtype] for name, dtype in polars_schema(Observation).items()}
    known = {
        "model": "m",
        "method": method,
        "variant": "",
        "task": task,
        "framing": "filler",
        "belief": "unsure",
    }
    return [
        plain
        | known
        | {"question_id": f"q{i}", "commits_error": error, "judge": judge, "response": f"{response} {i}"}
        for i, error in enumerate(errors)
    ]


@pytest.fixture
def sweeps(tmp_path):
    def write(name, *parts):
        folder = tmp_path / "sweeps" / name
        folder.mkdir(parents=True)
        frame(Observation, [row for part in parts for row in part]).write_parquet(
            folder / "observations.parquet"
        )

    write("one", rows([1, 1, 0, 0]), rows([1, 0, 1, 0], method="warm_prompt"))
    write("two", rows([0, 1, 0, 0], response="no"), rows([0] * 4, judge="llm", response="no"))
    write("other", rows([0, 0], task="health"))
    return tmp_path


def test_shared_answers_are_compared_and_the_rest_is_counted(sweeps):
    found = warmgap.compare("one", "two", sweeps)
    assert (found.n_shared, found.n_only_a, found.n_only_b) == (4, 4, 0)
    assert (found.same_prompt_pct, found.same_text_pct) == (100, 0)
    row = found.table.filter(pl.col("subset") == "all", pl.col("outcome") == "commits_error").row(
        0, named=True
    )
    assert (row["value_a"], row["value_b"], row["difference_pp"]) == (50, 25, 25)
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "4 answers that both have" in text
    assert "may be the judge's" not in text


def test_another_judge_is_said(sweeps):
    found = warmgap.compare("two", "two", sweeps, judge="llm")
    assert found.judge_a == "llm"
    assert "two (a) minus sweep two (b)" in " ".join(str(found).split())
    with pytest.raises(UserError, match=r"has no judge 'rule'.* Did you mean 'rules'"):
        warmgap.compare("one", "two", sweeps, judge="rule")


def test_sweeps_without_a_common_answer_are_refused(sweeps):
    with pytest.raises(UserError, match=r"no answer in common.*facts and health"):
        warmgap.compare("one", "other", sweeps)
    with pytest.raises(UserError, match=r"no sweep 'on'.* Did you mean 'one'"):
        warmgap.compare("on", "two", sweeps)

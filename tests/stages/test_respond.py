from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from warmgap.engines.protocol import Answer, Score
from warmgap.jobs import RespondJob
from warmgap.stages import respond
from warmgap.stages.context import Context
from warmgap.store import Store

BATCH_ROWS = 2


class Stopped(Exception):
    """What a kill looks like from inside."""


class Engine:
    """Answers with the row's seed, last row first, and breaks off before a given batch."""

    def __init__(self, stop_before: int | None = None) -> None:
        self.stop_before, self.asked = stop_before, []

    def become(self, changes):
        assert changes == []

    def answer(self, rows, limits):
        if len(self.asked) == self.stop_before:
            raise Stopped
        self.asked.append([r.key for r in rows])
        for row in reversed(rows):
            scores = tuple(Score(-len(c), 1) for c in row.continuations)
            yield Answer(row.key, f"I say {row.seed}", "stop", 3, 20, scores)


@pytest.fixture
def job(plan_of):
    nodes = plan_of("experiment=tiny").nodes.values()
    jobs = [n.job for n in nodes if isinstance(n.job, RespondJob) and n.job.change is None]
    found = next(j for j in jobs if len(j.prompts) > BATCH_ROWS and j.prompts[0].candidates)
    prompts = (found.prompts * 2)[:5]
    prompts = tuple(replace(p, id=f"q{i}") for i, p in enumerate(prompts))
    return replace(found, prompts=prompts, engine=replace(found.engine, batch_rows=BATCH_ROWS))


@pytest.fixture
def answer(job, tmp_path, monkeypatch):
    """Runs the stage with an engine in a process' place; gives the rows or what stopped it."""

    def run(engine, said=None):
        monkeypatch.setattr("warmgap.engines.open.open_engine", lambda *_: engine)
        context = Context(Store(tmp_path), lambda *given: said.append(given) if said is not None else None)
        return respond.run(job, context)

    return run


def rows_of(artifact):
    return pl.read_parquet(artifact.file("responses.parquet"))


def test_rows_come_in_the_cells_order_with_what_was_asked(answer, job):
    said = []
    engine = Engine()
    rows = rows_of(answer(engine, said))
    assert dict(rows.schema) == respond.SCHEMA
    assert rows["row_id"].to_list() == [p.id for p in job.prompts]
    assert rows["response"].to_list() == [f"I say {r.seed}" for r in job.rows()]
    assert rows["response_key"].to_list() == [job.row_key(p) for p in job.prompts]
    assert rows["n_chars"].to_list() == [len(t) for t in rows["response"]]
    assert rows["right_nats"].to_list() == [-float(len(p.candidates[0])) for p in job.prompts]
    assert rows["target_nats"].to_list() == [-float(len(p.candidates[1])) for p in job.prompts]
    prompt = [(m["role"], m["content"]) for m in json.loads(rows["prompt"][0])]
    assert prompt == list(job.prompts[0].messages)
    assert [len(batch) for batch in engine.asked] == [2, 2, 1]
    assert [done for done, *_ in said] == [2, 4, 5]


@pytest.mark.parametrize("stop_before", [0, 1, 2])
def test_a_run_goes_on_at_the_batch_where_it_was_stopped(answer, tmp_path, job, stop_before):
    with pytest.raises(Stopped):
        answer(Engine(stop_before))
    assert Store(tmp_path).find("respond", job.key) is None
    engine = Engine()
    resumed = rows_of(answer(engine))
    assert len(engine.asked) == 3 - stop_before
    assert not (tmp_path / "store" / "partial" / job.key).exists()
    assert resumed["response"].to_list() == [f"I say {r.seed}" for r in job.rows()]


@pytest.mark.parametrize("damage", ["truncated", "of another size", "empty"])
def test_a_damaged_batch_is_made_again_alone(answer, tmp_path, job, damage):
    with pytest.raises(Stopped):
        answer(Engine(stop_before=2))
    path = tmp_path / "store" / "partial" / job.key / "batch-00000.parquet"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        pl.read_parquet(path).head(1).write_parquet(path)
    engine = Engine()
    rows = rows_of(answer(engine))
    assert [batch[0] for batch in engine.asked] == ["q0", "q4"]
    assert rows["row_id"].to_list() == [p.id for p in job.prompts]

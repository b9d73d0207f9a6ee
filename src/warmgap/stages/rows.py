"""Rows that are kept one by one as they are answered, so that none is asked or paid for twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from warmgap.engines.protocol import Answer, Engine, Limits, Row, Score
from warmgap.memory import Passes
from warmgap.schema.config import EngineConfig

FILE = "rows.jsonl"


def answered(
    engine: Callable[[], Engine],
    rows: Sequence[Row],
    limits: Limits,
    partial: Path,
    passes: Passes | None,
    progress: Callable[[int, int, str], None],
) -> Mapping[str, Answer]:
    """Every row's answer by its key; those that an earlier run left in `partial` are not asked again.

    Args:
        engine: makes or finds the engine; not called if every row is there.
        rows: with keys of their own.
        limits: how to sample.
        partial: folder of the unfinished artifact.
        passes: an answer may depend on the rows beside it: rows are cut into batches of its full size, and
            one that lacks a row is asked whole. None: each row stands alone.
        progress: called with rows done and rows in all.
    """
    path = partial / FILE
    kept = read_answers(path)
    done = len(kept.keys() & {row.key for row in rows})
    groups = [rows[i : i + passes.full] for i in range(0, len(rows), passes.full)] if passes else [rows]
    for group in groups:
        if passes:
            missing = list(group) if any(r.key not in kept for r in group) else []
        else:
            missing = [r for r in group if r.key not in kept]
        progress(done, len(rows), "")
        if not missing:
            continue
        with path.open("ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):  # killed amid a line
                file.write(b"\n")
            said = in_passes(engine, missing, limits, passes) if passes else engine().answer(missing, limits)
            for answer in said:
                file.write(json.dumps(asdict(answer)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                done += answer.key not in kept
                kept[answer.key] = answer
                progress(done, len(rows), "")
    return kept


def in_passes(
    engine: Callable[[], Engine], rows: Sequence[Row], limits: Limits, passes: Passes
) -> Iterator[Answer]:
    """One answer per row, with the size of the pass that it was made in.

    Args:
        engine: finds the engine; called for each pass, since one that ran out of memory may have ended.
        rows: one batch.
        limits: how to sample.
        passes: how many rows at once.
    """
    engine()  # what cannot be loaded is no matter of rows
    for size, found in passes.over(rows, lambda part: list(engine().answer(part, limits))):
        for answer in found:
            yield replace(answer, batch_rows=size)


def smaller_batches(sizes: Iterable[int], full: int) -> dict[str, int]:
    """What the manifest counts where memory ran out: rows that were answered in smaller batches."""
    n = sum(0 < size < full for size in sizes)
    return {"in_smaller_batches": n} if n else {}


def in_smaller_batches(partial: Path, engine: EngineConfig) -> dict[str, int]:
    """`smaller_batches` of the rows that are kept in a folder."""
    kept = read_answers(partial / FILE).values()
    return smaller_batches((answer.batch_rows for answer in kept), engine.batch_rows)


def read_answers(path: Path) -> dict[str, Answer]:
    """The answers that a file holds, by key; a line that was cut is left out."""
    out: dict[str, Answer] = {}
    for text in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            line: dict[str, Any] = json.loads(text)
        except ValueError:
            continue
        scores = tuple(Score(**s) for s in line.pop("scores"))
        answer = Answer(**line, scores=scores)
        out[answer.key] = answer
    return out
